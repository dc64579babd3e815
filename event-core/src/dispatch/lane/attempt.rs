//! An attempt in a lane: its handler's start, and what its end changes.

use std::pin::Pin;
use std::task::Poll;

use super::order::{Following, SubjectKey};
use super::{Finished, Lane, Taken, earliest};
use crate::dispatch::deliver::deliver;
use crate::dispatch::verdict::{self, Verdict, judge};
use crate::inbox::{InboxResult, Outcome};
use crate::names::EventRef;
use crate::storage::{Failure, FailureChange, FailureKey, FailureState, Storage};

impl<S: Storage> Lane<S> {
    /// Starts a handler. One that is ready at once is finished here; another goes on as a task of its own.
    pub(super) async fn launch(&mut self, taken: Taken, before: Option<Box<Failure>>, attempt: u32) {
        let work = self.work.clone();
        let event = taken.event.stored().at.clone();
        let delivery = Box::pin(async move {
            let (shared, plan) = &*work;
            let result = deliver(plan, &taken.event, attempt, &shared.states, None).await;
            Finished { taken, before, attempt, result }
        });
        let mut watched = self.slot.clone().watch(event, delivery);
        let first = std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut watched).poll(context))).await;
        match first {
            Poll::Ready(finished) => self.finish(finished),
            Poll::Pending => {
                self.slot = self.shared.watchdog.slot(self.plan.name());
                self.running.spawn(watched);
            }
        }
    }

    /// Takes in the end of an attempt.
    pub(super) fn finish(&mut self, finished: Finished) {
        let Finished { taken, before, attempt, result } = finished;
        if before.is_none() && self.order.is_none() && self.is_nothing_but_handled(&taken, &result) {
            return self.close(&taken);
        }
        let now = self.shared.clock.now();
        self.counters.count(&result);
        let counted = self.breaker.counted(&taken.event.stored().at, attempt, &result);
        let verdict = judge(&self.plan, taken.event.stored(), counted, before.as_deref(), &result, now);
        self.watch(&taken, &result, now);
        let key = taken.subject_key();
        let open = match &verdict {
            Verdict::Row(row) => row.state != FailureState::Dead,
            Verdict::Done => false,
        };
        if let Verdict::Row(row) = &verdict {
            self.next_due = earliest(self.next_due, row.next_attempt_at);
            if row.state == FailureState::Dead {
                self.counters.count_dead();
            }
            if result.is_err() {
                self.shared.report_failure(taken.event.stored(), row);
            }
        }
        self.urgent = true;
        match before {
            None => {
                if let Verdict::Row(row) = verdict {
                    self.changes.push(FailureChange::Insert(*row));
                }
                self.close(&taken);
                if let Some(order) = &mut self.order {
                    let following = order.delivered(&key, taken.id(), open);
                    self.follow(following);
                }
            }
            Some(before) => {
                let attempts = before.attempts;
                self.changes.push(match verdict {
                    Verdict::Done => FailureChange::Remove { key: before.key.clone(), attempts },
                    Verdict::Row(failure) => FailureChange::Update { failure: *failure, attempts },
                });
                match &mut self.order {
                    Some(order) if open => order.row_waits(&key),
                    _ if open => {}
                    _ => self.row_ended(&key, &before),
                }
            }
        }
    }

    /// Counts the usual end of an attempt, which changes nothing but the cursor, and needs no clock for it; false for any other.
    fn is_nothing_but_handled(&mut self, taken: &Taken, result: &InboxResult) -> bool {
        let usual = matches!(result, Ok(Outcome::Handled)) && !self.breaker.is_paused();
        if usual {
            self.counters.count(result);
            self.breaker.handled(&taken.event.stored().at);
        }
        usual
    }

    pub(super) fn follow(&mut self, following: Following) {
        self.ready.extend(following.start);
        for taken in &following.park {
            self.park(taken);
        }
    }

    /// A failure row ended: in an ordered inbox the subject's next parked event is due.
    pub(super) fn row_ended(&mut self, key: &SubjectKey, row: &Failure) {
        let Some(order) = &mut self.order else { return };
        if let Some(next) = order.row_ended(key, row.key.event.id) {
            let due = self.shared.clock.now();
            let event = EventRef { log: row.key.event.log.clone(), id: next };
            self.changes.push(FailureChange::Unpark { key: FailureKey { event, ..row.key.clone() }, due });
            self.next_due = earliest(self.next_due, Some(due));
        }
    }

    /// Keeps an event for when an earlier one of its subject has ended; the order has counted it.
    pub(super) fn park(&mut self, taken: &Taken) {
        let row = verdict::parked(&self.plan, taken.event.stored(), self.shared.clock.now());
        self.changes.push(FailureChange::Insert(row));
        self.close(taken);
    }

    pub(super) fn close(&mut self, taken: &Taken) {
        let log = &mut self.logs[taken.log];
        log.cursor.finish(taken.id());
        log.dirty = true;
        self.urgent = true;
    }
}
