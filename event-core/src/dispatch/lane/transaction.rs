//! Transactional inboxes: handlers write in the transaction that saves the cursor, so their effects happen exactly once.
//!
//! Why: the effects and the cursor that says "done" commit together or not at all, and the save is fenced. A crash before the
//! commit leaves neither; after it, both. A commit whose acknowledgement is lost has raised the save counter: the lane, being
//! dropped after any error, reloads and sees the events done.
//!
//! A batch first runs without savepoints. If any handler does not end well, all is rolled back and the batch runs again with
//! a savepoint for each event, so that a failure undoes its own writes only; effects outside the database happen again then.
//! The savepoint around the whole batch is released before the cursor is written: should a handler have ended the
//! transaction (a deadlock it swallowed, an implicit commit), that release fails and the batch is thrown away.

use tokio::time::Instant;

use super::batch::{SMALL, undoes};
use super::{Finished, Lane, Taken};
use crate::inbox::InboxResult;
use crate::storage::{Failure, Storage, StorageError};

impl<S: Storage> Lane<S> {
    /// A batch without savepoints.
    pub(super) async fn run_in_transaction(&mut self, batch: Vec<Taken>) -> Result<(), StorageError> {
        let transaction = self.begin().await?;
        let Some(results) = self.deliver_unguarded(&batch, &transaction).await else {
            self.shared.storage.rollback(transaction).await?;
            self.batch.shrink();
            return self.run_guarded(batch).await;
        };
        if results.len() >= self.batch.get() {
            self.batch.grow();
        }
        self.commit_batch(transaction, batch, results).await
    }

    /// The results of as many as there was time for; `None` if something has to be undone.
    async fn deliver_unguarded(&self, batch: &[Taken], transaction: &S::Transaction) -> Option<Vec<InboxResult>> {
        let shared = &self.shared;
        if self.plan.takes_batch {
            let results = self.deliver_together(batch, Some(transaction)).await;
            return results.filter(|_| !shared.storage.is_doubtful(transaction));
        }
        let begun = Instant::now();
        let mut results = Vec::with_capacity(batch.len());
        for taken in batch {
            let result = self.deliver_alone(taken, 1, Some(transaction)).await;
            if shared.storage.is_doubtful(transaction) || undoes(&result) {
                return None;
            }
            results.push(result);
            // The transaction holds locks, on SQLite the only write lock: bounded in time as well as in number.
            if begun.elapsed() >= shared.options.batch_time {
                break;
            }
        }
        Some(results)
    }

    /// The same batch, with a savepoint for each event.
    pub(super) async fn run_guarded(&mut self, batch: Vec<Taken>) -> Result<(), StorageError> {
        let shared = self.shared.clone();
        let transaction = self.begin().await?;
        let begun = Instant::now();
        let mut results = Vec::with_capacity(batch.len());
        let mut failures_left = self.breaker.failures_left();
        for taken in &batch {
            match self.deliver_guarded(taken, 1, &transaction).await {
                Ok(result) => results.push(result),
                Err(error) => return Err(self.give_up(transaction, error).await),
            }
            let failed = results.last().is_some_and(undoes);
            // In an ordered inbox the ones behind must not overtake: end the batch here, the next one parks them.
            let full = results.len() >= SMALL || begun.elapsed() >= shared.options.batch_time;
            if failed && self.order.is_some() || full {
                break;
            }
            // Perhaps the inbox is to pause: end it here, too, and see.
            if let (true, Some(left)) = (failed, &mut failures_left) {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    break;
                }
            }
        }
        self.commit_batch(transaction, batch, results).await
    }

    /// A transaction with the savepoint around everything that handlers do.
    async fn begin(&self) -> Result<S::Transaction, StorageError> {
        let storage = &self.shared.storage;
        self.recorded.forget();
        let transaction = storage.begin().await?;
        storage.savepoint(&transaction, BATCH).await?;
        Ok(transaction)
    }

    /// One event in a savepoint of its own, its writes kept or undone. An error is one of the transaction.
    async fn deliver_guarded(
        &self,
        taken: &Taken,
        attempt: u32,
        transaction: &S::Transaction,
    ) -> Result<InboxResult, StorageError> {
        let storage = &self.shared.storage;
        storage.savepoint(transaction, EVENT).await?;
        let result = self.deliver_alone(taken, attempt, Some(transaction)).await;
        if undoes(&result) {
            storage.undo(transaction, EVENT).await?;
        } else {
            storage.keep(transaction, EVENT).await?;
        }
        Ok(result)
    }

    /// Throws a transaction away; the error is why.
    async fn give_up(&self, transaction: S::Transaction, error: StorageError) -> StorageError {
        if let Err(second) = self.shared.storage.rollback(transaction).await {
            tracing::debug!(inbox = self.plan.name(), error = %second, "a transaction that is thrown away did not roll back");
        }
        error
    }

    /// Writes the cursor and the failure rows as the transaction's last writes, and commits. What the batch did not come to
    /// is next in turn.
    async fn commit_batch(
        &mut self,
        transaction: S::Transaction,
        batch: Vec<Taken>,
        results: Vec<InboxResult>,
    ) -> Result<(), StorageError> {
        if batch.len() >= SMALL.min(self.batch.get()) {
            let ids = i64::try_from(self.batch.get()).unwrap_or(i64::MAX);
            self.logs.iter_mut().for_each(|log| log.look_ahead(ids));
        }
        self.take_in(batch, results);
        self.commit(transaction).await
    }

    async fn commit(&mut self, transaction: S::Transaction) -> Result<(), StorageError> {
        let shared = self.shared.clone();
        let save = self.to_save();
        let last = async {
            shared.storage.keep(&transaction, BATCH).await?;
            shared.storage.save_in(&transaction, &save).await
        };
        if let Err(error) = last.await {
            return Err(self.give_up(transaction, error).await);
        }
        shared.storage.commit(transaction).await?;
        self.recorded.committed();
        self.saved(&save);
        Ok(())
    }

    /// A retry, or a suspect: alone in its transaction, together with the end of its failure row.
    pub(super) async fn run_alone_in_transaction(&mut self, taken: Taken, begun: Failure) -> Result<(), StorageError> {
        let attempt = begun.attempts;
        let transaction = self.begin().await?;
        let result = match self.deliver_guarded(&taken, attempt, &transaction).await {
            Ok(result) => result,
            Err(error) => return Err(self.give_up(transaction, error).await),
        };
        self.finish(Finished { taken, before: Some(Box::new(begun)), attempt, result });
        self.commit(transaction).await
    }
}

/// The savepoint around everything that a batch's handlers do.
const BATCH: &str = "event_batch";
/// The savepoint around one event's handler.
const EVENT: &str = "event_delivery";
