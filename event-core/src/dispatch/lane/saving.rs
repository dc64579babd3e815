//! What a lane saves, and when.

use tokio::time::Instant;

use super::Lane;
use crate::cursor::CEILING_BLOCK;
use crate::storage::{Save, Storage, StorageError};

impl<S: Storage> Lane<S> {
    pub(super) fn is_dirty(&self) -> bool {
        !self.changes.is_empty() || self.breaker.is_dirty() || self.logs.iter().any(|log| log.dirty)
    }

    pub(super) fn save_is_due(&self) -> bool {
        self.save_is_due_at(Instant::now())
    }

    pub(super) fn save_is_due_at(&self, now: Instant) -> bool {
        let unsaved_for = now.saturating_duration_since(self.last_save);
        self.urgent && unsaved_for >= self.shared.options.save_every
            || unsaved_for >= self.shared.options.save_idle_every && self.is_dirty()
    }

    /// What a save has to write now. Every change of a failure row or of the pause goes with a cursor, whose counter fences it.
    pub(super) fn to_save(&self) -> Save {
        let inbox = self.plan.name();
        let fenced_by_first = self.is_dirty() && !self.logs.iter().any(|log| log.dirty);
        let cursors = self
            .logs
            .iter()
            .enumerate()
            .filter(|(nth, log)| log.dirty || fenced_by_first && *nth == 0)
            .map(|(_, log)| log.to_save())
            .collect();
        Save { inbox, epoch: self.epoch, cursors, failures: self.changes.clone(), pause: self.breaker.to_save() }
    }

    /// The save was applied.
    pub(super) fn saved(&mut self, save: &Save) {
        for saved in &save.cursors {
            if let Some(log) = self.logs.iter_mut().find(|log| log.name == saved.log) {
                log.saved(saved);
            }
        }
        self.changes.clear();
        self.breaker.saved();
        self.urgent = false;
        self.last_save = Instant::now();
    }

    /// Saves what is not saved.
    pub(super) async fn save(&mut self) -> Result<(), StorageError> {
        if self.is_dirty() {
            let save = self.to_save();
            self.shared.storage.save(&save).await?;
            self.saved(&save);
            self.time.passed();
        }
        self.urgent = false;
        Ok(())
    }

    /// Sees to it that the stored ceilings cover these events before any of them starts.
    pub(super) async fn cover(&mut self, events: &[(usize, i64)]) -> Result<(), StorageError> {
        // A transactional inbox saves at every batch: further ahead would only make more suspects.
        let batch = i64::try_from(self.batch.get()).unwrap_or(CEILING_BLOCK);
        let most = if self.plan.transactional { batch.min(CEILING_BLOCK) } else { CEILING_BLOCK };
        let mut raised = false;
        for &(log, id) in events {
            let log = &mut self.logs[log];
            if !log.cursor.may_start(id) {
                log.raise_ceiling(id, most);
                raised = true;
            }
        }
        if raised { self.save().await } else { Ok(()) }
    }
}
