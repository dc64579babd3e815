//! What could keep a dispatcher busy for ever, or stop it unseen.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use chrono::{DateTime, Utc};
use event_core::cursor::SavedCursor;
use event_core::memory::MemoryLog;
use event_core::storage::{
    CursorSave, Failure, FailureChange, FailureKey, FailureState, PauseChange, Save, Storage, Wish,
};
use event_core::testing::TestKit;
use event_core::{
    Clock, Event, EventRef, InboxError, InboxResult, LogName, RecordOn, Start, SubjectRef, handled, inbox, snoozed,
};
use kit_tests::model::IssueEvent;

#[inbox(ordered, retry(max_attempts = 2, jitter = 0.0))]
async fn failing(event: Event<IssueEvent>) -> InboxResult {
    match event.event {
        IssueEvent::Closed => Err(InboxError::new("not today")),
        _ => handled(),
    }
}

#[inbox]
async fn dreamer(_event: Event<IssueEvent>) -> InboxResult {
    snoozed(DateTime::<Utc>::MIN_UTC)
}

fn wish(logs: &[&'static str]) -> Wish {
    Wish { inbox: "failing", logs: logs.iter().map(|&log| LogName::from(log)).collect(), start: Start::Now }
}

/// Saves these failure rows, and gives the inbox up.
async fn save(log: &MemoryLog, logs: &[&'static str], failures: Vec<FailureChange>) {
    log.place(&[wish(logs)]).await.unwrap();
    let claimed = log.claim("hand", Duration::from_secs(60), &[wish(logs)], Utc::now()).await.unwrap().remove(0);
    let cursors = claimed.cursors.iter().map(|loaded| CursorSave {
        log: loaded.log.clone(),
        saves: loaded.saves,
        high: loaded.cursor.high,
        ceiling: loaded.cursor.ceiling,
        missing: None,
        in_flight: None,
    });
    let save = Save {
        inbox: "failing",
        epoch: claimed.epoch,
        cursors: cursors.collect(),
        failures,
        pause: PauseChange::Unchanged,
    };
    log.save(&save).await.unwrap();
    log.release("hand", "failing", claimed.epoch).await.unwrap();
}

fn row(log: &'static str) -> Failure {
    let long_ago = "2020-01-01T00:00:00Z".parse().unwrap();
    Failure {
        key: FailureKey { inbox: "failing".into(), event: EventRef::new(log, 1) },
        subject: SubjectRef::new("issue", 1),
        action: "created".into(),
        state: FailureState::Retrying,
        attempts: 1,
        next_attempt_at: Some(long_ago),
        kind: "error".into(),
        error: "as it was".into(),
        started_at: None,
        interrupted: 0,
        first_failed_at: long_ago,
        last_failed_at: long_ago,
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it does not end")
}

#[tokio::test]
async fn a_failure_row_of_a_log_that_is_no_longer_read_is_given_up() {
    let log = MemoryLog::new();
    save(&log, &["events", "former"], vec![FailureChange::Insert(row("former"))]).await;
    let kit = TestKit::<MemoryLog>::new(log, |dispatcher| dispatcher.only(["failing"])).await.unwrap();
    let report = in_time(kit.drain()).await.unwrap();
    assert_eq!(report.total().dead, 1);
    let dead = kit.dead_letters().await.unwrap().remove(0);
    assert_eq!(dead.error, "the inbox takes no events of log `former` any more; the last failure: as it was");
    kit.storage().record(IssueEvent::Created.on(1).by_system()).unwrap();
    assert_eq!(in_time(kit.run_to_end()).await.unwrap().total().handled, 1);
}

#[tokio::test]
async fn an_event_that_the_log_lost_is_given_up() {
    let log = MemoryLog::new();
    save(&log, &["events"], vec![FailureChange::Insert(row("events"))]).await;
    let kit = TestKit::<MemoryLog>::new(log, |dispatcher| dispatcher.only(["failing"])).await.unwrap();
    in_time(kit.drain()).await.unwrap();
    assert_eq!(kit.dead_letters().await.unwrap()[0].error, "the log no longer holds the event");
}

#[tokio::test]
async fn a_log_placed_later_is_of_the_same_ownership() {
    let log = MemoryLog::new();
    for _ in 0..3 {
        save(&log, &["events"], Vec::new()).await;
    }
    // All cursors of an inbox are saved under one epoch.
    save(&log, &["events", "another"], Vec::new()).await;
}

#[tokio::test]
async fn a_former_ownership_neither_renews_nor_releases() {
    let log = MemoryLog::new();
    let (wishes, lease) = ([wish(&["events"])], Duration::from_secs(60));
    log.place(&wishes).await.unwrap();
    let first = log.claim("me", lease, &wishes, Utc::now()).await.unwrap().remove(0);
    let second = log.claim("me", lease, &wishes, Utc::now()).await.unwrap().remove(0);
    assert_eq!(log.renew("me", lease, &[("failing".into(), first.epoch)]).await.unwrap().len(), 0);
    log.release("me", "failing", first.epoch).await.unwrap();
    assert_eq!(log.claim("other", lease, &wishes, Utc::now()).await.unwrap().len(), 0);
    assert_eq!(log.renew("me", lease, &[("failing".into(), second.epoch)]).await.unwrap(), ["failing"]);
    assert_eq!(second.cursors[0].cursor, SavedCursor::default());
}

#[tokio::test]
async fn a_run_to_the_end_does_not_wait_for_other_workers() {
    let log = MemoryLog::new();
    save(&log, &["events"], vec![FailureChange::Insert(row("events"))]).await;
    let wishes = [wish(&["events"])];
    log.claim("another", Duration::from_secs(60), &wishes, Utc::now()).await.unwrap();
    let kit = TestKit::<MemoryLog>::new(log, |dispatcher| dispatcher.only(["failing"])).await.unwrap();
    let report = in_time(kit.run_to_end()).await.unwrap();
    assert_eq!((report.held_elsewhere, report.complete), (vec!["failing".to_owned()], true));
}

#[tokio::test]
async fn a_run_to_an_end_that_never_comes_stops_and_says_so() {
    let kit = TestKit::in_memory(|dispatcher| dispatcher.only(["dreamer"]).drain_rounds(50)).await.unwrap();
    kit.storage().record(IssueEvent::Closed.on(1).by_system()).unwrap();
    let report = in_time(kit.run_to_end()).await.unwrap();
    assert_eq!((report.complete, report.total().snoozed), (false, 51));
}

#[tokio::test]
async fn a_hook_that_panics_stops_nothing() {
    let hooked = |dispatcher: event_core::dispatch::Builder<MemoryLog>| {
        dispatcher.only(["failing"]).on_failure(|_| panic!("the error tracker is down"))
    };
    let kit = TestKit::in_memory(hooked).await.unwrap();
    for event in [IssueEvent::Closed, IssueEvent::Created, IssueEvent::Closed] {
        kit.storage().record(event.on(1).by_system()).unwrap();
    }
    let total = in_time(kit.run_to_end()).await.unwrap().total();
    assert_eq!((total.failed, total.dead, total.handled), (4, 2, 1));
}

#[tokio::test]
async fn the_kits_clock_is_the_manual_one_that_is_given() {
    let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
    let given = clock.clone();
    let kit = TestKit::in_memory(|dispatcher| dispatcher.only(["failing"]).clock(given)).await.unwrap();
    kit.advance(Duration::from_secs(5));
    assert_eq!(clock.now().to_rfc3339(), "2026-01-01T00:00:05+00:00");
    kit.storage().record(IssueEvent::Closed.on(1).by_system()).unwrap();
    assert_eq!(kit.storage().events("events")[0].created_at, clock.now());
    in_time(kit.run_to_end()).await.unwrap();
    assert_eq!(clock.now().to_rfc3339(), "2026-01-01T00:00:06+00:00", "moved to the second attempt");
    // One that runs by itself is no clock for a kit.
    let kit = TestKit::in_memory(|dispatcher| dispatcher.only(["failing"]).clock(Clock::system())).await.unwrap();
    kit.storage().record(IssueEvent::Closed.on(1).by_system()).unwrap();
    assert_eq!(in_time(kit.run_to_end()).await.unwrap().total().dead, 1);
}
