//! The log and the transactions that record into it.

use crate::bits::Bits;

/// A log: ids are drawn at an insert, and become visible at its commit or never, in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Log {
    /// The highest id given out.
    pub newest: i64,
    /// The committed events.
    pub visible: Bits,
    /// How many transactions have begun.
    pub begun: i64,
    /// Those that are not over, in the order in which they began.
    pub open: Vec<Recorder>,
    /// By id, from 1: what was visible when it was drawn. Events among these may be earlier ones of its subject. Empty where
    /// nobody watches.
    pub earlier: Vec<Bits>,
}

/// A transaction that records.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recorder {
    /// What the database's lock list shows of it: a number of its own, or its slot.
    pub place: i64,
    /// Whether it holds its lock.
    pub locked: bool,
    /// The ids that it drew.
    pub ids: Bits,
    /// Whether its commit is half done: the ids visible, the lock not let go of yet.
    pub committing: bool,
}

impl Log {
    /// What the lock list shows now.
    pub fn holders(&self) -> Bits {
        self.open.iter().filter(|recorder| recorder.locked).map(|recorder| recorder.place).collect()
    }

    /// The number of the newest transaction that is over, where numbers are given out one after another.
    pub fn newest_completed(&self) -> Option<i64> {
        (0..self.begun).rev().find(|&number| self.open.iter().all(|recorder| recorder.place != number))
    }

    /// Whether the id is neither visible nor ever will be.
    pub fn is_dead(&self, id: i64) -> bool {
        id <= self.newest && !self.visible.contains(id) && !self.open.iter().any(|recorder| recorder.ids.contains(id))
    }
}
