//! An inbox's cursor in one log: what it has read, and the holes below. Pure state and transitions, no I/O.
//!
//! Every id is, at every instant and after every crash, in exactly one place:
//!
//! * above `high`: not read yet,
//! * a *hole*: **missing** (given out, not visible yet) or **in flight** (given to the lane, not finished),
//! * a failure row, written in the transaction that closes the hole,
//! * done: everything else up to `high`.
//!
//! So saving a cursor at any moment loses nothing, and loading it delivers again at most what was in flight.

mod ids;

use std::hash::{Hash, Hasher};

pub use ids::{BadIdSet, IdSet};

/// How far ahead of the newest started event the ceiling is saved at most, in ids.
pub const CEILING_BLOCK: i64 = 4_000;

/// How far at first, and at a slow pace: what lies between `high` and the ceiling at a crash runs alone after it.
pub const CEILING_BLOCK_MIN: i64 = 16;

/// A cursor as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SavedCursor {
    /// The highest id read.
    pub high: i64,
    /// Ids up to here may have been started.
    pub ceiling: i64,
    /// Ids below `high` that were not visible yet.
    pub missing: IdSet,
    /// Ids that were given to the lane and not finished.
    pub in_flight: IdSet,
}

/// A cursor at work.
#[derive(Clone, Debug, Default)]
pub struct Cursor {
    high: i64,
    ceiling: i64,
    missing: IdSet,
    in_flight: IdSet,
    /// In flight too: the last one taken, which mostly is done before the next one is, and then never comes into the set.
    last_taken: Option<i64>,
    /// In flight when the cursor was loaded: to be read from the log again. They count as in flight when saved.
    recovering: IdSet,
    /// Ids up to here may have been started by whoever had the cursor before.
    suspect_to: i64,
}

/// Two that hold the same are equal, however they came to it.
impl PartialEq for Cursor {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Cursor {}

impl Hash for Cursor {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl Cursor {
    /// Takes over a stored cursor: what was in flight has to be read again, and what may have been started is suspect.
    #[must_use]
    pub fn load(saved: SavedCursor) -> Self {
        Self {
            high: saved.high,
            ceiling: saved.ceiling,
            missing: saved.missing,
            in_flight: IdSet::new(),
            last_taken: None,
            recovering: saved.in_flight,
            suspect_to: saved.ceiling,
        }
    }

    /// What to store. Right at any moment: whatever is not finished is a hole or above `high`.
    #[must_use]
    pub fn save(&self) -> SavedCursor {
        let mut in_flight = self.in_flight();
        in_flight.extend(&self.recovering);
        SavedCursor { high: self.high, ceiling: self.ceiling, missing: self.missing.clone(), in_flight }
    }

    /// The highest id read.
    pub fn high(&self) -> i64 {
        self.high
    }

    /// The ids below `high` that a read has to look for again: the missing ones, and those in flight at the takeover.
    #[must_use]
    pub fn wanted_again(&self) -> IdSet {
        let mut ids = self.missing.clone();
        ids.extend(&self.recovering);
        ids
    }

    /// The ids not visible yet.
    pub fn missing(&self) -> &IdSet {
        &self.missing
    }

    /// Whether nothing is missing and nothing in flight.
    pub fn has_no_holes(&self) -> bool {
        self.missing.is_empty() && !self.has_in_flight() && self.recovering.is_empty()
    }

    /// The next event of a read: above `high` the ids between become missing; below it the event closes its hole. The
    /// event itself is in flight from here on, until [`Cursor::finish`]. False if it is no business of this cursor (done
    /// already, or in flight), which a read of this cursor never brings.
    pub fn take(&mut self, id: i64) -> bool {
        if id > self.high {
            self.missing.insert_range(self.high + 1..=id - 1);
            self.high = id;
        } else if !self.missing.remove(id) && !self.recovering.remove(id) {
            return false;
        }
        if let Some(before) = self.last_taken.replace(id) {
            self.in_flight.insert(before);
        }
        true
    }

    /// The next event of a read, if it is nobody's business here: as [`Cursor::take`] and [`Cursor::finish`] at once.
    pub fn pass(&mut self, id: i64) {
        if id > self.high {
            self.missing.insert_range(self.high + 1..=id - 1);
            self.high = id;
        } else {
            self.missing.remove(id);
            self.recovering.remove(id);
        }
    }

    /// An event taken before is done, or its failure row is about to be written in the same save.
    pub fn finish(&mut self, id: i64) {
        if self.last_taken == Some(id) {
            self.last_taken = None;
        } else {
            self.in_flight.remove(id);
        }
    }

    /// Ids proved dead: they will never be visible.
    pub fn settle(&mut self, dead: &IdSet) {
        self.missing.remove_all(dead);
    }

    /// Ids in flight at the takeover that a read did not find: the log lost them (retention), they can't be delivered.
    pub fn forget(&mut self, gone: &IdSet) {
        self.recovering.remove_all(gone);
    }

    /// The ids given to the lane and not finished.
    #[must_use]
    pub fn in_flight(&self) -> IdSet {
        let mut in_flight = self.in_flight.clone();
        if let Some(last) = self.last_taken {
            in_flight.insert(last);
        }
        in_flight
    }

    fn parts(&self) -> (i64, i64, &IdSet, IdSet, &IdSet, i64) {
        (self.high, self.ceiling, &self.missing, self.in_flight(), &self.recovering, self.suspect_to)
    }

    fn has_in_flight(&self) -> bool {
        self.last_taken.is_some() || !self.in_flight.is_empty()
    }

    /// The ids in flight at the takeover that were not read again yet.
    pub fn recovering(&self) -> &IdSet {
        &self.recovering
    }

    /// Whether whoever had the cursor before may have started this event: it runs alone, its attempt counted first.
    pub fn is_suspect(&self, id: i64) -> bool {
        id <= self.suspect_to
    }

    /// Whether the stored ceiling covers the event, so that it may be started.
    pub fn may_start(&self, id: i64) -> bool {
        id <= self.ceiling
    }

    /// Raises the ceiling a block above the event; the caller saves it before it starts the event.
    pub fn raise_ceiling(&mut self, id: i64, block: i64) {
        self.ceiling = self.ceiling.max(id.saturating_add(block.clamp(1, CEILING_BLOCK)));
    }

    /// At an orderly stop with nothing in flight, this owner started nothing above `high`: the next one has no suspects there
    /// but those that this one had itself.
    pub fn lower_ceiling(&mut self) {
        if !self.has_in_flight() && self.recovering.is_empty() {
            self.ceiling = self.high.max(self.suspect_to);
        }
    }
}

#[cfg(test)]
mod tests;
