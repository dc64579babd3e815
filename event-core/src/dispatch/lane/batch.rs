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
//!
//! What a batch costs beside its events (a begin, a savepoint, a save, a commit) is shared by as many as it has; what a failure costs
//! grows with them, since all of them run again. So batches double while all goes well, and begin small again behind a failure.

use std::any::Any;

use tokio::time::Instant;

use super::{Finished, Lane, Taken};
use crate::dispatch::deliver::deliver;
use crate::inbox::{InboxResult, Outcome};
use crate::storage::{Failure, Storage, StorageError};

/// The size of a first batch, and of one with savepoints: PostgreSQL keeps at most 64 of a transaction in its fast cache.
const SMALL: usize = 64;

/// The size of the next batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchSize {
    now: usize,
    most: usize,
}

impl BatchSize {
    pub(super) fn new(most: usize) -> Self {
        Self { now: SMALL.min(most), most }
    }

    pub(super) fn get(self) -> usize {
        self.now
    }

    fn grow(&mut self) {
        self.now = self.now.saturating_mul(2).min(self.most);
    }

    fn shrink(&mut self) {
        *self = Self::new(self.most);
    }
}

impl<S: Storage> Lane<S> {
    /// Takes a batch of events and delivers it; false when there is none.
    pub(super) async fn next_batch(&mut self) -> Result<bool, StorageError> {
        let mut batch: Vec<Taken> = Vec::new();
        let mut any = false;
        // Bounded by what is taken, parked ones included: those wait for a save.
        for _ in 0..self.batch.get() {
            let taken = match self.ready.pop_front() {
                Some(taken) => taken,
                None => match self.next_event().await? {
                    Some(taken) => taken,
                    None => break,
                },
            };
            any = true;
            if self.logs[taken.log].cursor.is_suspect(taken.id()) {
                if !batch.is_empty() {
                    self.ready.push_front(taken);
                    break;
                }
                if !self.is_parked(&taken) {
                    self.start_suspect(taken).await?;
                }
                if self.breaker.is_paused() {
                    break;
                }
            } else if !self.is_parked(&taken) {
                batch.push(taken);
            }
        }
        if !batch.is_empty() {
            let covered: Vec<_> = batch.iter().map(|taken| (taken.log, taken.id())).collect();
            self.cover(&covered).await?;
            self.run_batch(batch).await?;
        }
        Ok(any)
    }

    /// One event in a transaction of its own; false if it has to wait for an earlier one of its subject.
    pub(super) async fn start_in_transaction(&mut self, taken: Taken) -> Result<bool, StorageError> {
        if self.is_parked(&taken) {
            return Ok(false);
        }
        if self.logs[taken.log].cursor.is_suspect(taken.id()) {
            self.start_suspect(taken).await?;
        } else {
            self.cover(&[(taken.log, taken.id())]).await?;
            self.run_batch_guarded(vec![taken]).await?;
        }
        Ok(true)
    }

    /// Whether the event waits for an earlier one of its subject; if so it is parked now.
    fn is_parked(&mut self, taken: &Taken) -> bool {
        let key = taken.subject_key();
        let Some(order) = self.order.as_mut().filter(|order| order.is_blocked(&key)) else { return false };
        order.add_row(key, taken.id(), true);
        self.park(taken);
        true
    }

    async fn run_batch(&mut self, batch: Vec<Taken>) -> Result<(), StorageError> {
        let shared = self.shared.clone();
        let transaction = self.begin().await?;
        let begun = Instant::now();
        let mut results = Vec::with_capacity(batch.len());
        for taken in &batch {
            let result = self.deliver_in(taken, 1, &transaction).await;
            let undone = shared.storage.is_doubtful(&transaction) || undoes(&result);
            results.push(result);
            if undone {
                shared.storage.rollback(transaction).await?;
                self.batch.shrink();
                return self.run_batch_guarded(batch).await;
            }
            // The transaction holds locks, on SQLite the only write lock: bounded in time as well as in number.
            if begun.elapsed() >= shared.options.batch_time {
                break;
            }
        }
        if results.len() >= self.batch.get() {
            self.batch.grow();
        }
        self.commit_batch(transaction, batch, results).await
    }

    /// The same batch, with a savepoint for each event.
    async fn run_batch_guarded(&mut self, batch: Vec<Taken>) -> Result<(), StorageError> {
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
        let result = self.deliver_in(taken, attempt, transaction).await;
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
        let mut batch = batch.into_iter();
        for (taken, result) in batch.by_ref().take(results.len()).zip(results) {
            if let Some(order) = &mut self.order {
                // Nothing was admitted ahead of its delivery: the order learns of each event at its end.
                order.begin(taken.subject_key());
            }
            self.finish(Finished { taken, before: None, attempt: 1, result });
        }
        for taken in batch.rev() {
            self.ready.push_front(taken);
        }
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

    async fn deliver_in(&self, taken: &Taken, attempt: u32, transaction: &S::Transaction) -> InboxResult {
        let (shared, plan, event) = (self.shared.clone(), self.plan.clone(), taken.event.clone());
        let transaction: &(dyn Any + Send + Sync) = transaction;
        let delivery =
            Box::pin(async move { deliver(&plan, &event, attempt, &shared.states, Some(transaction)).await });
        self.slot().watch(taken.event.stored().at.clone(), delivery).await
    }
}

/// The savepoint around everything that a batch's handlers do.
const BATCH: &str = "event_batch";
/// The savepoint around one event's handler.
const EVENT: &str = "event_delivery";

/// Whether the handler's writes are to be undone: it failed, or it wants to come again later.
fn undoes(result: &InboxResult) -> bool {
    matches!(result, Err(_) | Ok(Outcome::Snoozed(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_to_their_most_and_begin_small_again() {
        let mut size = BatchSize::new(200);
        let mut sizes = vec![size.get()];
        for _ in 0..3 {
            size.grow();
            sizes.push(size.get());
        }
        assert_eq!(sizes, [64, 128, 200, 200]);
        size.shrink();
        assert_eq!(size.get(), 64);
        let mut one = BatchSize::new(1);
        one.grow();
        assert_eq!(one.get(), 1);
    }
}
