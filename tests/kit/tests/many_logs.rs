//! A worker of several logs reads those in which something happened, and the others not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use event_core::memory::MemoryLog;
use event_core::{Dispatcher, Event, InboxResult, RecordOn, State, handled, inbox};
use kit_tests::faulty::{Call, Fault, Faulty};
use kit_tests::model::{AccountEvent, IssueEvent};
use kit_tests::seen::Seen;
use kit_tests::veil::{Recorder, Veil};
use tokio::task::JoinHandle;

#[inbox(start = beginning)]
async fn of_accounts(event: Event<AccountEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note(format!("account {}", event.id()));
    handled()
}

#[inbox(start = beginning)]
async fn of_issues(event: Event<IssueEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note(format!("issue {}", event.id()));
    handled()
}

/// A running worker of both logs, which is at their ends.
async fn world(poll: Duration) -> (Faulty, Seen, JoinHandle<()>) {
    let (faulty, seen) = (Faulty::new(MemoryLog::new()), Seen::default());
    let builder = Dispatcher::<Faulty>::builder(faulty.clone()).state(seen.clone()).poll(poll, poll);
    let dispatcher = builder.only(["of_accounts", "of_issues"]).build().unwrap();
    let worker = tokio::spawn(async move { dispatcher.run(std::future::pending()).await.unwrap() });
    tokio::time::sleep(Duration::from_millis(500)).await;
    (faulty, seen, worker)
}

fn record_issue(faulty: &Faulty) {
    faulty.log().record(IssueEvent::Closed.on(1).by_system()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_quiet_log_is_not_read_for_the_sake_of_a_busy_one() {
    let (faulty, seen, worker) = world(Duration::from_millis(20)).await;
    let (quiet, busy, asked) =
        (faulty.reads_of("audit_events"), faulty.reads_of("events"), faulty.count(Call::NewestVisible));
    for _ in 0..50 {
        record_issue(&faulty);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(seen.lines().len(), 50);
    assert_eq!(faulty.reads_of("audit_events") - quiet, 0, "nothing happened there");
    // As it is recorded, and once more by the poll that sees it.
    assert!((50..=110).contains(&(faulty.reads_of("events") - busy)), "{} reads", faulty.reads_of("events") - busy);
    let asked = faulty.count(Call::NewestVisible) - asked;
    assert!((400..=600).contains(&asked), "asked {asked} times in ten seconds");
    // An event there is found all the same, at once or by polling.
    faulty.log().record(AccountEvent::SignedIn.on(1).by_system()).unwrap();
    seen.wait_for(51).await;
    worker.abort();
}

/// Told of one log without a pause, it polls the other.
#[tokio::test(start_paused = true)]
async fn what_is_told_of_one_log_keeps_no_other_from_being_polled() {
    let (faulty, seen, worker) = world(Duration::from_millis(20)).await;
    let quiet = faulty.count(Call::NewestVisible);
    for _ in 0..500 {
        record_issue(&faulty);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(faulty.count(Call::NewestVisible) - quiet >= 20);
    seen.wait_for(500).await;
    worker.abort();
}

/// Its id is below the newest, which stays what it is.
#[tokio::test(start_paused = true)]
async fn an_event_that_commits_late_is_found_below_the_newest() {
    for seed in 0..20 {
        let (faulty, seen, worker) = world(Duration::from_millis(20)).await;
        let late = |ids: Vec<i64>, lasts| Recorder { ids, commits: true, lasts, after: None };
        let veil = faulty.hide(Veil::new(seed, vec![late(vec![2, 3], 50), late(vec![5], 80), late(vec![8], 200)]));
        for _ in 0..8 {
            record_issue(&faulty);
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
        seen.wait_for(8).await;
        let mut lines = seen.lines();
        lines.sort();
        assert_eq!(lines, (1..=8).map(|id| format!("issue {id}")).collect::<Vec<_>>());
        assert!(veil.is_lifted());
        worker.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_that_fails_has_all_logs_read() {
    let (faulty, seen, worker) = world(Duration::from_millis(20)).await;
    let quiet = faulty.reads_of("audit_events");
    faulty.fail(Call::NewestVisible, 1, Fault::Refused);
    tokio::time::sleep(Duration::from_millis(200)).await;
    // And once by the next answer, before which it knew of none.
    assert_eq!(faulty.reads_of("audit_events") - quiet, 2);
    assert!(seen.lines().is_empty());
    worker.abort();
}
