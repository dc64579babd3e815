//! The order of an `ordered` inbox: one subject's events one after another, those behind a failed one parked until it ends.

use std::collections::{HashMap, VecDeque};

use super::lane::Taken;
use crate::names::SubjectRef;

/// The most events that wait in memory for an earlier one of their subject; the lane takes no more until they are fewer.
const QUEUE_MAX: usize = 1_000;

/// A subject in one of the lane's logs.
pub(crate) type SubjectKey = (usize, SubjectRef);

#[derive(Default)]
pub(crate) struct Order {
    /// Subjects with a delivery under way, and the events that wait for it.
    busy: HashMap<SubjectKey, VecDeque<Taken>>,
    /// How many open failure rows a subject has: later events park behind them.
    open: HashMap<SubjectKey, u64>,
    queued: usize,
}

/// What to do with an event that was just read.
pub(crate) enum Admitted {
    Start(Taken),
    Queued,
    Park(Taken),
}

/// What follows from an event's end.
#[derive(Default)]
pub(crate) struct Following {
    pub(crate) start: Option<Taken>,
    pub(crate) park: VecDeque<Taken>,
    pub(crate) unpark: bool,
}

impl Order {
    pub(crate) fn set_open(&mut self, key: SubjectKey, rows: u64) {
        self.open.insert(key, rows);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.queued >= QUEUE_MAX
    }

    /// Whether the subject has an open failure row.
    pub(crate) fn is_blocked(&self, key: &SubjectKey) -> bool {
        self.open.contains_key(key)
    }

    /// One more open failure row of the subject.
    pub(crate) fn block(&mut self, key: SubjectKey) {
        *self.open.entry(key).or_default() += 1;
    }

    /// The subject has a delivery under way, and nothing waits for it.
    pub(crate) fn begin(&mut self, key: SubjectKey) {
        self.busy.entry(key).or_default();
    }

    pub(crate) fn admit(&mut self, taken: Taken) -> Admitted {
        let key = taken.subject_key();
        if self.is_blocked(&key) {
            self.block(key);
            return Admitted::Park(taken);
        }
        if let Some(queue) = self.busy.get_mut(&key) {
            queue.push_back(taken);
            self.queued += 1;
            return Admitted::Queued;
        }
        self.busy.insert(key, VecDeque::new());
        Admitted::Start(taken)
    }

    /// The end of an event's first delivery; `open` if a failure row waits for its next attempt.
    pub(crate) fn delivered(&mut self, key: &SubjectKey, open: bool) -> Following {
        let mut following = Following::default();
        if open {
            following.park = self.busy.remove(key).unwrap_or_default();
            self.queued -= following.park.len();
            self.open.insert(key.clone(), 1 + following.park.len() as u64);
        } else if let Some(queue) = self.busy.get_mut(key) {
            following.start = queue.pop_front();
            match following.start {
                Some(_) => self.queued -= 1,
                None => drop(self.busy.remove(key)),
            }
        }
        following
    }

    /// The end of a failure row: removed, or dead. Whether the next parked event's turn has come.
    pub(crate) fn row_ended(&mut self, key: &SubjectKey) -> bool {
        let Some(rows) = self.open.get_mut(key) else { return false };
        *rows = rows.saturating_sub(1);
        let more = *rows > 0;
        if !more {
            self.open.remove(key);
        }
        more
    }
}
