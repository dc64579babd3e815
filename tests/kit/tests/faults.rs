//! One fault at a time: what each call's failure means for the inbox that met it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use event_core::memory::MemoryLog;
use event_core::storage::StorageErrorKind;
use event_core::testing::TestKit;
use event_core::{
    AnyEvent, Attempt, Clock, Dispatcher, Event, InboxError, InboxResult, RecordOn, State, handled, inbox,
};
use kit_tests::faulty::{Call, Effects, Fault, Faulty, Wrong};
use kit_tests::model::{AccountEvent, IssueEvent};
use kit_tests::seen::Seen;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

#[inbox]
async fn plain(event: Event<IssueEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note(format!("plain {}", event.id()));
    handled()
}

#[inbox(retry(max_attempts = 3, jitter = 0.0))]
async fn exact(event: AnyEvent, effects: Effects<'_>, State(seen): State<Seen>, attempt: Attempt) -> InboxResult {
    effects.write("exact", &event.at);
    seen.note(format!("exact {} #{}", event.at, attempt.number));
    // One that fails at first: its effect must not stay.
    if event.action == "created" && attempt.number == 1 {
        return Err(InboxError::new("not today"));
    }
    handled()
}

struct Worker {
    dispatcher: Dispatcher<Faulty>,
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<(), event_core::storage::StorageError>>,
}

impl Worker {
    fn start(dispatcher: Dispatcher<Faulty>) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let running = dispatcher.clone();
        Self { dispatcher, stop, run: tokio::spawn(async move { running.run(async { drop(stopped.await) }).await }) }
    }

    async fn stop(self) -> Result<(), event_core::storage::StorageError> {
        drop(self.stop);
        self.run.await.unwrap()
    }
}

async fn kit(faulty: &Faulty, inbox: &str) -> (TestKit<Faulty>, Seen) {
    let seen = Seen::default();
    let kit = TestKit::new(faulty.clone(), |dispatcher| dispatcher.state(seen.clone()).only([inbox])).await.unwrap();
    (kit, seen)
}

async fn worker(faulty: &Faulty, inbox: &str) -> (Worker, Seen) {
    let seen = Seen::default();
    let builder = Dispatcher::<Faulty>::builder(faulty.clone()).state(seen.clone()).only([inbox]);
    let dispatcher = builder.lease(Duration::from_secs(3)).build().unwrap();
    dispatcher.register().await.unwrap();
    (Worker::start(dispatcher), seen)
}

fn record(faulty: &Faulty, events: usize) {
    for _ in 0..events {
        faulty.log().record(IssueEvent::Closed.on(1).by_system()).unwrap();
    }
}

#[tokio::test]
async fn after_an_error_the_worker_does_not_keep_asking() {
    let faulty = Faulty::new(MemoryLog::new());
    faulty.fail(Call::Read, 2, Fault::Refused);
    let (worker, seen) = worker(&faulty, "plain").await;
    record(&faulty, 1);
    seen.wait_for(1).await;
    // Time for the pause after the error to end, and for the inbox to be claimed again.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(faulty.faults(), 1);
    let before = faulty.count(Call::Renew);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let asked = faulty.count(Call::Renew) - before;
    assert!(asked <= 2, "leases of 3 s were renewed {asked} times in half a second");
    worker.stop().await.unwrap();
}
