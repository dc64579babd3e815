//! The health of a worker: whatever keeps it from working shows, and what is over no longer does.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use event_core::dispatch::{Health, InboxState, LogHealth};
use event_core::memory::MemoryLog;
use event_core::storage::{StorageError, StorageErrorKind};
use event_core::{Clock, Dispatcher, Event, InboxResult, LogName, RecordOn, State, handled, inbox};
use kit_tests::faulty::{Call, Fault, Faulty};
use kit_tests::model::IssueEvent;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

/// Each delivery needs a permit.
#[inbox(concurrency = 2, timeout = "1d")]
async fn gated(_event: Event<IssueEvent>, State(gate): State<Arc<Semaphore>>) -> InboxResult {
    gate.acquire().await?.forget();
    handled()
}

/// A clock that stands still until it is moved, and a storage that goes by it.
fn world() -> (Faulty, Clock) {
    let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
    (Faulty::new(MemoryLog::with_clock(clock.clone())), clock)
}

const LEASE: Duration = Duration::from_secs(6);

struct Worker {
    dispatcher: Dispatcher<Faulty>,
    gate: Arc<Semaphore>,
    clock: Clock,
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<(), StorageError>>,
}

impl Worker {
    async fn start(faulty: &Faulty, clock: Clock) -> Self {
        let gate = Arc::new(Semaphore::new(0));
        let builder = Dispatcher::<Faulty>::builder(faulty.clone()).state(gate.clone()).clock(clock.clone());
        let dispatcher = builder.lease(LEASE).page(3).build().unwrap();
        dispatcher.register().await.unwrap();
        assert_eq!(dispatcher.health().inboxes["gated"].state, InboxState::NotRunning);
        assert!(!dispatcher.health().is_well(), "it does not run");
        let (stop, stopped) = oneshot::channel::<()>();
        let running = dispatcher.clone();
        let run = tokio::spawn(async move { running.run(async { drop(stopped.await) }).await });
        let worker = Self { dispatcher, gate, clock, stop, run };
        worker.until(|health| health.is_well() && !health.inboxes["gated"].logs.is_empty()).await;
        worker
    }

    /// Waits until its health is so; for ten minutes of tokio's clock, which runs by itself here.
    async fn until(&self, is_so: impl Fn(&Health) -> bool) -> Health {
        for _ in 0..6_000 {
            let health = self.dispatcher.health();
            if is_so(&health) {
                return health;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("never so: {:#?}", self.dispatcher.health());
    }

    async fn stop(self) -> Dispatcher<Faulty> {
        drop(self.stop);
        self.run.await.unwrap().unwrap();
        self.dispatcher
    }
}

fn place(health: &Health) -> &LogHealth {
    &health.inboxes["gated"].logs[&LogName::from("events")]
}

/// Events recorded a second after each other, up to now.
fn record(log: &MemoryLog, clock: &Clock, events: usize) {
    for _ in 0..events {
        clock.advance(Duration::from_secs(1));
        log.record(IssueEvent::Closed.on(1).by_system()).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_that_fails_shows_since_when_until_it_answers() {
    let (faulty, clock) = world();
    let worker = Worker::start(&faulty, clock).await;
    let well = worker.dispatcher.health();
    assert_eq!((well.failing.clone(), well.last_reached), (None, Some(worker.clock.now())));
    for nth in 1..=3 {
        faulty.fail(Call::Renew, nth, Fault::Refused);
    }
    worker.clock.advance(Duration::from_secs(5));
    let since = worker.clock.now();
    let failing = worker.until(|health| health.failing.is_some()).await.failing.unwrap();
    assert_eq!((failing.since, failing.kind), (since, StorageErrorKind::Unreachable));
    assert!(failing.error.contains("Renew: connection lost"), "{}", failing.error);
    worker.clock.advance(Duration::from_secs(60));
    let asked = faulty.count(Call::Renew);
    worker.until(|_| faulty.count(Call::Renew) > asked).await;
    let health = worker.dispatcher.health();
    assert_eq!(health.failing.as_ref().unwrap().since, since, "since the first error");
    assert!(!health.is_well());
    worker.until(|health| health.failing.is_none() && health.is_well()).await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_database_that_says_nothing_at_all_shows_after_a_lease() {
    let (faulty, clock) = world();
    let worker = Worker::start(&faulty, clock).await;
    faulty.pause_at(Call::Renew);
    faulty.until_paused().await;
    let failing = worker.until(|health| health.failing.is_some()).await.failing.unwrap();
    assert_eq!((failing.since, failing.kind), (worker.clock.now(), StorageErrorKind::Unreachable));
    assert!(failing.error.contains("no answer for 6"), "{}", failing.error);
    faulty.resume();
    worker.until(|health| health.failing.is_none() && health.is_well()).await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_inbox_that_reloads_shows_why_and_when_it_starts_anew() {
    let (faulty, clock) = world();
    let worker = Worker::start(&faulty, clock).await;
    faulty.fail(Call::Read, 1, Fault::Refused);
    let health = worker.until(|health| !health.is_well()).await;
    let InboxState::Reloading(reloading) = &health.inboxes["gated"].state else { panic!("{health:#?}") };
    assert_eq!((reloading.trouble.kind, reloading.trouble.since), (StorageErrorKind::Unreachable, worker.clock.now()));
    assert!(reloading.trouble.error.contains("Read: connection lost"), "{}", reloading.trouble.error);
    assert_eq!(reloading.again_at, worker.clock.now() + Duration::from_millis(100));
    worker.until(|health| health.inboxes["gated"].state == InboxState::Running).await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_inbox_that_is_behind_shows_by_how_much_and_since_when() {
    let (faulty, clock) = world();
    let worker = Worker::start(&faulty, clock).await;
    record(faulty.log(), &worker.clock, 10);
    let recorded = worker.clock.now();
    worker.clock.advance(Duration::from_secs(50));
    let health = worker.until(|health| place(health).in_flight > 0 && place(health).newest == 10).await;
    // Two are under way, the others wait; how many of each, as of the last save, makes no difference.
    assert_eq!((place(&health).behind, place(&health).missing), (10, 0));
    let age = (worker.clock.now() - recorded).to_std().unwrap() + Duration::from_secs(9);
    assert_eq!(place(&health).behind_for, age, "the first is the oldest");
    worker.gate.add_permits(4);
    let health = worker.until(|health| place(health).behind == 6).await;
    assert_eq!(place(&health).behind_for, Duration::from_secs(50 + 5), "the fifth is the oldest");
    worker.gate.add_permits(100);
    let health = worker.until(|health| place(health).behind == 0).await;
    assert_eq!((place(&health).behind_for, place(&health).high), (Duration::ZERO, 10));
    assert_eq!(place(&health).last_save, Some(worker.clock.now()));
    worker.clock.advance(Duration::from_secs(7));
    worker.until(|health| place(health).last_read == Some(worker.clock.now())).await;
    let dispatcher = worker.stop().await;
    assert_eq!(dispatcher.health().running_since, None);
    assert_eq!(dispatcher.health().inboxes["gated"].state, InboxState::NotRunning);
}

#[tokio::test(start_paused = true)]
async fn an_inbox_that_another_worker_has_shows_as_held_elsewhere() {
    let (faulty, clock) = world();
    let (first, other) = (Worker::start(&faulty, clock).await, faulty.another());
    let builder = Dispatcher::<Faulty>::builder(other).state(Arc::new(Semaphore::new(0)));
    let second = builder.lease(LEASE).build().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = second.clone();
    let run = tokio::spawn(async move { running.run(async { drop(stopped.await) }).await });
    while second.health().inboxes["gated"].state != InboxState::HeldElsewhere {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(second.health().is_well() && second.health().inboxes["gated"].logs.is_empty());
    assert!(second.health().last_reached.is_some(), "by asking for the inbox");
    first.stop().await;
    while second.health().inboxes["gated"].state != InboxState::Running {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(stop);
    run.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_lost_an_inbox_no_longer_shows_its_place() {
    let (faulty, clock) = world();
    let first = Worker::start(&faulty, clock).await;
    // It is silent for longer than its lease.
    faulty.pause_at(Call::Renew);
    faulty.until_paused().await;
    first.clock.advance(LEASE * 2);
    let second = Worker::start(&faulty.another(), first.clock.clone()).await;
    faulty.resume();
    let health = first.until(|health| health.inboxes["gated"].state == InboxState::HeldElsewhere).await;
    assert!(health.inboxes["gated"].logs.is_empty(), "{health:#?}");
    second.stop().await;
    first.stop().await;
}

#[tokio::test(start_paused = true)]
async fn it_serializes_for_an_endpoint() {
    let (faulty, clock) = world();
    let worker = Worker::start(&faulty, clock).await;
    let json = serde_json::to_value(worker.dispatcher.health()).unwrap();
    assert_eq!(json["inboxes"]["gated"]["state"], "running", "{json}");
    assert_eq!(json["inboxes"]["gated"]["logs"]["events"]["behind_for"], 0.0);
    worker.stop().await;
}
