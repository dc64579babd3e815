//! The cursor against a model: a plain set of what is done.

mod crashes;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[test]
fn ids_between_become_missing_and_close_when_they_come() {
    let mut cursor = Cursor::default();
    assert!(cursor.take(3));
    assert_eq!(cursor.missing().to_string(), "1-2");
    assert!(cursor.take(2));
    assert_eq!(cursor.missing().to_string(), "1");
    cursor.finish(3);
    let saved = cursor.save();
    assert_eq!((saved.high, saved.in_flight.to_string().as_str()), (3, "2"));
    assert!(!cursor.take(3), "done already");
    cursor.settle(&"1".parse().unwrap());
    cursor.finish(2);
    assert!(cursor.has_no_holes());
}

#[test]
fn cursors_that_hold_the_same_are_equal_however_they_came_to_it() {
    let cursor = |taken: &[i64], finished: &[i64]| {
        let mut cursor = Cursor::default();
        for &id in taken {
            assert!(cursor.take(id));
        }
        finished.iter().for_each(|&id| cursor.finish(id));
        cursor
    };
    let hash = |cursor: &Cursor| {
        std::hash::BuildHasher::hash_one(&std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default(), cursor)
    };
    let (one, other) = (cursor(&[1, 2, 3], &[1, 3]), cursor(&[1, 3, 2], &[1, 3]));
    assert_eq!((&one, hash(&one)), (&other, hash(&other)));
    assert_ne!(one, cursor(&[1, 2, 3], &[1, 2]));
}

#[test]
fn what_was_in_flight_is_read_again_after_a_takeover_and_suspect() {
    let mut cursor = Cursor::default();
    cursor.raise_ceiling(1, CEILING_BLOCK);
    cursor.take(1);
    cursor.take(2);
    cursor.finish(2);
    let mut taken_over = Cursor::load(cursor.save());
    assert_eq!(taken_over.wanted_again().to_string(), "1");
    assert!(taken_over.is_suspect(1) && taken_over.is_suspect(1 + CEILING_BLOCK));
    assert!(!taken_over.is_suspect(2 + CEILING_BLOCK));
    assert_eq!(taken_over.save().in_flight.to_string(), "1", "saved before it was read again: still a hole");
    assert!(taken_over.take(1));
    taken_over.finish(1);
    assert!(taken_over.has_no_holes());
}

#[test]
fn an_orderly_stop_leaves_no_suspects_above_high() {
    let mut cursor = Cursor::default();
    cursor.raise_ceiling(1, CEILING_BLOCK);
    cursor.take(1);
    cursor.lower_ceiling();
    assert!(cursor.may_start(500), "something is in flight: the ceiling stays");
    cursor.finish(1);
    cursor.lower_ceiling();
    assert!(!Cursor::load(cursor.save()).is_suspect(2));
}

#[test]
fn an_orderly_stop_keeps_the_suspects_that_it_did_not_come_to() {
    let mut first = Cursor::default();
    first.raise_ceiling(1, CEILING_BLOCK_MIN);
    first.take(1);
    first.finish(1);
    // Saved here. It starts 2, which kills it; the next owner is stopped before it reads anything.
    let mut second = Cursor::load(first.save());
    second.lower_ceiling();
    let mut third = Cursor::load(second.save());
    assert!(third.is_suspect(2), "2 was started, and nobody counted it");
    for id in 2..=1 + CEILING_BLOCK_MIN {
        third.take(id);
        third.finish(id);
    }
    third.lower_ceiling();
    assert!(!Cursor::load(third.save()).is_suspect(2 + CEILING_BLOCK_MIN), "it came to all of them");
}

#[test]
fn stored_sets_that_are_none_are_refused() {
    for text in ["x", "1-", "9-3", "0", "-4", "1,,2-x"] {
        assert!(text.parse::<IdSet>().is_err(), "{text}");
    }
    assert_eq!("1,,2".parse::<IdSet>().unwrap().to_string(), "1-2");
}

#[derive(Clone, Debug)]
enum Step {
    /// Make an id visible (it commits) and read everything.
    Read(Vec<i64>),
    Finish(usize),
    SettleBelow(i64),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        prop::collection::vec(1_i64..60, 1..6).prop_map(Step::Read),
        (0_usize..8).prop_map(Step::Finish),
        (1_i64..60).prop_map(Step::SettleBelow),
        Just(Step::Crash),
    ]
}

proptest! {
    /// Whatever is read, finished, settled and crashed in whatever order: every visible id that was not settled dead first
    /// is done, in flight, or wanted again; and the done ones are never delivered again unless a crash lost the save.
    #[test]
    fn nothing_is_lost_and_nothing_done_is_delivered_again(steps in prop::collection::vec(step(), 1..60)) {
        let mut cursor = Cursor::default();
        let mut visible = BTreeSet::new();
        let mut dead = BTreeSet::new();
        let mut done = BTreeSet::new();
        let mut flying: Vec<i64> = Vec::new();
        for step in steps {
            match step {
                Step::Read(ids) => {
                    visible.extend(ids.into_iter().filter(|id| !dead.contains(id)));
                    let again = cursor.wanted_again();
                    let high = cursor.high();
                    for &id in visible.iter().filter(|&&id| id > high || again.contains(id)) {
                        prop_assert!(cursor.take(id));
                        prop_assert!(!done.contains(&id), "{} delivered twice", id);
                        flying.push(id);
                    }
                }
                Step::Finish(nth) => {
                    if !flying.is_empty() {
                        let id = flying.remove(nth % flying.len());
                        cursor.finish(id);
                        done.insert(id);
                    }
                }
                Step::SettleBelow(limit) => {
                    let proved: IdSet = (1..limit).filter(|&id| cursor.missing().contains(id) && !visible.contains(&id)).collect();
                    for range in proved.ranges() {
                        dead.extend(range.clone());
                    }
                    cursor.settle(&proved);
                }
                Step::Crash => {
                    // Saved at this very moment, then loaded: what was flying comes again.
                    let text = (cursor.save().missing.to_string(), cursor.save().in_flight.to_string());
                    let saved = SavedCursor { missing: text.0.parse().unwrap(), in_flight: text.1.parse().unwrap(), ..cursor.save() };
                    prop_assert_eq!(&saved, &cursor.save());
                    cursor = Cursor::load(saved);
                    flying.clear();
                }
            }
            let again = cursor.wanted_again();
            for &id in &visible {
                let places = usize::from(done.contains(&id)) + usize::from(flying.contains(&id))
                    + usize::from(again.contains(id)) + usize::from(id > cursor.high());
                prop_assert_eq!(places, 1, "{} is in {} places", id, places);
            }
        }
    }
}
