//! Dead letters: what was given up, to be looked at, retried or discarded.

use crate::clock::Clock;
use crate::storage::{DeadLetter, DeadLetterQuery, Storage, StorageError};
use crate::wake;

/// The dead letters of a storage. Needs no running dispatcher.
pub struct DeadLetters<'a, S: Storage> {
    storage: &'a S,
    clock: Clock,
}

impl<'a, S: Storage> DeadLetters<'a, S> {
    /// The dead letters of this storage.
    pub fn new(storage: &'a S, clock: Clock) -> Self {
        Self { storage, clock }
    }

    /// Lists them, the newest failure first.
    ///
    /// # Errors
    /// Any error of the storage.
    pub async fn list(&self, query: &DeadLetterQuery) -> Result<Vec<DeadLetter>, StorageError> {
        self.storage.dead_letters(query).await
    }

    /// The newest hundred.
    ///
    /// # Errors
    /// Any error of the storage.
    pub async fn newest(&self) -> Result<Vec<DeadLetter>, StorageError> {
        self.list(&DeadLetterQuery::default()).await
    }

    /// Has it delivered again, its attempts begun anew. False if it is no longer the dead letter that was listed: retried or
    /// discarded by somebody else, or dead again since.
    ///
    /// # Errors
    /// Any error of the storage.
    pub async fn retry(&self, letter: &DeadLetter) -> Result<bool, StorageError> {
        let was = self.storage.retry_dead(&letter.key, letter.attempts, self.clock.now()).await?;
        wake::recorded();
        Ok(was)
    }

    /// Removes it for good; the event stays in its log. False as in [`DeadLetters::retry`].
    ///
    /// # Errors
    /// Any error of the storage.
    pub async fn discard(&self, letter: &DeadLetter) -> Result<bool, StorageError> {
        self.storage.discard_dead(&letter.key, letter.attempts).await
    }
}
