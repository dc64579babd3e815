//! What the database holds of the inbox: its cursor's row and its failure rows.

use std::collections::BTreeMap;

use event_core::cursor::SavedCursor;
use event_core::storage::CursorSave;

/// The rows about the inbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stored {
    /// The cursor.
    pub cursor: SavedCursor,
    /// Raised by every claim.
    pub epoch: u8,
    /// Raised by every save. Only differences matter: kept at 0, and the lanes' knowledge of it beside it.
    pub saves: i64,
    /// The failure rows.
    pub failures: BTreeMap<i64, Row>,
}

/// A failure row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// Attempts begun so far.
    pub attempts: u8,
    /// What it waits for.
    pub state: RowState,
}

/// What a failure row waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowState {
    /// Its next attempt; time is not modelled, so it may be due at any moment.
    Waiting,
    /// The end of the attempt under way.
    Begun,
    /// Its next attempt, after a claim found it begun: it runs alone.
    Interrupted,
    /// Nothing: a dead letter.
    Dead,
}

/// A change of a failure row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// A new row.
    Insert(i64, Row),
    /// The row as it is now, if its attempts were these.
    Update(i64, Row, u8),
    /// No row any more, if its attempts were these.
    Remove(i64, u8),
}

/// A save.
#[derive(Clone, Debug)]
pub struct Save {
    /// The first half of the fence.
    pub epoch: Option<u8>,
    /// The cursor, with the other half.
    pub cursor: CursorSave,
    /// The failure rows to change.
    pub changes: Vec<Change>,
}

impl Stored {
    /// Whether the event is done: read, no hole, no failure row.
    pub fn is_done(&self, id: i64) -> bool {
        id <= self.cursor.high && !self.is_hole(id) && !self.failures.contains_key(&id)
    }

    /// Whether the event is above `high`, or a hole.
    pub fn is_open(&self, id: i64) -> bool {
        id > self.cursor.high || self.is_hole(id)
    }

    fn is_hole(&self, id: i64) -> bool {
        self.cursor.missing.contains(id) || self.cursor.in_flight.contains(id)
    }

    /// Raises the epoch, and makes due again what was begun and not ended.
    pub fn raise_epoch(&mut self) {
        self.epoch += 1;
        for row in self.failures.values_mut() {
            if row.state == RowState::Begun {
                row.state = RowState::Interrupted;
            }
        }
    }

    /// One transaction, all or nothing; false if it is refused.
    pub fn apply(&mut self, save: &Save, counter_fences: bool) -> bool {
        let fenced = save.epoch != Some(self.epoch) || counter_fences && save.cursor.saves != self.saves;
        if fenced || !self.change_failures(&save.changes) {
            return false;
        }
        save.cursor.apply(&mut self.cursor);
        self.saves += 1;
        true
    }

    fn change_failures(&mut self, changes: &[Change]) -> bool {
        if changes.is_empty() {
            return true;
        }
        let mut failures = self.failures.clone();
        for change in changes {
            let before = |id| failures.get(id).copied();
            let agrees = match change {
                Change::Insert(id, _) => before(id).is_none_or(|row| row.state == RowState::Dead),
                Change::Update(id, _, attempts) | Change::Remove(id, attempts) => {
                    before(id).is_some_and(|row| row.attempts == *attempts)
                }
            };
            if !agrees {
                return false;
            }
            match change {
                Change::Insert(id, row) | Change::Update(id, row, _) => failures.insert(*id, *row),
                Change::Remove(id, _) => failures.remove(id),
            };
        }
        self.failures = failures;
        true
    }
}
