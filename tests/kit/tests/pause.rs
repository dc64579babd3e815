//! Pauses under a running worker, by a clock that moves only when told; and under faults.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use event_core::memory::MemoryLog;
use event_core::storage::{Storage, StorageError};
use event_core::testing::TestKit;
use event_core::{Clock, Dispatcher, Event, InboxError, InboxResult, RecordOn, State, StoredEvent, handled, inbox};
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

/// The customers whose endpoints are down: subjects below this one.
#[derive(Clone, Default)]
struct DownBelow(Arc<AtomicI64>);

impl DownBelow {
    fn call(&self, event: &StoredEvent, seen: &Seen) -> InboxResult {
        let subject: i64 = event.subject.id.parse().unwrap();
        let down = subject < self.0.load(Relaxed);
        seen.note(format!("{} of {subject} {}", event.id(), if down { "fails" } else { "ok" }));
        if down { Err(InboxError::new("the endpoint is down")) } else { handled() }
    }
}

#[inbox]
async fn webhooks(event: Event<IssueEvent>, below: State<DownBelow>, State(seen): State<Seen>) -> InboxResult {
    tokio::time::sleep(Duration::from_millis(5)).await;
    below.0.call(&event, &seen)
}

#[inbox(ordered)]
async fn webhooks_in_order(event: Event<IssueEvent>, below: State<DownBelow>, State(seen): State<Seen>) -> InboxResult {
    tokio::time::sleep(Duration::from_millis(5)).await;
    below.0.call(&event, &seen)
}

#[inbox]
async fn exact_webhooks(
    event: Event<IssueEvent>,
    _effects: Effects<'_>,
    below: State<DownBelow>,
    State(seen): State<Seen>,
) -> InboxResult {
    below.0.call(&event, &seen)
}

#[inbox(ordered)]
async fn exact_webhooks_in_order(
    event: Event<IssueEvent>,
    _effects: Effects<'_>,
    below: State<DownBelow>,
    State(seen): State<Seen>,
) -> InboxResult {
    below.0.call(&event, &seen)
}

#[inbox]
async fn batches_of_webhooks(
    events: Vec<Event<IssueEvent>>,
    State(below): State<DownBelow>,
    State(seen): State<Seen>,
) -> InboxResult {
    for event in &events {
        below.call(event, &seen)?;
    }
    handled()
}

const WEBHOOKS: [&str; 5] =
    ["webhooks", "webhooks_in_order", "exact_webhooks", "exact_webhooks_in_order", "batches_of_webhooks"];

struct Worker {
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<(), StorageError>>,
}

impl Worker {
    async fn start(faulty: &Faulty, inbox: &str, world: &World) -> Self {
        let builder = Dispatcher::<Faulty>::builder(faulty.clone()).state(world.seen.clone()).state(world.down.clone());
        let builder = builder.state(world.down_below.clone());
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
    down_below: DownBelow,
}

fn world(down: bool) -> World {
    let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
    World {
        clock,
        seen: Seen::default(),
        down: Down(Arc::new(AtomicBool::new(down))),
        down_below: DownBelow::default(),
    }
}

/// Of five subjects in turn.
fn record(faulty: &Faulty, events: usize) {
    record_of(faulty, (0..events).map(|nth| i64::try_from(nth % 5).unwrap()));
}

fn record_of(faulty: &Faulty, subjects: impl IntoIterator<Item = i64>) {
    for subject in subjects {
        faulty.log().record(IssueEvent::Closed.on(subject).by_system()).unwrap();
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

impl World {
    /// Seconds, by the dispatcher's clock, until every event of the subjects that are not down has been delivered.
    async fn seconds_until_all_others_are_done(&self, others: usize) -> u64 {
        let mut seconds = 0;
        loop {
            settle().await;
            if self.seen.lines().iter().filter(|line| line.ends_with("ok")).count() >= others {
                return seconds;
            }
            assert!(seconds < 4_000, "not within an hour");
            self.clock.advance(Duration::from_secs(1));
            seconds += 1;
        }
    }
}

/// With settings as they are by default: before, 15 events of one customer delayed the others by a minute, and 20 by an hour.
#[tokio::test(start_paused = true)]
async fn a_burst_of_one_subjects_failures_delays_no_other_subject() {
    for inbox in WEBHOOKS {
        for burst in [15, 20, 30, 300] {
            let (faulty, world) = (Faulty::new(MemoryLog::new()), world(false));
            world.down_below.0.store(1, Relaxed);
            let worker = Worker::start(&faulty, inbox, &world).await;
            record_of(&faulty, std::iter::repeat_n(0, burst));
            settle().await;
            record_of(&faulty, 1..=700);
            let seconds = world.seconds_until_all_others_are_done(700).await;
            assert_eq!(seconds, 0, "{inbox}: after {burst} failures");
            worker.stop().await;
        }
    }
}

/// Twelve customers are down: the inbox pauses, and finds those that are not.
#[tokio::test(start_paused = true)]
async fn a_pause_finds_the_subjects_that_work() {
    for inbox in WEBHOOKS {
        let (faulty, world) = (Faulty::new(MemoryLog::new()), world(false));
        world.down_below.0.store(12, Relaxed);
        let worker = Worker::start(&faulty, inbox, &world).await;
        record_of(&faulty, (0..12).flat_map(|subject| std::iter::repeat_n(subject, 20)));
        record_of(&faulty, (0..12).chain(12..712));
        let seconds = world.seconds_until_all_others_are_done(700).await;
        assert!(seconds <= 10, "{inbox}: {seconds} s");
        worker.stop().await;
    }
}

/// The pause has come to waits of minutes when an event of another subject is recorded: that is tried a second later.
#[tokio::test(start_paused = true)]
async fn a_subject_that_has_not_failed_does_not_wait_for_the_next_probe() {
    for inbox in WEBHOOKS {
        let (faulty, world) = (Faulty::new(MemoryLog::new()), world(false));
        world.down_below.0.store(10, Relaxed);
        let worker = Worker::start(&faulty, inbox, &world).await;
        record_of(&faulty, 0..10);
        for _ in 0..12 {
            settle().await;
            world.clock.advance(Duration::from_secs(200));
        }
        settle().await;
        let failed = world.seen.take().len();
        assert!(failed <= 30, "{inbox}: {failed}, the waits double while nothing else is there");
        record_of(&faulty, 0..=10);
        let seconds = world.seconds_until_all_others_are_done(1).await;
        assert!(seconds <= 2, "{inbox}: {seconds} s");
        worker.stop().await;
    }
}

/// Everybody's endpoint is down: new subjects are tried one a second, until it is clear that it is not about subjects.
#[tokio::test(start_paused = true)]
async fn an_outage_of_all_subjects_is_probed_later_and_later() {
    for inbox in WEBHOOKS {
        let (faulty, world) = (Faulty::new(MemoryLog::new()), world(false));
        world.down_below.0.store(i64::MAX, Relaxed);
        let worker = Worker::start(&faulty, inbox, &world).await;
        record_of(&faulty, 0..2_000);
        settle().await;
        for _ in 0..120 {
            world.clock.advance(Duration::from_secs(1));
            settle().await;
        }
        let (begun, mut last) = (world.seen.take().len(), 0);
        assert!(begun <= 130, "{inbox}: {begun}");
        for seconds in 1..=3_600 {
            world.clock.advance(Duration::from_secs(1));
            settle().await;
            if !world.seen.take().is_empty() {
                last = seconds;
            }
        }
        assert!(last >= 3_600 - 300, "{inbox}: it is probed all the time");
        let count = async || {
            for _ in 0..30 {
                world.clock.advance(Duration::from_secs(100));
                settle().await;
            }
            world.seen.take().len()
        };
        let probes = count().await;
        assert!((9..=13).contains(&probes), "{inbox}: {probes} in 3,000 s");
        world.down_below.0.store(0, Relaxed);
        let seconds = world.seconds_until_all_others_are_done(1_000).await;
        assert!(seconds <= 301, "{inbox}: {seconds} s");
        worker.stop().await;
    }
}
