//! Events that this program does not know: kept as failure rows that use no attempt, until a program that knows them has the inbox.
//!
//! What a program knows does not change while it runs. So a waiting row is never due in a program that does not know its event;
//! a lane makes the rows that its own program knows due when it is loaded, before anything else is delivered.
//!
//! In an `ordered` inbox a waiting row holds up its subject as a failed one does: later events of the subject park behind it.

use super::log::LogLane;
use super::{Lane, Taken};
use crate::dispatch::filter::Interest;
use crate::dispatch::plan::Plan;
use crate::dispatch::shared::Shared;
use crate::dispatch::verdict;
use crate::storage::{Failure, FailureChange, Storage, StorageError};

/// Makes the waiting rows due whose events this program knows by now.
pub(super) async fn wake_known<S: Storage>(
    shared: &Shared<S>,
    plan: &Plan,
    logs: &[LogLane<S>],
) -> Result<(), StorageError> {
    for waiting in shared.storage.waiting(plan.name()).await? {
        // A log that the inbox does not read in this program may be one that it reads in another.
        let interest = logs
            .iter()
            .find(|log| log.name == waiting.log)
            .map_or(Interest::Unknown, |log| log.filter.interest_in_name(&waiting.subject, &waiting.action));
        if interest == Interest::Unknown {
            shared.warn_unknown(plan.name(), &waiting.log, &waiting.subject, &waiting.action);
        } else {
            shared.storage.wake(plan.name(), &waiting, shared.clock.now()).await?;
        }
    }
    Ok(())
}

impl<S: Storage> Lane<S> {
    /// Writes the waiting row of an event that was just read.
    pub(super) fn keep_waiting(&mut self, taken: &Taken) {
        let row = self.waiting_row(taken, None);
        self.changes.push(FailureChange::Insert(row));
        self.close(taken);
        if let Some(order) = &mut self.order {
            let following = order.delivered(&taken.subject_key(), taken.id(), true);
            self.follow(following);
        }
    }

    /// Lets a failure row wait whose event this program does not know: a newer one wrote it.
    pub(super) fn let_wait(&mut self, taken: &Taken, before: &Failure) {
        let failure = self.waiting_row(taken, Some(before));
        self.changes.push(FailureChange::Update { failure, attempts: before.attempts });
        self.urgent = true;
    }

    /// Removes a row that waited, of an event that this program knows and the inbox does not take.
    pub(super) fn pass_waiting(&mut self, taken: &Taken, before: &Failure) {
        self.changes.push(FailureChange::Remove { key: before.key.clone(), attempts: before.attempts });
        self.row_ended(&taken.subject_key(), before);
        self.urgent = true;
    }

    fn waiting_row(&self, taken: &Taken, before: Option<&Failure>) -> Failure {
        let event = taken.event.stored();
        self.counters.count_waiting();
        self.shared.warn_unknown(self.plan.name(), &event.at.log, &event.subject.kind, &event.action);
        let why = self.logs[taken.log].filter.why_unknown(event);
        verdict::waiting(&self.plan, event, before, &why, self.shared.clock.now())
    }
}
