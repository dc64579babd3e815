//! Hundreds of holes that an idle recorder keeps open, while others come and go between any two calls of the storage: a
//! subject's events are delivered in the order of their commits, each once, and what never committed never.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use event_core::memory::MemoryLog;
use event_core::{Dispatcher, Event, InboxResult, RecordOn, State, handled, inbox};
use kit_tests::faulty::Faulty;
use kit_tests::model::AccountEvent;
use kit_tests::seen::Seen;
use kit_tests::veil::{Recorder, Veil};

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

const EVENTS: i64 = 3_000;
const PAGE: u32 = 50;

/// Which recorders there are. The idler draws every second id of the first part; pairs of others record on one subject, one
/// after the other, and draw their ids from anywhere.
fn recorders(seed: u64) -> (Vec<Recorder>, Vec<(i64, i64)>) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let idle = (1..=800).filter(|id| id % 2 == 0).collect();
    let mut recorders = vec![Recorder { ids: idle, commits: dice.bool(), lasts: 300, after: None }];
    // Beyond the idler's, every third page has no hole at all.
    let mut free: Vec<i64> = (1..=EVENTS).filter(|id| if *id > 800 { id / 50 % 3 > 0 } else { id % 2 == 1 }).collect();
    dice.shuffle(&mut free);
    free.truncate(800);
    // Half of the pairs are a few pages apart, so that both are near what is read just now.
    let (far, near) = free.split_at_mut(400);
    near.sort_unstable();
    let near = near.chunks(20).flat_map(|some| some.iter().zip(&some[10..]));
    let drawn: Vec<(i64, i64)> =
        far.chunks(2).map(|pair| (pair[0], pair[1])).chain(near.map(|(a, b)| (*a, *b))).collect();
    let mut pairs = Vec::new();
    for (one, other) in drawn {
        let (first, second) = (one.min(other), one.max(other));
        // Some end before anybody looks, some in the middle.
        let lasts = dice.u64(0..300);
        recorders.push(Recorder { ids: vec![first], commits: dice.u8(0..4) > 0, lasts, after: None });
        let before = recorders.len() - 1;
        recorders.push(Recorder { ids: vec![second], commits: dice.u8(0..4) > 0, lasts: 0, after: Some(before) });
        pairs.push((first, second));
    }
    (recorders, pairs)
}

#[tokio::test(start_paused = true)]
async fn commits_are_seen_in_their_order_over_many_holes() {
    // With these are found: known holes that moved before the look that comes first, or before the one that comes last, and a page
    // that was read after the look that is to cover it, and new holes of a page that was read before the listing they are looked up in.
    for seed in (0..10).chain([25, 50]) {
        let faulty = Faulty::new(MemoryLog::new());
        let seen = Seen::default();
        let builder = Dispatcher::<Faulty>::builder(faulty.clone()).state(seen.clone()).page(PAGE);
        let dispatcher = builder.only(["one", "other"]).build().unwrap();
        dispatcher.register().await.unwrap();
        for _ in 0..EVENTS {
            faulty.log().record(AccountEvent::SignedIn.on(1).by_system()).unwrap();
        }
        let (recorders, pairs) = recorders(seed);
        let dead: Vec<_> =
            recorders.iter().filter(|recorder| !recorder.commits).flat_map(|recorder| recorder.ids.clone()).collect();
        let veil = faulty.hide(Veil::new(seed, recorders));
        for _ in 0..1_000 {
            dispatcher.drain().await.unwrap();
            if veil.is_lifted() {
                break;
            }
        }
        assert!(veil.is_lifted());
        dispatcher.drain().await.unwrap();
        for inbox in ["one", "other"] {
            let mut places = BTreeMap::new();
            let lines = seen.lines();
            let given = lines.iter().filter_map(|line| line.strip_prefix(inbox)?.trim().parse::<i64>().ok());
            for (place, id) in given.enumerate() {
                assert_eq!(places.insert(id, place), None, "seed {seed}: {inbox} was given {id} twice");
            }
            let committed: Vec<_> = (1..=EVENTS).filter(|id| !dead.contains(id)).collect();
            assert_eq!(places.keys().copied().collect::<Vec<_>>(), committed, "seed {seed}: {inbox}");
            for (first, second) in &pairs {
                if let (Some(a), Some(b)) = (places.get(first), places.get(second)) {
                    assert!(a < b, "seed {seed}: {inbox} was given {second} before {first}, which committed before it");
                }
            }
        }
    }
}
