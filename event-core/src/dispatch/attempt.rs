//! One attempt by hand: what the test kit runs an inbox with.

use std::sync::Arc;

use super::Dispatcher;
use super::deliver::deliver;
use super::filter::{Filter, Interest};
use super::verdict::{Verdict, judge};
use crate::inbox::{InboxResult, LoadedEvent, Outcome};
use crate::recorded::StoredEvent;
use crate::storage::{Storage, StorageError};
use crate::testing::Processed;

impl<S: Storage> Dispatcher<S> {
    /// Runs the inbox of that name on the event, without cursors and failure rows; `None` if it has no such inbox.
    pub(crate) async fn attempt(
        &self,
        inbox: &str,
        event: Arc<StoredEvent>,
    ) -> Result<Option<Processed>, StorageError> {
        let shared = &self.shared;
        let Some(plan) = shared.plans.iter().find(|plan| plan.name() == inbox) else { return Ok(None) };
        // By hand a version that this program does not read is tried, and fails with the reason.
        let takes = |filter: &Filter| filter.interest_in_name(&event.subject.kind, &event.action) == Interest::Takes;
        let taken = plan.logs.iter().any(|(log, filter)| *log == event.at.log && takes(filter));
        if !taken {
            return Ok(Some(Processed::NotTaken));
        }
        let loaded = Arc::new(LoadedEvent::new(event.clone()));
        let result: InboxResult = if plan.transactional {
            let transaction = shared.storage.begin().await?;
            let result = deliver(plan, &loaded, 1, &shared.states, Some(&transaction)).await;
            match &result {
                Err(_) | Ok(Outcome::Snoozed(_)) => shared.storage.rollback(transaction).await?,
                Ok(_) => shared.storage.commit(transaction).await?,
            }
            result
        } else {
            deliver(plan, &loaded, 1, &shared.states, None).await
        };
        let failure = |result: &InboxResult| match judge(plan, &event, 1, None, result, shared.clock.now()) {
            Verdict::Row(row) => Some(*row),
            Verdict::Done => None,
        };
        Ok(Some(Processed::of(result, failure)))
    }
}
