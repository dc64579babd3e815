//! What a worker holds of its logs is bounded by bytes and by events, however large events are and however many one transaction
//! recorded.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use event_core::memory::MemoryLog;
use event_core::{Dispatcher, Event, InboxResult, RecordOn, State, handled, inbox};
use kit_tests::faulty::{Call, Faulty};
use kit_tests::model::AccountEvent;
use kit_tests::seen::Seen;
use kit_tests::veil::{Recorder, Veil};

#[inbox(on(Renamed))]
async fn taker(event: Event<AccountEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note(event.id().to_string());
    handled()
}

#[inbox(on(Renamed), ordered)]
async fn one_by_one(event: Event<AccountEvent>, State(seen): State<Seen>) -> InboxResult {
    tokio::task::yield_now().await;
    seen.note(event.id().to_string());
    handled()
}

#[inbox(on(Renamed), batch = 500)]
async fn in_batches(events: Vec<Event<AccountEvent>>, State(seen): State<Seen>) -> InboxResult {
    events.iter().for_each(|event| seen.note(event.id().to_string()));
    handled()
}

macro_rules! passers {
    ($($name:ident)*) => { $(
        #[inbox(on(SignedIn))]
        async fn $name(_event: Event<AccountEvent>) -> InboxResult {
            handled()
        }
    )* };
}

passers!(passer_1 passer_2 passer_3 passer_4 passer_5 passer_6 passer_7);

const PASSERS: [&str; 7] = ["passer_1", "passer_2", "passer_3", "passer_4", "passer_5", "passer_6", "passer_7"];

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// A worker whose reads take 1 MiB at a time, on an empty log.
async fn world(inboxes: &[&'static str]) -> (Faulty, Seen, Dispatcher<Faulty>) {
    let (faulty, seen) = (Faulty::new(MemoryLog::new()), Seen::default());
    let builder = Dispatcher::<Faulty>::builder(faulty.clone()).state(seen.clone()).page_bytes(MIB);
    let dispatcher = builder.only(inboxes.iter().copied()).build().unwrap();
    dispatcher.register().await.unwrap();
    (faulty, seen, dispatcher)
}

fn record(faulty: &Faulty, events: usize, bytes: usize) {
    let text = "x".repeat(bytes);
    for _ in 0..events {
        faulty.log().record(AccountEvent::Renamed { to: text.clone() }.on(1).by_system()).unwrap();
    }
}

fn given(seen: &Seen) -> Vec<i64> {
    seen.lines().iter().map(|id| id.parse().unwrap()).collect()
}

/// The first page has nothing to learn from, and the events behind small ones are none of the size that was learned.
#[tokio::test(start_paused = true)]
async fn large_events_are_held_a_few_at_a_time_from_the_first_page_on() {
    for (inbox, small) in
        [("taker", 0), ("taker", 1_500), ("one_by_one", 0), ("one_by_one", 500), ("in_batches", 0), ("in_batches", 500)]
    {
        let (faulty, seen, dispatcher) = world(&[inbox]).await;
        record(&faulty, small, 10);
        record(&faulty, 150, 200 * KIB);
        record(&faulty, small, 10);
        faulty.measure();
        dispatcher.drain().await.unwrap();
        let all: Vec<_> = (1..).take(150 + 2 * small).collect();
        assert_eq!(given(&seen), all, "{inbox} after {small}");
        let measured = faulty.measured();
        // The pages that are kept (24 MiB by our count, twice that of the texts), those read ahead, and what is under way.
        assert!(measured.most_bytes < 20 * MIB, "{inbox} after {small}: {measured:?}");
        assert_eq!(measured.read, all.len(), "each event is read once");
    }
}

/// All of them become visible at once, below what was read, and each lane looks for them again.
#[tokio::test(start_paused = true)]
async fn many_events_of_one_transaction_are_held_a_page_at_a_time_and_read_for_all_lanes() {
    const EVENTS: usize = 3_000;
    const PAGE: usize = 100;
    let (faulty, seen) = (Faulty::new(MemoryLog::new()), Seen::default());
    let builder = Dispatcher::<Faulty>::builder(faulty.clone()).state(seen.clone()).page(PAGE as u32);
    let dispatcher = builder.only(PASSERS.into_iter().chain(["taker"])).build().unwrap();
    dispatcher.register().await.unwrap();
    record(&faulty, EVENTS + 1, 10);
    let ids = (1..).take(EVENTS).collect();
    let veil = faulty.hide(Veil::new(1, vec![Recorder { ids, commits: true, lasts: 200, after: None }]));
    faulty.measure();
    while !veil.is_lifted() {
        dispatcher.drain().await.unwrap();
    }
    let reads = faulty.count(Call::Read);
    dispatcher.drain().await.unwrap();
    let mut ids = given(&seen);
    assert_eq!(ids.remove(0), EVENTS as i64 + 1, "what was visible first");
    assert!(ids.is_sorted() && ids.len() == EVENTS, "{} events", ids.len());
    let measured = faulty.measured();
    let lanes = PASSERS.len() + 1;
    assert!(measured.most <= (lanes + 4) * PAGE, "{measured:?}");
    // Alone, each lane would read all of them.
    assert!(measured.read < 3 * EVENTS, "{measured:?} in {} reads", faulty.count(Call::Read) - reads);
}
