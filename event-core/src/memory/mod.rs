//! The in-memory log: the same dispatcher without a database, for unit tests. Nothing survives the value.

mod state;
mod storage;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::names::{EventRef, LogName};
use crate::recorded::StoredEvent;
use crate::recording::{Draft, RecordingError, Saved};
use crate::wake;
use state::State;

pub use storage::MemoryTransaction;

/// A log in memory. Clones are the same log.
///
/// ```
/// # async fn example<E: event_core::DomainEvent>(closed: E) -> Result<(), event_core::memory::MemoryError> {
/// use event_core::{RecordOn, memory::MemoryLog};
/// let log = MemoryLog::new();
/// log.record(closed.on(7).by_system())?;
/// assert_eq!(log.events("events").len(), 1);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryLog {
    state: Arc<Mutex<State>>,
    clock: Clock,
}

/// Why an event was not recorded in memory.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The recording itself is wrong.
    #[error(transparent)]
    Invalid(#[from] RecordingError),
    /// Another event stands under the same idempotency key.
    #[error("{existing} stands under the same idempotency key and is another event: a key names one event for ever")]
    KeyConflict {
        /// The event that stands there.
        existing: EventRef,
    },
    /// It has attachments, which need a storage.
    #[error("the log in memory keeps no attachments: record what has some through `event-sea-orm`, on SQLite in tests")]
    Attachments,
}

impl MemoryLog {
    /// An empty log that goes by the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty log that goes by this clock.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        Self { clock, ..Self::default() }
    }

    pub(crate) fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Records one event at once.
    ///
    /// # Errors
    /// As described at [`MemoryError`]; nothing is recorded then.
    pub fn record(&self, recording: impl Into<Draft>) -> Result<Saved, MemoryError> {
        let now = self.clock.now();
        let event = recording.into().finish(now)?;
        let log = event.log;
        let saved = self.lock().append(event, now)?;
        wake::recorded_in(log);
        Ok(saved)
    }

    /// Every event of a log, oldest first.
    pub fn events(&self, log: impl Into<LogName>) -> Vec<Arc<StoredEvent>> {
        self.lock().events(&log.into()).to_vec()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is made whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
