//! What the in-memory log holds, and its changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::throttle::ThrottleState;
use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::MemoryError;
use crate::cursor::SavedCursor;
use crate::names::{EventRef, LogName};
use crate::recorded::StoredEvent;
use crate::recording::{NewEvent, Saved};
use crate::storage::{Failure, FailureChange, FailureKey, FailureState, Pause, PauseChange, Save, StorageError};

#[derive(Debug, Default)]
pub(super) struct State {
    logs: HashMap<LogName, Vec<Arc<StoredEvent>>>,
    pub(super) cursors: BTreeMap<(String, LogName), CursorRow>,
    pub(super) leases: HashMap<String, Lease>,
    pub(super) failures: BTreeMap<FailureKey, Failure>,
    /// What throttles remember, by log and name.
    throttles: HashMap<(&'static str, String), ThrottleState>,
    /// The pauses of inboxes, by name.
    pub(super) pauses: HashMap<String, Pause>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct CursorRow {
    pub(super) cursor: SavedCursor,
    pub(super) saves: i64,
    pub(super) epoch: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) owner: String,
    pub(super) epoch: i64,
    pub(super) until: Instant,
}

impl State {
    pub(super) fn events(&self, log: &LogName) -> &[Arc<StoredEvent>] {
        self.logs.get(log).map_or(&[], Vec::as_slice)
    }

    pub(super) fn append(&mut self, new: NewEvent, now: DateTime<Utc>) -> Result<Saved, MemoryError> {
        if !new.attachments.is_empty() {
            return Err(MemoryError::Attachments);
        }
        let events = self.logs.entry(LogName::from_static(new.log)).or_default();
        if let Some(key) = &new.idempotency_key
            && let Some(existing) = events.iter().find(|event| event.idempotency_key.as_deref() == Some(key))
        {
            let at = existing.at.clone();
            return if new.is_same_as(existing) {
                Ok(Saved::AlreadyRecorded(at))
            } else {
                Err(MemoryError::KeyConflict { existing: at })
            };
        }
        if let Some(gate) = &new.throttle {
            let key = (new.log, gate.name.clone());
            let before = self.throttles.get(&key).copied();
            if let Some(until) = before.and_then(|before| gate.taken_until(&before)) {
                return Ok(Saved::Throttled { until });
            }
            self.throttles.insert(key, gate.taken(before));
        }
        let id = events.last().map_or(0, |event| event.id()) + 1;
        let at = EventRef::new(new.log, id);
        events.push(Arc::new(new.into_stored(at.clone(), now)));
        Ok(Saved::Recorded(at))
    }

    /// All of a save or nothing.
    pub(super) fn apply(&mut self, save: &Save) -> Result<(), StorageError> {
        for cursor in &save.cursors {
            let row = self.cursors.get(&(save.inbox.to_owned(), cursor.log.clone()));
            if row.is_none_or(|row| row.epoch != save.epoch || row.saves != cursor.saves) {
                return Err(StorageError::fenced(save.inbox));
            }
        }
        let mut failures = self.failures.clone();
        for change in &save.failures {
            if !change_row(&mut failures, change) {
                return Err(StorageError::fenced(save.inbox));
            }
        }
        self.failures = failures;
        for cursor in &save.cursors {
            if let Some(row) = self.cursors.get_mut(&(save.inbox.to_owned(), cursor.log.clone())) {
                cursor.apply(&mut row.cursor);
                row.saves += 1;
            }
        }
        match &save.pause {
            PauseChange::Unchanged => {}
            PauseChange::Paused(pause) => drop(self.pauses.insert(save.inbox.to_owned(), pause.clone())),
            PauseChange::Ended => drop(self.pauses.remove(save.inbox)),
        }
        Ok(())
    }
}

/// Makes one change; false if the row is not as the change saw it.
fn change_row(failures: &mut BTreeMap<FailureKey, Failure>, change: &FailureChange) -> bool {
    match change {
        // Over a dead letter: the cursor was set back by hand, and the event failed again.
        FailureChange::Insert(failure) => {
            let before = failures.insert(failure.key.clone(), failure.clone());
            before.is_none_or(|row| row.state == FailureState::Dead)
        }
        FailureChange::Update { failure, attempts } => match failures.get_mut(&failure.key) {
            Some(row) if row.attempts == *attempts => {
                *row = failure.clone();
                true
            }
            _ => false,
        },
        FailureChange::Remove { key, attempts } => {
            let there = failures.get(key).is_some_and(|row| row.attempts == *attempts);
            there && failures.remove(key).is_some()
        }
        FailureChange::Unpark { key, due } => match failures.get_mut(key) {
            Some(row) if row.state == FailureState::Parked => {
                row.state = FailureState::Retrying;
                row.next_attempt_at = Some(*due);
                true
            }
            _ => false,
        },
    }
}
