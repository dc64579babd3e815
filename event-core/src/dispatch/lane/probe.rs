//! A paused inbox's probes: one delivery at a time, to see whether the inbox works again.

use chrono::{DateTime, Utc};

use super::breaker::Turn;
use super::{Fill, Lane, Order, Taken};
use crate::inbox::InboxResult;
use crate::storage::{Storage, StorageError};

/// How many events an ordered inbox parks behind failed ones at a time, to find one that can be the probe.
const PARKED_MOST: usize = 500;

impl<S: Storage> Lane<S> {
    /// Takes in what the end of an attempt says of the inbox.
    pub(super) fn watch(&mut self, taken: &Taken, result: &InboxResult, now: DateTime<Utc>) {
        let turn = self.breaker.ended(&taken.event.stored().at, result, now);
        if self.breaker.is_dirty() {
            self.shared.vitals.pauses(self.plan.name(), self.breaker.pause());
        }
        match (turn, self.breaker.pause()) {
            (Turn::Paused, Some(pause)) => {
                // What is due stays so, and is looked for anew when there is a turn for it.
                self.retries.clear();
                tracing::warn!(
                    inbox = self.plan.name(),
                    why = pause.why,
                    "everything fails: the inbox pauses, and probes"
                );
            }
            (Turn::GoesOn, _) => tracing::info!(inbox = self.plan.name(), "a delivery succeeded: the inbox goes on"),
            _ => {}
        }
    }

    /// A paused inbox: nothing but a probe when its time has come, until one succeeds.
    pub(super) async fn fill_paused(&mut self) -> Result<Fill, StorageError> {
        while self.breaker.is_paused() {
            tokio::task::coop::consume_budget().await;
            if self.is_stopping() || self.running.len() >= self.plan.descriptor.settings().concurrency {
                return Ok(Fill::Full);
            }
            if !self.lease_holds() {
                return Ok(Fill::NoLease);
            }
            if self.save_is_due() {
                self.save().await?;
            }
            if !self.may_probe() {
                return Ok(Fill::Paused);
            }
            if !self.probe().await? {
                return Ok(Fill::AtTail);
            }
        }
        Ok(Fill::Paused)
    }

    /// A drain does not wait: it probes at once, until a probe fails.
    fn may_probe(&self) -> bool {
        let now = self.shared.clock.now();
        self.breaker.probes_at().is_some_and(|at| if self.drains() { !self.breaker.probe_failed() } else { at <= now })
    }

    /// Starts a probe; false if there is nothing to try it on.
    async fn probe(&mut self) -> Result<bool, StorageError> {
        let event_first = self.breaker.event_is_next();
        if event_first && self.probe_event().await? || self.probe_row().await? {
            return Ok(true);
        }
        if event_first { Ok(false) } else { self.probe_event().await }
    }

    /// The failure row that is due the longest; one that fails is due later than the others.
    async fn probe_row(&mut self) -> Result<bool, StorageError> {
        let mut started = false;
        self.retries.clear();
        while let Some(due) = self.next_retry().await? {
            self.breaker.probe(due.failure.key.event.clone());
            started = self.retry(due).await?;
            if started {
                break;
            }
            self.breaker.drop_probe();
        }
        // The others stay due, and are looked for anew at the next turn.
        self.retries.clear();
        Ok(started)
    }

    /// The next event. In an ordered inbox those behind a failed one of their subject are parked on the way.
    async fn probe_event(&mut self) -> Result<bool, StorageError> {
        for _ in 0..PARKED_MOST {
            let (taken, admitted) = match self.ready.pop_front() {
                Some(taken) => (taken, !self.plan.is_serial()),
                None if self.order.as_ref().is_some_and(Order::is_full) => return Ok(false),
                None => match self.next_event().await? {
                    Some(taken) => (taken, false),
                    None => return Ok(false),
                },
            };
            self.breaker.probe(taken.event.stored().at.clone());
            let started = if admitted {
                self.start(taken).await?
            } else if self.plan.is_serial() {
                self.start_alone(taken).await?
            } else {
                self.admit(taken).await?
            };
            if started {
                return Ok(true);
            }
            self.breaker.drop_probe();
        }
        Ok(false)
    }
}
