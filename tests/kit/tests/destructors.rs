//! Handlers whose values panic as they are dropped: a failure of the event like any, and never the end of the lane.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use event_core::testing::TestKit;
use event_core::{Event, InboxError, InboxResult, RecordOn, handled, inbox};
use kit_tests::model::IssueEvent;

/// Panics as it is dropped, and what it panics with does so too.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() && self.0 > 0 {
            std::panic::panic_any(Bomb(self.0 - 1));
        }
    }
}

#[inbox(retry(never), pause(never))]
async fn with_a_payload(event: Event<IssueEvent>) -> InboxResult {
    if event.id() % 2 == 0 {
        tokio::task::yield_now().await;
    }
    std::panic::panic_any(Bomb(u32::try_from(event.id()).unwrap()));
}

#[inbox(retry(never), pause(never), batch = 2)]
async fn a_batch_with_a_payload(_events: Vec<Event<IssueEvent>>) -> InboxResult {
    std::panic::panic_any(Bomb(3));
}

#[inbox(retry(never), pause(never), timeout = "10ms")]
async fn dropped_at_its_time_out(_event: Event<IssueEvent>) -> InboxResult {
    let _bomb = Bomb(2);
    std::future::pending::<()>().await;
    handled()
}

fn wants(_event: &Event<IssueEvent>) -> bool {
    std::panic::panic_any(Bomb(2));
}

#[inbox(when = wants, retry(never), pause(never))]
async fn with_a_filter(_event: Event<IssueEvent>) -> InboxResult {
    handled()
}

#[inbox(retry(never), pause(never))]
async fn with_a_hook(_event: Event<IssueEvent>) -> InboxResult {
    Err(InboxError::new("fails"))
}

#[tokio::test]
async fn a_destructor_that_panics_is_the_events_failure_and_not_the_lanes() {
    let inboxes = [
        ("with_a_payload", "panic"),
        ("a_batch_with_a_payload", "panic"),
        ("dropped_at_its_time_out", "timeout"),
        ("with_a_filter", "panic"),
        ("with_a_hook", "error"),
    ];
    for (inbox, kind) in inboxes {
        let kit = TestKit::in_memory(|dispatcher| {
            dispatcher.only([inbox]).on_failure(|_| std::panic::panic_any(Bomb(2))).lease(Duration::from_secs(60))
        })
        .await
        .unwrap();
        for subject in 1..=4 {
            kit.storage().record(IssueEvent::Closed.on(subject).by_system()).unwrap();
        }
        // An error here is the lane's.
        let report = kit.drain().await.unwrap_or_else(|error| panic!("{inbox}: {error}"));
        assert_eq!((report.total().dead, report.complete), (4, true), "{inbox}");
        for dead in kit.dead_letters().await.unwrap() {
            assert_eq!((dead.kind.as_str(), dead.attempts), (kind, 1), "{inbox}");
        }
    }
}
