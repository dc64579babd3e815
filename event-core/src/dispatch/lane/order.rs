//! The order of an `ordered` inbox: one subject's events one after another, those behind a failed one parked until it ends.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::Taken;
use crate::names::SubjectRef;

/// The most events that wait in memory for an earlier one of their subject; the lane takes no more until they are fewer.
const QUEUE_MAX: usize = 1_000;

/// A subject in one of the lane's logs.
pub(super) type SubjectKey = (usize, SubjectRef);

#[derive(Default)]
pub(super) struct Order {
    /// Subjects with a delivery under way, and the events that wait for it.
    busy: HashMap<SubjectKey, VecDeque<Taken>>,
    /// The open failure rows of a subject: later events park behind them.
    open: HashMap<SubjectKey, Rows>,
    queued: usize,
    /// About how many bytes of memory the queued events take, and may take.
    bytes: usize,
    max_bytes: usize,
}

/// The open failure rows of one subject, by event.
#[derive(Default)]
struct Rows {
    /// Those that wait for a time: one, and those that an operator revived.
    active: BTreeSet<i64>,
    /// Those that wait for the active ones' end.
    parked: BTreeSet<i64>,
    /// Whether an active one runs just now.
    running: bool,
}

/// What to do with an event that was just read.
pub(super) enum Admitted {
    Start(Taken),
    Queued,
    Park(Taken),
}

/// What follows from an event's end.
#[derive(Default)]
pub(super) struct Following {
    pub(super) start: Option<Taken>,
    pub(super) park: VecDeque<Taken>,
}

impl Order {
    /// Nothing is under way. Waiting events may take about so many bytes of memory before the lane takes no more.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, ..Self::default() }
    }

    fn queues(&mut self, taken: &Taken) {
        self.queued += 1;
        self.bytes += taken.event.stored().size_in_memory();
    }

    fn leaves(&mut self, taken: &Taken) {
        self.queued -= 1;
        self.bytes -= taken.event.stored().size_in_memory();
    }

    /// A failure row that stands open.
    pub(super) fn add_row(&mut self, key: SubjectKey, event: i64, parked: bool) {
        let rows = self.open.entry(key).or_default();
        let set = if parked { &mut rows.parked } else { &mut rows.active };
        set.insert(event);
    }

    /// Whether a failure row may be tried now; if so it counts as running. Not while its subject has another delivery under
    /// way: an operator may have revived a dead letter that later events did not wait for.
    pub(super) fn begin_row(&mut self, key: &SubjectKey, event: i64) -> bool {
        let rows = self.open.entry(key.clone()).or_default();
        rows.active.insert(event);
        let free = !rows.running && !self.busy.contains_key(key);
        rows.running |= free;
        free
    }

    /// The attempt at a failure row is over; the row stands on.
    pub(super) fn row_waits(&mut self, key: &SubjectKey) {
        if let Some(rows) = self.open.get_mut(key) {
            rows.running = false;
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.queued >= QUEUE_MAX || self.queued > 0 && self.bytes >= self.max_bytes
    }

    /// Whether the subject has an open failure row.
    pub(super) fn is_blocked(&self, key: &SubjectKey) -> bool {
        self.open.contains_key(key)
    }

    /// The subject has a delivery under way, and nothing waits for it.
    pub(super) fn begin(&mut self, key: SubjectKey) {
        self.busy.entry(key).or_default();
    }

    pub(super) fn admit(&mut self, taken: Taken) -> Admitted {
        let key = taken.subject_key();
        if self.is_blocked(&key) {
            self.add_row(key, taken.id(), true);
            return Admitted::Park(taken);
        }
        if self.busy.contains_key(&key) {
            self.queues(&taken);
            self.busy.entry(key).or_default().push_back(taken);
            return Admitted::Queued;
        }
        self.busy.insert(key, VecDeque::new());
        Admitted::Start(taken)
    }

    /// The end of an event's first delivery; `open` if a failure row waits for its next attempt.
    pub(super) fn delivered(&mut self, key: &SubjectKey, event: i64, open: bool) -> Following {
        let mut following = Following::default();
        if open {
            following.park = self.busy.remove(key).unwrap_or_default();
            for taken in &following.park {
                self.leaves(taken);
            }
            self.add_row(key.clone(), event, false);
            for taken in &following.park {
                self.add_row(key.clone(), taken.id(), true);
            }
        } else if let Some(queue) = self.busy.get_mut(key) {
            following.start = queue.pop_front();
            match &following.start {
                Some(next) => self.leaves(next),
                None => drop(self.busy.remove(key)),
            }
        }
        following
    }

    /// The end of a failure row: removed, or dead. The parked event whose turn has come, if no other row is active.
    pub(super) fn row_ended(&mut self, key: &SubjectKey, event: i64) -> Option<i64> {
        let rows = self.open.get_mut(key)?;
        rows.running = false;
        rows.active.remove(&event);
        if !rows.active.is_empty() {
            return None;
        }
        let next = rows.parked.pop_first();
        match next {
            Some(next) => drop(rows.active.insert(next)),
            None => drop(self.open.remove(key)),
        }
        next
    }
}
