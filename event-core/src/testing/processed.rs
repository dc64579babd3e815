//! One inbox on one event, and what came of it.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::event::DomainEvent;
use crate::inbox::{AnyEvent, ErrorKind, InboxResult, Outcome};
use crate::names::EventRef;
use crate::recorded::{Recorded, StoredEvent};
use crate::recording::{Draft, Recording, RecordingError};
use crate::storage::{Failure, FailureState};

/// What one inbox did with one event.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Processed {
    /// It does not take such events.
    NotTaken,
    /// Handled.
    Handled,
    /// Skipped, and why.
    Skipped(String),
    /// Put off until then.
    Snoozed(DateTime<Utc>),
    /// Given up, and why.
    Discarded(String),
    /// Failed: the failure row that would stand now.
    Failed(Box<Failure>),
}

impl Processed {
    /// Whether it was handled.
    pub fn is_handled(&self) -> bool {
        matches!(self, Self::Handled)
    }

    /// Whether it was skipped or not taken at all.
    pub fn is_skipped(&self) -> bool {
        matches!(self, Self::Skipped(_) | Self::NotTaken)
    }

    /// The failure row, if it failed.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// Whether the failure would be a dead letter.
    pub fn is_dead(&self) -> bool {
        self.failure().is_some_and(|failure| failure.state == FailureState::Dead)
    }

    /// Whether the handler panicked.
    pub fn panicked(&self) -> bool {
        self.failure().is_some_and(|failure| failure.kind == ErrorKind::Panic.as_str())
    }

    pub(crate) fn of(result: InboxResult, failure: impl FnOnce(&InboxResult) -> Option<Failure>) -> Self {
        match &result {
            Ok(Outcome::Handled) => Self::Handled,
            Ok(Outcome::Skipped(why)) => Self::Skipped(why.to_string()),
            Ok(Outcome::Snoozed(until)) => Self::Snoozed(*until),
            Ok(Outcome::Discarded(why)) => Self::Discarded(why.to_string()),
            // A failed attempt always leaves a row.
            Err(_) => failure(&result).map_or(Self::NotTaken, |failure| Self::Failed(Box::new(failure))),
        }
    }
}

/// An event to try an inbox on: a recording that is never recorded, or an event of a log.
#[derive(Debug)]
pub struct KitEvent(Source);

#[derive(Debug)]
enum Source {
    Draft(Box<Draft>),
    Stored(Arc<StoredEvent>),
}

impl KitEvent {
    pub(super) fn stored(self, now: DateTime<Utc>) -> Result<Arc<StoredEvent>, RecordingError> {
        match self.0 {
            Source::Stored(stored) => Ok(stored),
            Source::Draft(draft) => {
                let event = draft.or_by_system().finish(now)?;
                let at = EventRef::new(event.log, 1);
                Ok(Arc::new(event.into_stored(at, now)))
            }
        }
    }
}

impl<E: DomainEvent> From<Recording<E>> for KitEvent {
    fn from(recording: Recording<E>) -> Self {
        Self(Source::Draft(Box::new(recording.into())))
    }
}

impl<E: DomainEvent> From<&Recorded<E>> for KitEvent {
    fn from(recorded: &Recorded<E>) -> Self {
        Self(Source::Stored(recorded.stored().clone()))
    }
}

impl From<&AnyEvent> for KitEvent {
    fn from(event: &AnyEvent) -> Self {
        Self(Source::Stored(event.clone().into_stored()))
    }
}

impl From<&Arc<StoredEvent>> for KitEvent {
    fn from(stored: &Arc<StoredEvent>) -> Self {
        Self(Source::Stored(stored.clone()))
    }
}
