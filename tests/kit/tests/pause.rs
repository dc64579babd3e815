//! Pauses under a running worker, by a clock that moves only when told; and under faults.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use event_core::memory::MemoryLog;
use event_core::storage::{Storage, StorageError};
use event_core::testing::TestKit;
use event_core::{Clock, Dispatcher, Event, InboxError, InboxResult, RecordOn, State, handled, inbox};
use kit_tests::faulty::{Call, Effects, Fault, Faulty};
use kit_tests::model::IssueEvent;
use kit_tests::seen::Seen;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Whether what the handlers need is there.
#[derive(Clone, Default)]
struct Down(Arc<AtomicBool>);

impl Down {
    fn act(&self, event: i64, seen: &Seen) -> InboxResult {
        let down = self.0.load(Relaxed);
        seen.note(format!("{event} {}", if down { "fails" } else { "ok" }));
        if down { Err(InboxError::new("not there")) } else { handled() }
    }
}

#[inbox(concurrency = 4, retry(max_attempts = 3, jitter = 0.0), pause(after = 5))]
async fn plain(event: Event<IssueEvent>, State(down): State<Down>, State(seen): State<Seen>) -> InboxResult {
    tokio::time::sleep(Duration::from_millis(20)).await;
    down.act(event.id(), &seen)
}

#[inbox(retry(max_attempts = 3, jitter = 0.0), pause(after = 5))]
async fn exact(
    event: Event<IssueEvent>,
    effects: Effects<'_>,
    State(down): State<Down>,
    State(seen): State<Seen>,
) -> InboxResult {
    effects.write("exact", &event.at);
    down.act(event.id(), &seen)
}

/// One event hangs for a minute and succeeds, the others fail at once.
#[inbox(concurrency = 4, retry(max_attempts = 3, jitter = 0.0), pause(after = 3), timeout = "5m")]
async fn one_is_slow(event: Event<IssueEvent>, State(seen): State<Seen>, State(down): State<Down>) -> InboxResult {
    if event.id() == 1 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        down.0.store(false, Relaxed);
    }
    down.act(event.id(), &seen)
}

struct Worker {
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<(), StorageError>>,
}

impl Worker {
    async fn start(faulty: &Faulty, inbox: &str, world: &World) -> Self {
        let builder = Dispatcher::<Faulty>::builder(faulty.clone()).state(world.seen.clone()).state(world.down.clone());
        let dispatcher = builder.only([inbox]).clock(world.clock.clone()).build().unwrap();
        dispatcher.register().await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        Self { stop, run: tokio::spawn(async move { dispatcher.run(async { drop(stopped.await) }).await }) }
    }

    async fn stop(self) {
        drop(self.stop);
        self.run.await.unwrap().unwrap();
    }
}

struct World {
    clock: Clock,
    seen: Seen,
    down: Down,
}

fn world(down: bool) -> World {
    let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
    World { clock, seen: Seen::default(), down: Down(Arc::new(AtomicBool::new(down))) }
}

fn record(faulty: &Faulty, events: usize) {
    for _ in 0..events {
        faulty.log().record(IssueEvent::Closed.on(1).by_system()).unwrap();
    }
}

/// Long enough, by tokio's clock that runs by itself here, for every poll, save and handler.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(30)).await;
}

#[tokio::test(start_paused = true)]
async fn a_running_worker_probes_later_and_later() {
    for inbox in ["plain", "exact"] {
        let (faulty, world) = (Faulty::new(MemoryLog::new()), world(true));
        let worker = Worker::start(&faulty, inbox, &world).await;
        record(&faulty, 100);
        settle().await;
        let failed = world.seen.take().len();
        assert!((5..=8).contains(&failed), "{inbox}: {failed}, those already under way included");
        settle().await;
        assert_eq!(world.seen.lines().len(), 0, "{inbox}: the clock stands still, and so does the inbox");
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            world.clock.advance(Duration::from_secs_f64(f64::from(seconds) * 0.84));
            settle().await;
            assert_eq!(world.seen.lines().len(), 0, "{inbox}: too early");
            world.clock.advance(Duration::from_secs_f64(f64::from(seconds) * 0.16 + 0.001));
            settle().await;
            assert_eq!(world.seen.take().len(), 1, "{inbox}: one probe after {seconds} s");
        }
        world.down.0.store(false, Relaxed);
        settle().await;
        assert_eq!(world.seen.lines().len(), 0);
        world.clock.advance(Duration::from_secs(300));
        settle().await;
        assert_eq!(world.seen.lines().len(), 100, "{inbox}: one probe succeeds, and everything goes on");
        worker.stop().await;
        assert_eq!(faulty.log().open_failures(inbox).await.unwrap(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_probes_once_and_ends_while_the_probe_fails() {
    for inbox in ["plain", "exact"] {
        let (faulty, world) = (Faulty::new(MemoryLog::new()), world(true));
        let builder = Dispatcher::<Faulty>::builder(faulty.clone()).state(world.seen.clone()).state(world.down.clone());
        let dispatcher = builder.only([inbox]).clock(world.clock.clone()).build().unwrap();
        dispatcher.register().await.unwrap();
        record(&faulty, 30);
        dispatcher.drain().await.unwrap();
        world.seen.take();
        for _ in 0..3 {
            dispatcher.drain().await.unwrap();
            assert_eq!(world.seen.take().len(), 1, "{inbox}: a probe");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_waits_for_the_next_probe_like_the_worker_before() {
    let (faulty, world) = (Faulty::new(MemoryLog::new()), world(true));
    let first = Worker::start(&faulty, "plain", &world).await;
    record(&faulty, 50);
    settle().await;
    first.stop().await;
    world.seen.take();
    let second = Worker::start(&faulty.another(), "plain", &world).await;
    settle().await;
    assert_eq!(world.seen.lines().len(), 0);
    world.down.0.store(false, Relaxed);
    world.clock.advance(Duration::from_secs(1));
    settle().await;
    world.clock.advance(Duration::from_secs(1));
    settle().await;
    assert_eq!(world.seen.lines().len(), 50);
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_runs_already_ends_as_it_ends_and_a_success_of_it_ends_the_pause() {
    let (faulty, world) = (Faulty::new(MemoryLog::new()), world(true));
    let worker = Worker::start(&faulty, "one_is_slow", &world).await;
    record(&faulty, 20);
    settle().await;
    assert_eq!(world.seen.lines().len(), 3, "{:?}", world.seen.lines());
    settle().await;
    settle().await;
    let lines = world.seen.lines();
    assert_eq!((lines[3].as_str(), lines.len()), ("1 ok", 20), "{lines:?}");
    worker.stop().await;
}

/// Whatever call fails while an inbox pauses, probes and goes on: nothing is lost, no effect doubled.
#[tokio::test(start_paused = true)]
async fn any_call_of_a_pause_may_fail() {
    let mut met = 0;
    for call in [Call::Claim, Call::Read, Call::Save, Call::SaveIn, Call::Commit, Call::Undo, Call::Due, Call::Begin] {
        for fault in [Fault::Refused, Fault::Unacknowledged, Fault::SentTwice] {
            for nth in 1..=6 {
                let (faulty, world) = (Faulty::new(MemoryLog::new()), world(true));
                let kit = TestKit::<Faulty>::new(faulty.clone(), |dispatcher| {
                    dispatcher.state(world.seen.clone()).state(world.down.clone()).only(["exact"])
                })
                .await
                .unwrap();
                record(&faulty, 12);
                faulty.fail(call, nth, fault);
                for _ in 0..6 {
                    let _ = kit.drain().await;
                    kit.advance(Duration::from_secs(20));
                }
                met += faulty.faults();
                faulty.mend();
                let what = format!("{call:?} {nth} {fault:?}");
                assert_eq!(kit.drain().await.unwrap().paused.len(), 1, "{what}");
                world.down.0.store(false, Relaxed);
                let report = kit.run_to_end().await.unwrap();
                assert_eq!((report.paused.len(), kit.dead_letters().await.unwrap().len()), (0, 0), "{what}");
                assert_eq!(faulty.effects_of("exact", "events"), (1..=12).collect::<Vec<_>>(), "{what}");
            }
        }
    }
    assert!(met >= 8 * 3 * 3, "only {met} faults were met");
}
