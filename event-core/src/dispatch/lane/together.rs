//! Several events in one call: inboxes that take `Vec<Event<_>>`.
//!
//! What the handler says holds for all of them. If it fails, or wants to come again later, nobody knows for which: each event is
//! delivered again, alone, and only those that fail then have a failure row. The call that failed counts as no attempt.

use std::any::Any;

use super::batch::{SMALL, undoes};
use super::{Finished, Lane, Taken};
use crate::dispatch::deliver::{deliver, deliver_batch};
use crate::inbox::InboxResult;
use crate::storage::{Storage, StorageError};

impl<S: Storage> Lane<S> {
    /// A batch in one call, outside of any transaction.
    pub(super) async fn run_together(&mut self, batch: Vec<Taken>) -> Result<(), StorageError> {
        // Of one event the call would be the attempt: made again at once it would be one too many.
        if batch.len() == 1 {
            return self.run_one_by_one(batch).await;
        }
        let Some(results) = self.deliver_together(&batch, None).await else {
            self.batch.shrink();
            return self.run_one_by_one(batch).await;
        };
        if results.len() >= self.batch.get() {
            self.batch.grow();
        }
        self.take_in(batch, results);
        Ok(())
    }

    /// The same events, a call for each. What it does not come to is next in turn.
    pub(super) async fn run_one_by_one(&mut self, batch: Vec<Taken>) -> Result<(), StorageError> {
        let mut batch = batch.into_iter();
        for taken in batch.by_ref().take(SMALL) {
            let result = self.deliver_alone(&taken, 1, None).await;
            let failed = undoes(&result);
            self.finish_first(taken, result);
            if self.save_is_due() {
                self.save().await?;
            }
            // In an ordered inbox the ones behind must not overtake: the next batch parks them.
            let blocked = failed && self.order.is_some();
            let leaves = self.is_stopping() || !self.lease_holds() || self.shared.company.must_leave();
            if blocked || self.breaker.is_paused() || leaves {
                break;
            }
        }
        self.put_back(batch);
        Ok(())
    }

    /// Delivers the events in one call; `None` if each has to be tried alone.
    pub(super) async fn deliver_together(
        &self,
        batch: &[Taken],
        transaction: Option<&S::Transaction>,
    ) -> Option<Vec<InboxResult>> {
        let first = batch.first()?.event.stored().at.clone();
        let events: Vec<_> = batch.iter().map(|taken| taken.event.clone()).collect();
        let (shared, plan) = (self.shared.clone(), self.plan.clone());
        let transaction = transaction.map(|transaction| transaction as &(dyn Any + Send + Sync));
        let delivery = async move { deliver_batch(&plan, &events, &shared.states, transaction).await };
        let delivery = Box::pin(self.recorded.collect(delivery));
        match self.slot().watch(first.clone(), delivery).await {
            Ok(results) => (!results.iter().any(undoes)).then_some(results),
            Err(error) => {
                tracing::warn!(
                    inbox = self.plan.name(),
                    first = %first,
                    events = batch.len(),
                    kind = error.kind().as_str(),
                    "a batch failed: its events are delivered one by one"
                );
                None
            }
        }
    }

    /// Delivers one event, where nothing runs beside it.
    pub(super) async fn deliver_alone(
        &self,
        taken: &Taken,
        attempt: u32,
        transaction: Option<&S::Transaction>,
    ) -> InboxResult {
        let (shared, plan, event) = (self.shared.clone(), self.plan.clone(), taken.event.clone());
        let transaction = transaction.map(|transaction| transaction as &(dyn Any + Send + Sync));
        let delivery = async move { deliver(&plan, &event, attempt, &shared.states, transaction).await };
        let delivery = Box::pin(self.recorded.collect(delivery));
        self.slot().watch(taken.event.stored().at.clone(), delivery).await
    }

    /// Takes in the results of a batch's first events. The others are next in turn.
    pub(super) fn take_in(&mut self, batch: Vec<Taken>, results: Vec<InboxResult>) {
        let mut batch = batch.into_iter();
        for (taken, result) in batch.by_ref().take(results.len()).zip(results) {
            self.finish_first(taken, result);
        }
        self.put_back(batch);
    }

    /// Takes in the end of an event's first delivery. Nothing was admitted ahead of it: the order learns of it only now.
    fn finish_first(&mut self, taken: Taken, result: InboxResult) {
        if let Some(order) = &mut self.order {
            order.begin(taken.subject_key());
        }
        self.finish(Finished { taken, before: None, attempt: 1, result });
    }

    fn put_back(&mut self, events: impl DoubleEndedIterator<Item = Taken>) {
        for taken in events.rev() {
            self.ready.push_front(taken);
        }
    }
}
