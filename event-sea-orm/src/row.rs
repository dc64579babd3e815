//! Rows of a log, read back as events.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use event_core::{ActorRef, EventRef, LogName, StoredEvent, StoredMetadata, SubjectRef};
use sea_orm::{DbErr, QueryResult, TryGetable};
use serde::de::DeserializeOwned;

use crate::names::Names;
use crate::own_table::{OwnKey, OwnTable};

/// The columns of a log in a SELECT, as [`stored_event`] reads them, where none has to be cast.
pub(crate) const COLUMNS: &str = "id, subject_type, subject_id, actor_type, actor_id, action, version, metadata, context, \
     correlation_id, causation_log, causation_id, snapshot, idempotency_key, occurred_at, created_at, batch_id";

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

/// A column of [`COLUMNS`]: its place and its name. By the place a value is found without looking the name up, which for sixteen
/// columns took a third of the time of reading an event.
#[derive(Clone, Copy)]
struct Column(usize, &'static str);

const ID: Column = Column(0, "id");
const SUBJECT_TYPE: Column = Column(1, "subject_type");
const SUBJECT_ID: Column = Column(2, "subject_id");
const ACTOR_TYPE: Column = Column(3, "actor_type");
const ACTOR_ID: Column = Column(4, "actor_id");
const ACTION: Column = Column(5, "action");
const VERSION: Column = Column(6, "version");
const METADATA: Column = Column(7, "metadata");
const CONTEXT: Column = Column(8, "context");
const CORRELATION_ID: Column = Column(9, "correlation_id");
const CAUSATION_LOG: Column = Column(10, "causation_log");
const CAUSATION_ID: Column = Column(11, "causation_id");
const SNAPSHOT: Column = Column(12, "snapshot");
const IDEMPOTENCY_KEY: Column = Column(13, "idempotency_key");
const OCCURRED_AT: Column = Column(14, "occurred_at");
const CREATED_AT: Column = Column(15, "created_at");
const BATCH_ID: Column = Column(16, "batch_id");

/// The event that a row of `log` holds, whose columns begin at place `first`. An error is this row's own: the rows beside it can
/// still be read.
pub(crate) fn stored_event(
    log: &LogName,
    table: Option<&'static OwnTable>,
    names: &mut Names,
    row: &QueryResult,
    first: usize,
) -> Result<StoredEvent, RowError> {
    let reader = Reader { log, row, first, id: 0 };
    let id = reader.some(ID, reader.number(ID)?)?;
    let reader = Reader { log, row, first, id };
    let subject = match table.map(|table| &table.subject) {
        Some(key) => {
            SubjectRef { kind: Cow::Borrowed(key.kind), id: reader.some(SUBJECT_ID, reader.key(SUBJECT_ID, key)?)? }
        }
        None => SubjectRef {
            kind: reader.some(SUBJECT_TYPE, reader.name(SUBJECT_TYPE, names)?)?,
            id: reader.some(SUBJECT_ID, reader.text(SUBJECT_ID)?)?,
        },
    };
    let mut event = StoredEvent::new(
        EventRef { log: log.clone(), id },
        subject,
        reader.some(ACTION, reader.name(ACTION, names)?)?,
        reader.metadata()?,
        reader.some(OCCURRED_AT, reader.time(OCCURRED_AT)?)?,
        reader.some(CREATED_AT, reader.time(CREATED_AT)?)?,
    );
    event.version = u32::try_from(reader.some(VERSION, reader.number(VERSION)?)?)
        .map_err(|_| reader.error(VERSION, "not between 0 and 4294967295"))?;
    event.actor = match table.and_then(|table| table.actor.as_ref()) {
        Some(key) => reader.key(ACTOR_ID, key)?.map(|id| ActorRef { kind: Cow::Borrowed(key.kind), id }),
        None => match (reader.name(ACTOR_TYPE, names)?, reader.text(ACTOR_ID)?) {
            (Some(kind), Some(id)) => Some(ActorRef { kind, id }),
            _ => None,
        },
    };
    event.context = reader.optional_json(CONTEXT)?;
    event.correlation_id = reader.text(CORRELATION_ID)?;
    event.causation = match (reader.text(CAUSATION_LOG)?, reader.number(CAUSATION_ID)?) {
        (Some(log), Some(id)) => Some(EventRef { log: log.into(), id }),
        _ => None,
    };
    event.snapshot = reader.optional_json(SNAPSHOT)?;
    event.idempotency_key = reader.text(IDEMPOTENCY_KEY)?;
    event.batch_id = reader.text(BATCH_ID)?;
    Ok(event)
}

/// A value as the driver has it, where SeaORM's way around it costs as much as reading it: it makes an error, with a text, of
/// every NULL before it makes a `None` of that. Returns it from the function around; goes on where it is no known driver.
///
/// PostgreSQL's values are read as what the migration made their columns, which spares a comparison of types for each of them;
/// one of another length is an error all the same. SQLite gives any value as any type, unless it is asked.
macro_rules! by_the_driver {
    ($reader:ident, $column:ident, $get:ident, $made:expr) => {{
        #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
        use sea_orm::sqlx::Row as _;
        let index = $reader.first + $column.0;
        #[cfg(feature = "postgres")]
        if let Some(row) = $reader.row.try_as_pg_row() {
            let value: Result<Option<_>, _> = row.try_get_unchecked(index);
            return value.map(|value| value.map($made)).map_err(|error| $reader.error($column, &error.to_string()));
        }
        #[cfg(feature = "mysql")]
        if let Some(row) = $reader.row.try_as_mysql_row() {
            let value: Result<Option<_>, _> = row.$get(index);
            return value.map(|value| value.map($made)).map_err(|error| $reader.error($column, &error.to_string()));
        }
        #[cfg(feature = "sqlite")]
        if let Some(row) = $reader.row.try_as_sqlite_row() {
            let value: Result<Option<_>, _> = row.$get(index);
            return value.map(|value| value.map($made)).map_err(|error| $reader.error($column, &error.to_string()));
        }
    }};
}

struct Reader<'a> {
    log: &'a LogName,
    row: &'a QueryResult,
    first: usize,
    id: i64,
}

impl Reader<'_> {
    fn number(&self, column: Column) -> Result<Option<i64>, RowError> {
        by_the_driver!(self, column, try_get, |number: i64| number);
        self.get(column)
    }

    fn time(&self, column: Column) -> Result<Option<DateTime<Utc>>, RowError> {
        by_the_driver!(self, column, try_get, |time: DateTime<Utc>| time);
        self.get(column)
    }

    /// A text where it lies. The column's type is not compared with all that a text may be: what is UTF-8 is one.
    fn raw_text(&self, column: Column) -> Result<Option<Cow<'_, str>>, RowError> {
        by_the_driver!(self, column, try_get_unchecked, Cow::Borrowed);
        Ok(self.get::<Option<String>>(column)?.map(Cow::Owned))
    }

    fn text(&self, column: Column) -> Result<Option<String>, RowError> {
        Ok(self.raw_text(column)?.map(Cow::into_owned))
    }

    fn name(&self, column: Column, names: &mut Names) -> Result<Option<Cow<'static, str>>, RowError> {
        Ok(self.raw_text(column)?.map(|name| names.get(name)))
    }

    /// A foreign key, as text.
    fn key(&self, column: Column, key: &OwnKey) -> Result<Option<String>, RowError> {
        key.read(self.row, self.first + column.0).map_err(|error| self.error(column, &error.to_string()))
    }

    fn get<T: TryGetable>(&self, column: Column) -> Result<T, RowError> {
        let value = self.row.try_get_by_index(self.first + column.0);
        value.map_err(|error| self.error(column, &error.to_string()))
    }

    fn some<T>(&self, column: Column, value: Option<T>) -> Result<T, RowError> {
        value.ok_or_else(|| self.error(column, "empty"))
    }

    fn metadata(&self) -> Result<StoredMetadata, RowError> {
        let text = self.some(METADATA, self.text(METADATA)?)?;
        StoredMetadata::from_text(text).map_err(|error| self.no_json(METADATA, &error))
    }

    /// Read as text and parsed here, so that what is no JSON is an error of this column and not of the query.
    fn optional_json<T: DeserializeOwned>(&self, column: Column) -> Result<Option<T>, RowError> {
        let Some(text) = self.raw_text(column)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| self.no_json(column, &error))
    }

    /// serde_json's own words may quote what it read; its category and place can't.
    fn no_json(&self, column: Column, error: &serde_json::Error) -> RowError {
        let kind = if error.is_data() { "not a JSON object" } else { "not valid JSON" };
        self.error(column, &format!("{kind} (line {}, column {})", error.line(), error.column()))
    }

    fn error(&self, column: Column, reason: &str) -> RowError {
        RowError { log: self.log.clone(), id: self.id, column: column.1, reason: reason.to_owned() }
    }
}
