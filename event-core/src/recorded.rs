//! An event as it stands in a log: untyped, and typed by its enum.

use std::ops::Deref;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::event::DomainEvent;
use crate::metadata::{DecodeError, Metadata, StoredMetadata};
use crate::names::{ActionName, ActorRef, EventRef, SubjectRef};

/// An event as its row holds it, whatever enum it belongs to. Never changes once recorded.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StoredEvent {
    /// The log and the id there.
    pub at: EventRef,
    /// What it happened to.
    pub subject: SubjectRef,
    /// Who made it happen; `None` is the system.
    pub actor: Option<ActorRef>,
    /// The name that the action was stored under; the one of today may be another (`#[event(alias = "...")]`).
    pub action: ActionName,
    /// The version of the metadata.
    pub version: u32,
    /// The action's fields; reads as a [`Metadata`].
    pub metadata: StoredMetadata,
    /// What surrounded the recording: request id, IP address and the like.
    pub context: Option<Metadata>,
    /// What belongs together across logs and services.
    pub correlation_id: Option<String>,
    /// The event whose handling recorded this one.
    pub causation: Option<EventRef>,
    /// The batch it was recorded in, if any.
    pub batch_id: Option<String>,
    /// The subject as it was.
    pub snapshot: Option<Value>,
    /// The key that makes recording it twice impossible.
    pub idempotency_key: Option<String>,
    /// When it happened, by the caller's word (microseconds, UTC).
    pub occurred_at: DateTime<Utc>,
    /// When it was recorded, by the database's clock.
    pub created_at: DateTime<Utc>,
}

fn size_of_map(map: &Metadata) -> usize {
    map.iter().map(|(key, value)| key.len() + 32 + size_of_json(value)).sum()
}

fn size_of_json(value: &Value) -> usize {
    32 + match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(size_of_json).sum(),
        Value::Object(map) => size_of_map(map),
    }
}

impl StoredEvent {
    /// An event with nothing optional: what storages start from when they read a row.
    #[must_use]
    pub fn new(
        at: EventRef,
        subject: SubjectRef,
        action: impl Into<ActionName>,
        metadata: impl Into<StoredMetadata>,
        occurred_at: DateTime<Utc>,
        created_at: DateTime<Utc>,
    ) -> Self {
        Self {
            at,
            subject,
            actor: None,
            action: action.into(),
            version: 1,
            metadata: metadata.into(),
            context: None,
            correlation_id: None,
            causation: None,
            batch_id: None,
            snapshot: None,
            idempotency_key: None,
            occurred_at,
            created_at,
        }
    }

    /// The id in its log.
    pub fn id(&self) -> i64 {
        self.at.id
    }

    /// About how many bytes of memory the event takes, read and decoded. Cheap: nothing is decoded for it.
    pub(crate) fn size_in_memory(&self) -> usize {
        // A text's map, or what is decoded of it, takes a few times its length.
        let metadata = match self.metadata.text() {
            Some(text) => 2 * text.len(),
            None => size_of_map(&self.metadata),
        };
        let snapshot = self.snapshot.as_ref().map_or(0, size_of_json);
        600 + 2 * metadata + snapshot + self.context.as_ref().map_or(0, size_of_map)
    }

    /// What changed in the subject, where that was recorded: each attribute with what it was and what it is, by name.
    pub fn changes(&self) -> impl Iterator<Item = (&str, &Value, &Value)> {
        let changes = self.context.as_ref().and_then(|context| context.get(crate::context::CHANGES)?.as_object());
        changes.into_iter().flatten().map(|(name, change)| (name.as_str(), &change["from"], &change["to"]))
    }

    /// Whether this is an event of `E`: of its log and subject, with an action that `E` has.
    pub fn is<E: DomainEvent>(&self) -> bool {
        let event = E::descriptor();
        self.at.log.as_str() == event.log()
            && self.subject.kind == event.subject()
            && event.action(&self.action).is_some()
    }

    /// Reads the metadata as `E`.
    ///
    /// # Errors
    /// An action or version that `E` does not know, or metadata that does not fit.
    pub fn decode<E: DomainEvent>(&self) -> Result<E, DecodeError> {
        E::decode(&self.action, self.version, &self.metadata)
    }
}

/// An event of `E` as it was recorded: the typed event, and by deref everything else that its row holds.
///
/// ```
/// # use event_core::{DomainEvent, Recorded};
/// fn describe<E: DomainEvent + std::fmt::Debug>(recorded: &Recorded<E>) -> String {
///     format!("{} on {}: {:?}", recorded.action, recorded.subject, recorded.event)
/// }
/// ```
#[derive(Debug)]
pub struct Recorded<E> {
    /// The typed event.
    pub event: E,
    stored: Arc<StoredEvent>,
}

impl<E: DomainEvent> Recorded<E> {
    /// Types a stored event.
    ///
    /// # Errors
    /// As [`StoredEvent::decode`].
    pub fn from_stored(stored: Arc<StoredEvent>) -> Result<Self, DecodeError> {
        Ok(Self { event: stored.decode()?, stored })
    }

    /// The same event without its type.
    pub fn stored(&self) -> &Arc<StoredEvent> {
        &self.stored
    }
}

impl<E: Clone> Clone for Recorded<E> {
    fn clone(&self) -> Self {
        Self { event: self.event.clone(), stored: self.stored.clone() }
    }
}

impl<E> Deref for Recorded<E> {
    type Target = StoredEvent;

    fn deref(&self) -> &StoredEvent {
        &self.stored
    }
}
