//! A paused inbox's probes: one delivery at a time, to see whether the inbox works again.

use chrono::{DateTime, Utc};

use super::breaker::Turn;
use super::{Fill, Lane, Order, Taken};
use crate::inbox::InboxResult;
use crate::storage::{Storage, StorageError};

/// How many events an ordered inbox parks behind failed ones at a time, to find one that can be the probe.
const PARKED_MOST: usize = 500;

/// How many events of subjects that have failed are set aside, to find one of another subject: as many as a page has. They are in
/// flight, and the next to be delivered.
const ASIDE_MOST: usize = 1_000;

impl<S: Storage> Lane<S> {
    /// Takes in what the end of an attempt says of the inbox.
    pub(super) fn watch(&mut self, taken: &Taken, result: &InboxResult, now: DateTime<Utc>) {
        let turn = self.breaker.ended(taken.event.stored(), result, now);
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
            if !self.joins() {
                return Ok(Fill::Alone);
            }
            if self.save_is_due() {
                self.save().await?;
            }
            if self.may_probe() {
                if !self.probe().await? {
                    return Ok(Fill::AtTail);
                }
            } else if !self.may_try_others() || !self.probe_others().await? {
                return Ok(Fill::Paused);
            }
        }
        Ok(Fill::Paused)
    }

    /// A drain does not wait: it probes at once, until a probe fails.
    fn may_probe(&self) -> bool {
        let now = self.shared.clock.now();
        self.breaker.probes_at().is_some_and(|at| if self.drains() { !self.breaker.probe_failed() } else { at <= now })
    }

    /// Whether a subject that has not failed may be tried before the next probe is due. A drain has its one probe.
    fn may_try_others(&self) -> bool {
        !self.drains() && self.breaker.tries_others_at().is_some_and(|at| at <= self.shared.clock.now())
    }

    /// Starts a probe; false if there is nothing to try it on.
    async fn probe(&mut self) -> Result<bool, StorageError> {
        if self.probe_others().await? {
            return Ok(true);
        }
        let event_first = self.breaker.event_is_next();
        if event_first && self.probe_event().await? || self.probe_row(false).await? {
            return Ok(true);
        }
        if event_first { Ok(false) } else { self.probe_event().await }
    }

    /// Starts a probe of a subject that has not failed; false if there is none.
    async fn probe_others(&mut self) -> Result<bool, StorageError> {
        let event_first = self.breaker.event_is_next();
        if event_first && self.probe_other_event().await? || self.probe_row(true).await? {
            return Ok(true);
        }
        let started = !event_first && self.probe_other_event().await?;
        if !started {
            self.breaker.found_no_others(self.shared.clock.now());
        }
        Ok(started)
    }

    /// The failure row that is due the longest, or the one among the first page's whose subject has not failed; one that fails is
    /// due later than the others.
    async fn probe_row(&mut self, others: bool) -> Result<bool, StorageError> {
        let mut started = false;
        self.retries.clear();
        let mut next = self.next_retry().await?;
        while let Some(due) = next {
            if !others || self.breaker.has_not_failed(&due.failure.key.event.log, &due.failure.subject) {
                self.breaker.probe(due.failure.key.event.clone());
                started = self.retry(due).await?;
                if started {
                    break;
                }
                self.breaker.drop_probe();
            }
            next = if others && self.retries.is_empty() { None } else { self.next_retry().await? };
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
            if self.probe_with(taken, admitted).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The next event of a subject that has not failed. Those of other subjects are set aside on the way.
    async fn probe_other_event(&mut self) -> Result<bool, StorageError> {
        let others = |lane: &Self, taken: &Taken| {
            let event = taken.event.stored();
            lane.breaker.has_not_failed(&event.at.log, &event.subject)
        };
        if let Some(nth) = self.ready.iter().position(|taken| others(self, taken))
            && let Some(taken) = self.ready.remove(nth)
        {
            return self.probe_with(taken, !self.plan.is_serial()).await;
        }
        if let Some(nth) = self.aside.iter().position(|taken| others(self, taken))
            && let Some(taken) = self.aside.remove(nth)
            && self.probe_with(taken, false).await?
        {
            return Ok(true);
        }
        // Those parked on the way are bounded, too: they wait for a save.
        for _ in 0..ASIDE_MOST {
            if self.aside.len() >= ASIDE_MOST || self.order.as_ref().is_some_and(Order::is_full) {
                break;
            }
            let Some(taken) = self.next_read().await? else { return Ok(false) };
            if !others(self, &taken) {
                if !self.is_parked(&taken) {
                    self.aside.push_back(taken);
                }
            } else if self.probe_with(taken, false).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Starts this event's delivery as the probe; false if it has to wait. `admitted`: the order let it pass already.
    async fn probe_with(&mut self, taken: Taken, admitted: bool) -> Result<bool, StorageError> {
        self.breaker.probe(taken.event.stored().at.clone());
        let started = if admitted {
            self.start(taken).await?
        } else if self.plan.is_serial() {
            self.start_alone(taken).await?
        } else {
            self.admit(taken).await?
        };
        if !started {
            self.breaker.drop_probe();
        }
        Ok(started)
    }
}
