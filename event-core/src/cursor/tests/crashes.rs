//! The cursor under crashes that lose what was not saved, with suspects, events that nobody wants, and events that are deleted.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// These become visible, unless they are dead.
    Commit(Vec<i64>),
    /// A page of so many events is read, and delivery starts.
    Read(usize),
    /// One of those under way ends.
    Finish(usize),
    /// Missing ids below this one are proved dead.
    Settle(i64),
    /// The log loses an event.
    Delete(i64),
    Save,
    /// What was not saved is lost.
    Crash,
    /// An orderly stop: what is under way is dropped, the rest saved.
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::collection::vec(1_i64..40, 1..6).prop_map(Step::Commit),
        4 => (1_usize..6).prop_map(Step::Read),
        4 => (0_usize..8).prop_map(Step::Finish),
        1 => (1_i64..40).prop_map(Step::Settle),
        1 => (1_i64..40).prop_map(Step::Delete),
        2 => Just(Step::Save),
        1 => Just(Step::Crash),
        1 => Just(Step::Stop),
    ]
}

fn is_wanted(id: i64) -> bool {
    id % 5 != 0
}

/// The log, the stored cursor and a lane, each with what it ought to know.
#[derive(Default)]
struct World {
    visible: BTreeSet<i64>,
    dead: BTreeSet<i64>,
    stored: SavedCursor,
    /// Done by the last save, and by now.
    done_when_stored: BTreeSet<i64>,
    done: BTreeSet<i64>,
    cursor: Cursor,
    under_way: Vec<i64>,
    /// All that was ever started.
    started: BTreeSet<i64>,
}

impl World {
    fn make(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Commit(ids) => self.visible.extend(ids.into_iter().filter(|id| !self.dead.contains(id))),
            Step::Read(limit) => self.read(limit)?,
            Step::Finish(nth) => self.finish(nth),
            Step::Settle(below) => self.settle(below),
            Step::Delete(id) => {
                self.visible.remove(&id);
                self.dead.insert(id);
            }
            Step::Save => self.save(),
            Step::Crash => self.load(),
            Step::Stop => {
                self.cursor.lower_ceiling();
                self.save();
                self.load();
            }
        }
        Ok(())
    }

    fn read(&mut self, limit: usize) -> Result<(), TestCaseError> {
        let (high, again) = (self.cursor.high(), self.cursor.wanted_again());
        let mut page: BTreeSet<i64> = self.visible.range(high + 1..).take(limit).copied().collect();
        page.extend(self.visible.iter().filter(|id| again.contains(**id)));
        let mut gone = self.cursor.recovering().clone();
        gone.remove_all(&page.iter().copied().collect());
        self.cursor.forget(&gone);
        for id in page {
            prop_assert!(!self.done.contains(&id), "{} is done, and read again", id);
            if !is_wanted(id) {
                self.cursor.pass(id);
                self.done.insert(id);
                continue;
            }
            prop_assert!(self.cursor.take(id), "{} was read, and is no business of the cursor", id);
            self.under_way.push(id);
            if !self.cursor.may_start(id) {
                self.cursor.raise_ceiling(id, 4);
                self.save();
            }
            self.started.insert(id);
        }
        Ok(())
    }

    fn finish(&mut self, nth: usize) {
        if !self.under_way.is_empty() {
            let id = self.under_way.remove(nth % self.under_way.len());
            self.cursor.finish(id);
            self.done.insert(id);
        }
    }

    fn settle(&mut self, below: i64) {
        let proved: BTreeSet<i64> = self.cursor.missing().ranges().cloned().flatten().collect();
        let proved: BTreeSet<i64> = proved.range(..below).copied().filter(|id| !self.visible.contains(id)).collect();
        self.cursor.settle(&proved.iter().copied().collect());
        self.dead.extend(proved);
    }

    fn save(&mut self) {
        self.stored = self.cursor.save();
        self.done_when_stored.clone_from(&self.done);
    }

    fn load(&mut self) {
        self.cursor = Cursor::load(self.stored.clone());
        self.done.clone_from(&self.done_when_stored);
        self.under_way.clear();
    }

    /// Every event is in exactly one place, in memory and in what is stored.
    fn check(&self) -> Result<(), TestCaseError> {
        let again = self.cursor.wanted_again();
        let next = Cursor::load(self.stored.clone());
        for &id in &self.visible {
            let now =
                [id > self.cursor.high(), again.contains(id), self.under_way.contains(&id), self.done.contains(&id)];
            prop_assert_eq!(count(now), 1, "{} in memory: above, wanted again, under way, done: {:?}", id, now);
            let stored = [
                id > self.stored.high,
                self.stored.missing.contains(id),
                self.stored.in_flight.contains(id),
                self.done_when_stored.contains(&id),
            ];
            prop_assert_eq!(count(stored), 1, "{} as stored: above, missing, in flight, done: {:?}", id, stored);
            let known = next.is_suspect(id) || self.done_when_stored.contains(&id) || !self.started.contains(&id);
            prop_assert!(known, "{} was started, and the next owner would not know", id);
        }
        Ok(())
    }
}

fn count(places: [bool; 4]) -> usize {
    places.into_iter().filter(|&there| there).count()
}

proptest! {
    /// Nothing is lost and nothing done comes again, but for what a crash found not saved; and what was started is a suspect
    /// to whoever comes after. In the end everything that is visible is done, and no hole is left.
    #[test]
    fn a_crash_brings_back_what_was_not_saved_and_no_more(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::default();
        for step in steps {
            world.make(step)?;
            world.check()?;
        }
        world.read(usize::MAX)?;
        world.settle(i64::MAX);
        while !world.under_way.is_empty() {
            world.finish(0);
        }
        world.save();
        world.check()?;
        prop_assert!(world.cursor.has_no_holes(), "{:?}", world.cursor);
        prop_assert!(world.visible.is_subset(&world.done));
    }
}
