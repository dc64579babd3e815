//! Inboxes that work on one batch at a time, nothing beside: those that write in a transaction, those that take several events at
//! once.
//!
//! What a batch costs beside its events (a begin, a savepoint, a save, a commit; a call) is shared by as many as it has; what a
//! failure costs grows with them, since all of them run again. So batches double while all goes well, and begin small again
//! behind a failure.

use super::{Fill, Lane, Taken};
use crate::inbox::{InboxResult, Outcome};
use crate::storage::{Storage, StorageError};

/// The size of a first batch, and of one with savepoints: PostgreSQL keeps at most 64 of a transaction in its fast cache.
pub(super) const SMALL: usize = 64;

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

    pub(super) fn grow(&mut self) {
        self.now = self.now.saturating_mul(2).min(self.most);
    }

    pub(super) fn shrink(&mut self) {
        *self = Self::new(self.most);
    }
}

impl<S: Storage> Lane<S> {
    /// The serial way: retries alone, events in batches, nothing beside.
    pub(super) async fn fill_serially(&mut self) -> Result<Fill, StorageError> {
        loop {
            tokio::task::coop::consume_budget().await;
            if self.breaker.is_paused() {
                return Ok(Fill::Paused);
            }
            if self.is_stopping() {
                return Ok(Fill::Full);
            }
            if !self.lease_holds() {
                return Ok(Fill::NoLease);
            }
            if !self.joins() {
                return Ok(Fill::Alone);
            }
            if self.save_is_due() {
                self.save().await?;
            }
            if self.take_turn() && self.retry_next().await? {
                continue;
            }
            if !self.next_batch().await? && !self.retry_next().await? {
                return Ok(Fill::AtTail);
            }
        }
    }

    /// Takes a batch of events and delivers it; false when there is none.
    async fn next_batch(&mut self) -> Result<bool, StorageError> {
        let mut batch: Vec<Taken> = Vec::new();
        let (mut any, mut bytes) = (false, 0);
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
            if !taken.known {
                // In an ordered inbox an earlier event of its subject may be in the batch, and fail.
                if self.order.is_some() && !batch.is_empty() {
                    self.ready.push_front(taken);
                    break;
                }
                if !self.is_parked(&taken) {
                    self.keep_waiting(&taken);
                }
            } else if self.logs[taken.log].cursor.is_suspect(taken.id()) {
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
                bytes += taken.event.stored().size_in_memory();
                batch.push(taken);
                // The pages that they came with are let go one after another, and the batch would hold all of their events.
                if bytes >= self.shared.options.page_bytes {
                    break;
                }
            }
        }
        if !batch.is_empty() {
            let covered: Vec<_> = batch.iter().map(|taken| (taken.log, taken.id())).collect();
            self.cover(&covered).await?;
            if self.plan.transactional {
                self.run_in_transaction(batch).await?;
            } else {
                self.run_together(batch).await?;
            }
        }
        Ok(any)
    }

    /// One event alone, in a transaction of its own where there is one; false if it has to wait: for an earlier one of its subject,
    /// or for a program that knows it.
    pub(super) async fn start_alone(&mut self, taken: Taken) -> Result<bool, StorageError> {
        if self.is_parked(&taken) {
            return Ok(false);
        }
        if !taken.known {
            self.keep_waiting(&taken);
            return Ok(false);
        }
        if self.logs[taken.log].cursor.is_suspect(taken.id()) {
            self.start_suspect(taken).await?;
        } else {
            self.cover(&[(taken.log, taken.id())]).await?;
            if self.plan.transactional {
                self.run_guarded(vec![taken]).await?;
            } else {
                self.run_one_by_one(vec![taken]).await?;
            }
        }
        Ok(true)
    }

    /// Whether the event waits for an earlier one of its subject; if so it is parked now.
    pub(super) fn is_parked(&mut self, taken: &Taken) -> bool {
        let key = taken.subject_key();
        let Some(order) = self.order.as_mut().filter(|order| order.is_blocked(&key)) else { return false };
        order.add_row(key, taken.id(), true);
        self.park(taken);
        true
    }
}

/// Whether the handler's writes are to be undone: it failed, or it wants to come again later.
pub(super) fn undoes(result: &InboxResult) -> bool {
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
