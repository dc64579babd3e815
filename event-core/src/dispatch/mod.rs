//! The dispatcher: finds the linked inboxes and sees to it that each gets every event.
//!
//! An event's way is one direction: record → storage → tail → lane → inbox → save.

mod attempt;
mod builder;
mod company;
mod convoy;
mod dead_letters;
mod deliver;
mod drain;
mod filter;
mod health;
mod lane;
mod leases;
mod plan;
mod poll;
mod report;
mod shared;
mod supervisor;
mod tail;
mod verdict;
mod vitals;
mod watchdog;

use std::sync::Arc;

pub use builder::Builder;
pub use dead_letters::DeadLetters;
pub use health::{Health, InboxHealth, InboxState, LogHealth, OldestHole, Reloading, Trouble};
pub(crate) use plan::logs_of;
pub use plan::{BuildError, BuildErrors};
pub use report::{InboxReport, Report};
pub use shared::FailedDelivery;
pub use watchdog::Blocked;

use crate::names::LogName;
use crate::storage::{Storage, StorageError, StorageErrorKind};
use shared::Shared;

/// Delivers the events of a storage to every linked inbox.
///
/// Cheap to clone; clones are the same dispatcher.
pub struct Dispatcher<S: Storage> {
    shared: Arc<Shared<S>>,
}

impl<S: Storage> Clone for Dispatcher<S> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<S: Storage> std::fmt::Debug for Dispatcher<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher").field("inboxes", &self.inboxes()).finish_non_exhaustive()
    }
}

impl<S: Storage> Dispatcher<S> {
    /// A dispatcher over this storage, to be configured and built.
    pub fn builder(storage: impl Into<S>) -> Builder<S> {
        Builder::new(storage.into())
    }

    /// The stored names of the inboxes it runs, sorted.
    pub fn inboxes(&self) -> Vec<&'static str> {
        self.shared.plans.iter().map(|plan| plan.name()).collect()
    }

    /// Checks the storage, and gives every inbox its place in its logs: a new one starts here, with what is recorded from now
    /// on, or at the beginning if it says so. [`Dispatcher::run`] and [`Dispatcher::drain`] do it too; call it yourself where
    /// events are recorded before the first of these.
    ///
    /// # Errors
    /// What keeps the storage from being used: not migrated, read-only, locked, unreachable.
    pub async fn register(&self) -> Result<(), StorageError> {
        let mut logs: Vec<LogName> = self.shared.tails.keys().cloned().collect();
        logs.sort();
        self.shared.storage.check(&logs).await?;
        let wishes: Vec<_> = self.shared.plans.iter().map(|plan| leases::wish(plan)).collect();
        self.shared.storage.place(&wishes).await?;
        for inbox in self.shared.storage.known_inboxes().await? {
            let linked = crate::registry::inboxes().iter().any(|linked| linked.name() == inbox);
            if !linked {
                tracing::warn!(
                    inbox,
                    "an inbox of this name has a cursor and is not linked: renamed? `#[inbox(name = \"...\")]` keeps a stored name"
                );
            }
        }
        Ok(())
    }

    /// Runs until `shutdown` is ready, then lets running handlers end, saves, and gives the inboxes up to other workers.
    ///
    /// Returns within [`Builder::shutdown_timeout`] and the time for last saves that is stated there, also while the database
    /// does not answer.
    ///
    /// # Errors
    /// At the start, whatever keeps the storage from being used. Later only what waiting can't mend
    /// ([`crate::storage::StorageErrorKind::is_fatal`]); everything else is logged once, and tried again with growing pauses.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) -> Result<(), StorageError> {
        let _working = self.begin_work()?;
        let (mut shutdown, mut register) = (std::pin::pin!(shutdown), std::pin::pin!(self.register()));
        tokio::select! {
            registered = &mut register => registered?,
            () = &mut shutdown => return supervisor::last_answer(register).await,
        }
        supervisor::run(self.shared.clone(), shutdown).await
    }

    /// Delivers everything that is due now, also what handlers record meanwhile, and returns what was done. Failures that are
    /// to be retried later stay for later. An inbox that is paused, or pauses meanwhile, because everything fails in it, is
    /// probed at once, without waiting, until a probe fails; then it is left and named in [`Report::paused`].
    ///
    /// # Errors
    /// Any error of the storage; what was done before it is saved.
    pub async fn drain(&self) -> Result<Report, StorageError> {
        let _working = self.begin_work()?;
        self.register().await?;
        drain::drain(&self.shared).await
    }

    fn begin_work(&self) -> Result<Working<'_, S>, StorageError> {
        let alone = self.shared.working.try_lock().map_err(|_| {
            StorageError::new(
                StorageErrorKind::Busy,
                "this dispatcher, or a clone of it, runs or drains already: build another one to work beside it",
            )
        })?;
        self.shared.vitals.started(self.shared.clock.now());
        Ok(Working { shared: &self.shared, _alone: alone })
    }

    /// The dead letters: list, retry, discard.
    pub fn dead_letters(&self) -> DeadLetters<'_, S> {
        DeadLetters::new(&self.shared.storage, self.shared.clock.clone())
    }

    /// When the next failure row of any of its inboxes is due.
    ///
    /// # Errors
    /// Any error of the storage.
    pub async fn next_due(&self) -> Result<Option<chrono::DateTime<chrono::Utc>>, StorageError> {
        self.next_due_except(&[]).await
    }

    /// When the next failure row of its inboxes but these is due.
    pub(crate) async fn next_due_except(
        &self,
        left_out: &[String],
    ) -> Result<Option<chrono::DateTime<chrono::Utc>>, StorageError> {
        let inboxes = self.inboxes().into_iter().map(str::to_owned);
        let inboxes: Vec<_> = inboxes.filter(|inbox| !left_out.contains(inbox)).collect();
        Ok(self.shared.storage.next_due(&inboxes).await?.into_iter().map(|(_, due)| due).min())
    }

    pub(crate) fn drain_rounds(&self) -> usize {
        self.shared.options.drain_rounds
    }

    /// What each inbox did since the dispatcher was built.
    pub fn report(&self) -> Report {
        let inboxes = self.shared.plans.iter();
        Report {
            inboxes: inboxes.map(|plan| (plan.name().to_owned(), self.shared.counters[plan.name()].report())).collect(),
            ..Report::default()
        }
    }

    /// The storage.
    pub fn storage(&self) -> &S {
        &self.shared.storage
    }
}

/// A dispatcher at work, until this is dropped.
struct Working<'a, S: Storage> {
    shared: &'a Shared<S>,
    _alone: tokio::sync::MutexGuard<'a, ()>,
}

impl<S: Storage> Drop for Working<'_, S> {
    fn drop(&mut self) {
        self.shared.vitals.stopped();
    }
}
