//! The kit itself.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};

use super::processed::{KitEvent, Processed};
use crate::clock::Clock;
use crate::cursor::IdSet;
use crate::dispatch::{BuildErrors, Builder, Dispatcher, Report};
use crate::inbox::Inbox;
use crate::memory::MemoryLog;
use crate::names::LogName;
use crate::recorded::StoredEvent;
use crate::recording::RecordingError;
use crate::registry;
use crate::storage::{DeadLetter, Read, Storage, StorageError};

/// After how many failed probes a paused inbox is left alone.
const PROBES_MOST: u32 = 100;

/// What keeps a test kit from working.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KitError {
    /// The dispatcher can't be built.
    #[error(transparent)]
    Build(#[from] BuildErrors),
    /// The storage can't be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The event to try is no valid recording.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The inbox is not among those the kit was built with.
    #[error("inbox `{0}` is not in this kit: it was built with `.only(...)` and without it")]
    NotInKit(&'static str),
}

/// A dispatcher for tests, with a clock that stands still until it is moved.
///
/// ```
/// # async fn example<E: event_core::DomainEvent>(closed: E) -> Result<(), Box<dyn std::error::Error>> {
/// use event_core::{RecordOn, testing::TestKit};
/// use std::time::Duration;
///
/// let kit = TestKit::in_memory(|dispatcher| dispatcher).await?;
/// kit.storage().record(closed.on(7).by_system())?;
/// let report = kit.drain().await?;
/// assert_eq!(report.total().failed, 0);
/// kit.advance(Duration::from_secs(300));
/// # Ok(()) }
/// ```
pub struct TestKit<S: Storage = MemoryLog> {
    dispatcher: Dispatcher<S>,
    clock: Clock,
    /// Events up to here were forgotten, per log.
    pub(super) forgotten: HashMap<&'static str, i64>,
}

impl TestKit<MemoryLog> {
    /// A kit over a new in-memory log; `configure` gives state, names the inboxes to run, or gives a manual clock.
    ///
    /// # Errors
    /// What keeps the dispatcher from being built.
    pub async fn in_memory(configure: impl FnOnce(Builder<MemoryLog>) -> Builder<MemoryLog>) -> Result<Self, KitError> {
        let (mut builder, clock) = configured(MemoryLog::new(), configure);
        builder.storage_mut().set_clock(clock.clone());
        Self::built(builder, clock).await
    }
}

impl<S: Storage> TestKit<S> {
    /// A kit over this storage. Its inboxes are registered at once: they see everything recorded from here on. Its clock is
    /// the manual one that `configure` gives, or one of its own.
    ///
    /// # Errors
    /// What keeps the dispatcher from being built, or the storage from being used.
    pub async fn new(
        storage: impl Into<S>,
        configure: impl FnOnce(Builder<S>) -> Builder<S>,
    ) -> Result<Self, KitError> {
        let (builder, clock) = configured(storage.into(), configure);
        Self::built(builder, clock).await
    }

    async fn built(builder: Builder<S>, clock: Clock) -> Result<Self, KitError> {
        let dispatcher = builder.build()?;
        dispatcher.register().await?;
        Ok(Self { dispatcher, clock, forgotten: HashMap::new() })
    }

    /// The storage.
    pub fn storage(&self) -> &S {
        self.dispatcher.storage()
    }

    /// The dispatcher.
    pub fn dispatcher(&self) -> &Dispatcher<S> {
        &self.dispatcher
    }

    /// The kit's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Moves the clock forward: what was to be retried or snoozed until then is due.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Runs one inbox on one event, now, without cursors and retries: the first attempt. A transactional inbox commits.
    ///
    /// # Errors
    /// A recording that is not valid, or an error of the storage; a handler's error is [`Processed::Failed`].
    pub async fn process<I: Inbox>(&self, event: impl Into<KitEvent>) -> Result<Processed, KitError> {
        let name = I::descriptor().name();
        let stored = event.into().stored(self.clock.now())?;
        let attempt = self.dispatcher.attempt(name, stored).await?;
        attempt.ok_or(KitError::NotInKit(name))
    }

    /// Delivers everything that is due now.
    ///
    /// # Errors
    /// Any error of the storage.
    pub async fn drain(&self) -> Result<Report, StorageError> {
        self.dispatcher.drain().await
    }

    /// Delivers everything to its end, moving the clock to each next attempt and each probe of a paused inbox: nothing is left
    /// but dead letters, what other workers hold, and what inboxes hold back that are still paused after a hundred probes
    /// ([`Report::paused`]). The report is not `complete` when there was no end after as many moves as a drain has rounds
    /// ([`Builder::drain_rounds`]): a handler that snoozes again and again, say.
    ///
    /// # Errors
    /// Any error of the storage.
    pub async fn run_to_end(&self) -> Result<Report, StorageError> {
        let before = self.dispatcher.report();
        let mut last = self.drain().await?;
        let mut moves = 0;
        while last.complete
            && let Some(due) = self.next_turn(&last).await?
        {
            if moves == self.dispatcher.drain_rounds() {
                last.complete = false;
                break;
            }
            moves += 1;
            self.clock.advance_to(due);
            last = self.drain().await?;
        }
        let mut report = self.dispatcher.report();
        for (inbox, counted) in &mut report.inboxes {
            *counted = counted.since(before.inboxes[inbox]);
        }
        Ok(Report { inboxes: report.inboxes, ..last })
    }

    /// When the next attempt or probe is due after a drain.
    async fn next_turn(&self, drained: &Report) -> Result<Option<DateTime<Utc>>, StorageError> {
        let mut left_out = drained.held_elsewhere.clone();
        let mut probe: Option<DateTime<Utc>> = None;
        for (inbox, pause) in &drained.paused {
            if pause.probes >= PROBES_MOST {
                left_out.push(inbox.clone());
            } else if pause.until > self.clock.now() {
                left_out.push(inbox.clone());
                probe = Some(probe.map_or(pause.until, |probe| probe.min(pause.until)));
            }
            // Else there was nothing to probe: a row of it that comes due is.
        }
        let due = self.dispatcher.next_due_except(&left_out).await?;
        Ok([due, probe].into_iter().flatten().min())
    }

    /// The newest hundred dead letters.
    ///
    /// # Errors
    /// Any error of the storage.
    pub async fn dead_letters(&self) -> Result<Vec<DeadLetter>, StorageError> {
        self.dispatcher.dead_letters().newest().await
    }

    /// Every event of a log, oldest first, that was recorded since [`TestKit::forget_recorded`].
    pub(super) async fn stored(&self, log: &'static str) -> Result<Vec<std::sync::Arc<StoredEvent>>, StorageError> {
        let after = self.forgotten.get(log).copied().unwrap_or(0);
        let log = LogName::from_static(log);
        let also = &IdSet::new();
        let read = Read { log: &log, after: Some(after), also, limit: u64::from(u32::MAX), max_bytes: usize::MAX };
        let read = self.storage().read(read).await?;
        Ok(read.events.into_iter().map(|event| event.unwrap_or_else(|broken| broken.event)).collect())
    }

    /// Assertions look only at what is recorded from here on.
    ///
    /// # Errors
    /// Any error of the storage.
    pub async fn forget_recorded(&mut self) -> Result<(), StorageError> {
        for event in registry::events() {
            if let Some(newest) = self.stored(event.log()).await?.last() {
                self.forgotten.insert(event.log(), newest.id());
            }
        }
        Ok(())
    }
}

/// The builder with the kit's clock: a clock that runs by itself is no clock for a test.
fn configured<S: Storage>(storage: S, configure: impl FnOnce(Builder<S>) -> Builder<S>) -> (Builder<S>, Clock) {
    let clock = Clock::manual(Utc::now().trunc_subsecs(6));
    let builder = configure(Dispatcher::<S>::builder(storage).clock(clock.clone()));
    if builder.its_clock().is_manual() {
        let clock = builder.its_clock().clone();
        return (builder, clock);
    }
    (builder.clock(clock.clone()), clock)
}

impl<S: Storage> std::fmt::Debug for TestKit<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dispatcher: &dyn std::fmt::Debug = &self.dispatcher;
        f.debug_struct("TestKit").field("dispatcher", dispatcher).finish_non_exhaustive()
    }
}
