//! Rows of a log, read back as events.

use std::borrow::Cow;

use event_core::{ActorRef, EventRef, LogName, StoredEvent, SubjectRef};
use sea_orm::{DbErr, QueryResult, TryGetable};
use serde::de::DeserializeOwned;

/// The columns of a log in a SELECT, as [`stored_event`] reads them, where none has to be cast.
pub(crate) const COLUMNS: &str = "id, subject_type, subject_id, actor_type, actor_id, action, version, metadata, context, \
     correlation_id, causation_log, causation_id, snapshot, idempotency_key, occurred_at, created_at";

/// A row of a log can't be read: something other than this crate wrote or changed it. Never names a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {log}/{id}: the column `{column}` can't be read: {reason}")]
pub struct RowError {
    /// The log.
    pub log: LogName,
    /// The event's id; 0 when the id itself can't be read.
    pub id: i64,
    /// The column.
    pub column: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// An integer, of whatever width the database gives it.
pub(crate) fn integer(row: &QueryResult, column: &str) -> Result<i64, DbErr> {
    row.try_get::<i64>("", column).or_else(|error| row.try_get::<i32>("", column).map(i64::from).map_err(|_| error))
}

impl From<RowError> for DbErr {
    fn from(error: RowError) -> Self {
        Self::Type(error.to_string())
    }
}

/// The event that a row of `log` holds. An error is this row's own: the rows beside it can still be read.
pub(crate) fn stored_event(log: &LogName, row: &QueryResult) -> Result<StoredEvent, RowError> {
    let id = Reader { log, row, id: 0 }.get("id")?;
    let reader = Reader { log, row, id };
    let subject = SubjectRef { kind: reader.name("subject_type")?, id: reader.get("subject_id")? };
    let mut event = StoredEvent::new(
        EventRef { log: log.clone(), id },
        subject,
        reader.get::<String>("action")?,
        reader.json("metadata")?,
        reader.get("occurred_at")?,
        reader.get("created_at")?,
    );
    event.version = u32::try_from(reader.get::<i64>("version")?)
        .map_err(|_| reader.error("version", "not between 0 and 4294967295"))?;
    let actor: Option<String> = reader.get("actor_type")?;
    event.actor = match (actor, reader.get::<Option<String>>("actor_id")?) {
        (Some(kind), Some(id)) => Some(ActorRef { kind: Cow::Owned(kind), id }),
        _ => None,
    };
    event.context = reader.optional_json("context")?;
    event.correlation_id = reader.get("correlation_id")?;
    let causation: Option<String> = reader.get("causation_log")?;
    event.causation = match (causation, reader.get::<Option<i64>>("causation_id")?) {
        (Some(log), Some(id)) => Some(EventRef { log: log.into(), id }),
        _ => None,
    };
    event.snapshot = reader.optional_json("snapshot")?;
    event.idempotency_key = reader.get("idempotency_key")?;
    Ok(event)
}

struct Reader<'a> {
    log: &'a LogName,
    row: &'a QueryResult,
    id: i64,
}

impl Reader<'_> {
    fn get<T: TryGetable>(&self, column: &'static str) -> Result<T, RowError> {
        self.row.try_get("", column).map_err(|error| self.error(column, &error.to_string()))
    }

    fn name(&self, column: &'static str) -> Result<Cow<'static, str>, RowError> {
        Ok(Cow::Owned(self.get(column)?))
    }

    fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, RowError> {
        self.optional_json(column)?.ok_or_else(|| self.error(column, "empty"))
    }

    /// Read as text and parsed here, so that what is no JSON is an error of this column and not of the query.
    fn optional_json<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>, RowError> {
        let text: Option<String> = self.get(column)?;
        let Some(text) = text else { return Ok(None) };
        // serde_json's own words may quote what it read; its category and place can't.
        serde_json::from_str(&text).map(Some).map_err(|error| {
            let kind = if error.is_data() { "not a JSON object" } else { "not valid JSON" };
            self.error(column, &format!("{kind} (line {}, column {})", error.line(), error.column()))
        })
    }

    fn error(&self, column: &'static str, reason: &str) -> RowError {
        RowError { log: self.log.clone(), id: self.id, column, reason: reason.to_owned() }
    }
}
