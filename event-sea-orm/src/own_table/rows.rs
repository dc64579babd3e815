//! A loaded row of a table of its own, as an event.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use event_core::{ActorRef, DecodeError, DomainEvent, EventRef, LogName, Metadata, Recorded, StoredEvent, SubjectRef};
use serde_json::Value;

/// The fields of a generated `Model`.
#[allow(missing_docs, reason = "for the derive's output alone; the fields are those of StoredEvent")]
#[derive(Debug)]
pub struct RowParts {
    pub id: i64,
    pub subject: String,
    /// Kind and id.
    pub actor: Option<(String, String)>,
    pub action: String,
    pub version: i64,
    pub metadata: Value,
    pub context: Option<Value>,
    pub correlation_id: Option<String>,
    pub causation_log: Option<String>,
    pub causation_id: Option<i64>,
    pub batch_id: Option<String>,
    pub snapshot: Option<Value>,
    pub idempotency_key: Option<String>,
    pub occurred_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
}

/// The typed event of such a row.
///
/// # Errors
/// When this program can't decode it.
pub fn event<E: DomainEvent>(row: RowParts) -> Result<Recorded<E>, DecodeError> {
    let event = E::descriptor();
    let at = EventRef { log: LogName::from_static(event.log()), id: row.id };
    let subject = SubjectRef { kind: event.subject().into(), id: row.subject };
    // The table's CHECKs let in nothing but objects.
    let mut stored = StoredEvent::new(at, subject, row.action, object(row.metadata), row.occurred_at, row.created_at);
    // One that is out of range is newer than any program knows.
    stored.version = u32::try_from(row.version).unwrap_or(u32::MAX);
    stored.actor = row.actor.map(|(kind, id)| ActorRef { kind: Cow::Owned(kind), id });
    stored.context = row.context.map(object);
    stored.correlation_id = row.correlation_id;
    stored.causation = row.causation_log.zip(row.causation_id).map(|(log, id)| EventRef { log: log.into(), id });
    stored.batch_id = row.batch_id;
    stored.snapshot = row.snapshot;
    stored.idempotency_key = row.idempotency_key;
    Recorded::from_stored(Arc::new(stored))
}

fn object(value: Value) -> Metadata {
    match value {
        Value::Object(object) => object,
        _ => Metadata::new(),
    }
}
