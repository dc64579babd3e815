//! Reading ahead in a backlog: each event once, never far, never for ever, and without harm where it fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use event_core::memory::MemoryLog;
use event_core::{Dispatcher, Event, InboxResult, RecordOn, State, handled, inbox};
use kit_tests::faulty::{Call, Fault, Faulty};
use kit_tests::model::AccountEvent;
use kit_tests::seen::Seen;
use tokio::sync::Semaphore;

#[inbox]
async fn one(event: Event<AccountEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note(format!("one {}", event.id()));
    handled()
}

#[inbox]
async fn other(event: Event<AccountEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note(format!("other {}", event.id()));
    handled()
}

#[inbox(concurrency = 1)]
async fn slower(event: Event<AccountEvent>, State(seen): State<Seen>) -> InboxResult {
    tokio::time::sleep(Duration::from_millis(1)).await;
    seen.note(format!("slower {}", event.id()));
    handled()
}

#[inbox(concurrency = 1, timeout = "1d")]
async fn gated(_event: Event<AccountEvent>, State(gate): State<Arc<Semaphore>>) -> InboxResult {
    gate.acquire().await?.forget();
    handled()
}

const EVENTS: usize = 1_000;
const PAGE: u32 = 50;

struct World {
    faulty: Faulty,
    seen: Seen,
    gate: Arc<Semaphore>,
}

impl World {
    /// A backlog for these inboxes.
    async fn with(inboxes: &[&'static str], text: &str) -> (Self, Dispatcher<Faulty>) {
        Self::with_pages_of(PAGE, inboxes, text).await
    }

    async fn with_pages_of(page: u32, inboxes: &[&'static str], text: &str) -> (Self, Dispatcher<Faulty>) {
        let world =
            Self { faulty: Faulty::new(MemoryLog::new()), seen: Seen::default(), gate: Arc::new(Semaphore::new(0)) };
        let builder = Dispatcher::<Faulty>::builder(world.faulty.clone()).state(world.seen.clone());
        let builder = builder.state(world.gate.clone()).page(page);
        let dispatcher = builder.only(inboxes.iter().copied()).build().unwrap();
        dispatcher.register().await.unwrap();
        for _ in 0..EVENTS {
            let event = AccountEvent::Renamed { to: text.to_owned() };
            world.faulty.log().record(event.on(1).by_system()).unwrap();
        }
        (world, dispatcher)
    }

    /// What an inbox was given.
    fn given(&self, inbox: &str) -> Vec<String> {
        let lines = self.seen.lines();
        lines.iter().filter_map(|line| line.strip_prefix(inbox)?.strip_prefix(' ')).map(str::to_owned).collect()
    }
}

fn all() -> Vec<String> {
    (1..=EVENTS).map(|id| id.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn each_event_is_read_once_for_all() {
    let (world, dispatcher) = World::with(&["one", "other"], "bug").await;
    dispatcher.drain().await.unwrap();
    assert_eq!((world.given("one"), world.given("other")), (all(), all()));
    let pages = EVENTS / PAGE as usize;
    let reads = world.faulty.count(Call::Read) as usize;
    assert!((pages..=pages + 6).contains(&reads), "{reads} reads for {pages} pages");
}

/// Without that the slower one would be left behind when its next page is no longer kept, and read the rest alone.
#[tokio::test(start_paused = true)]
async fn a_lane_that_is_a_little_slower_is_waited_for() {
    let (world, dispatcher) = World::with_pages_of(10, &["one", "slower"], "bug").await;
    dispatcher.drain().await.unwrap();
    assert_eq!((world.given("one"), world.given("slower")), (all(), all()));
    let (pages, reads) = (EVENTS / 10, world.faulty.count(Call::Read) as usize);
    assert!((pages..=pages + 6).contains(&reads), "{reads} reads for {pages} pages");
}

#[tokio::test(start_paused = true)]
async fn what_is_large_is_read_in_smaller_pages() {
    let (world, dispatcher) = World::with(&["one"], &"x".repeat(80_000)).await;
    dispatcher.drain().await.unwrap();
    assert_eq!(world.given("one"), all());
    let (pages, reads) = (EVENTS / PAGE as usize, world.faulty.count(Call::Read) as usize);
    assert!(reads > pages + 10, "{reads} reads");
}

/// The lane has to load anew, as after any error: what it holds may be of a database that crashed back in time.
#[tokio::test(start_paused = true)]
async fn a_read_that_fails_ahead_is_an_error_like_any() {
    let (world, dispatcher) = World::with(&["one"], "bug").await;
    // The first is the lane's own.
    world.faulty.fail(Call::Read, 3, Fault::Refused);
    let error = dispatcher.drain().await.unwrap_err();
    assert!(error.to_string().contains("Read"), "{error}");
    assert!(world.given("one").len() < EVENTS, "not over what was read before it");
    dispatcher.drain().await.unwrap();
    let mut given = world.given("one");
    given.sort_by_key(|id| id.parse::<i64>().unwrap());
    given.dedup();
    assert_eq!(given, all());
}

#[tokio::test(start_paused = true)]
async fn it_goes_no_further_than_a_few_pages_and_ends_with_the_dispatcher() {
    let (world, dispatcher) = World::with(&["gated"], "bug").await;
    let running = dispatcher.clone();
    let run = tokio::spawn(async move { running.run(std::future::pending()).await });
    tokio::time::sleep(Duration::from_secs(60)).await;
    let reads = world.faulty.count(Call::Read);
    assert!((1..=4).contains(&reads), "{reads} reads while the first event is under way");
    assert!(Arc::strong_count(&world.gate) > 1);
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    drop(dispatcher);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&world.gate), 1, "nothing keeps the dispatcher's states");
}
