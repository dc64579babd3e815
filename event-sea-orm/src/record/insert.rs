//! Events into rows: the columns, their values, and the one statement that writes them.

use event_core::{EventRef, LogName, NewEvent, Saved, StoredEvent};
use sea_orm::{ConnectionTrait, Value};
use serde::Serialize;

use super::RecordError;
use crate::backend::{Dialect, Sql};
use crate::names::Names;
use crate::own_table::{self, OwnKey, OwnTable};
use crate::row::stored_event;

/// The columns that can be written. The key is the first, so that statements can name it.
pub(crate) const COLUMNS: [&str; 15] = [
    "idempotency_key",
    "subject_type",
    "subject_id",
    "actor_type",
    "actor_id",
    "action",
    "version",
    "metadata",
    "context",
    "correlation_id",
    "causation_log",
    "causation_id",
    "batch_id",
    "snapshot",
    "occurred_at",
];

const SUBJECT_TYPE: usize = 1;
const SUBJECT_ID: usize = 2;
const ACTOR_TYPE: usize = 3;
const ACTOR_ID: usize = 4;

/// Whether the column may be a foreign key, whose type is that of what it points to.
#[cfg(feature = "postgres")]
pub(crate) fn is_key(column: usize) -> bool {
    column == SUBJECT_ID || column == ACTOR_ID
}

/// The values of events in the columns that any of them fills: what nobody uses is neither sent nor parsed.
pub(crate) struct Rows {
    used: [bool; COLUMNS.len()],
    rows: Vec<[Value; COLUMNS.len()]>,
}

impl Rows {
    /// The rows of events of one log.
    ///
    /// # Errors
    /// A subject or an actor that the log's own table has no key for.
    pub(crate) fn of(log: &str, events: &[&NewEvent]) -> Result<Self, RecordError> {
        let table = own_table::of(log);
        let mut rows: Vec<_> = events.iter().map(|event| values(event)).collect();
        if let Some(table) = table {
            for (row, event) in rows.iter_mut().zip(events) {
                put_keys(table, event, row)?;
            }
        }
        let used = std::array::from_fn(|column| rows.iter().any(|row| !is_null(&row[column])));
        Ok(Self { used, rows })
    }

    /// Whether it is one row.
    #[cfg(feature = "postgres")]
    pub(crate) fn is_one(&self) -> bool {
        self.rows.len() == 1
    }

    /// The columns that are used, as places in [`COLUMNS`].
    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> + use<> {
        let used = self.used;
        (0..COLUMNS.len()).filter(move |&column| used[column])
    }

    /// Their names, with commas between.
    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self.columns().map(|column| COLUMNS[column]).collect();
        names.join(", ")
    }

    /// A column's values.
    #[cfg(feature = "postgres")]
    pub(crate) fn column(&self, column: usize) -> impl Iterator<Item = &Value> {
        self.rows.iter().map(move |row| &row[column])
    }

    /// The rows, each with the values of the columns that are used.
    pub(crate) fn into_rows(self) -> impl Iterator<Item = impl Iterator<Item = Value>> {
        let used = self.used;
        self.rows
            .into_iter()
            .map(move |row| row.into_iter().zip(used).filter_map(|(value, is_used)| is_used.then_some(value)))
    }

    /// Whether any event has a key.
    pub(crate) fn are_keyed(&self) -> bool {
        self.used[0]
    }

    /// What an insert returns: the keys only where there are any.
    pub(crate) fn returning(&self) -> &'static str {
        if self.are_keyed() { " RETURNING id, idempotency_key" } else { " RETURNING id" }
    }
}

/// The columns of a table of its own: foreign keys in place of kind and id.
fn put_keys(table: &OwnTable, event: &NewEvent, row: &mut [Value; COLUMNS.len()]) -> Result<(), RecordError> {
    let key = |own: &OwnKey, what: &'static str, kind: &str, id: &str| {
        let key = if kind == own.kind { own.bind(id) } else { None };
        let is_known = |key: &Value| {
            matches!(
                key,
                Value::TinyInt(_)
                    | Value::SmallInt(_)
                    | Value::Int(_)
                    | Value::BigInt(_)
                    | Value::TinyUnsigned(_)
                    | Value::SmallUnsigned(_)
                    | Value::Unsigned(_)
                    | Value::BigUnsigned(_)
                    | Value::String(_)
                    | Value::Uuid(_)
            )
        };
        key.filter(is_known).ok_or_else(|| RecordError::BadKey {
            action: event.action,
            what,
            kind: kind.to_owned(),
            table: own.target().table,
        })
    };
    row[SUBJECT_TYPE] = Value::String(None);
    row[SUBJECT_ID] = key(&table.subject, "subject", &event.subject.kind, &event.subject.id)?;
    if let Some(own) = &table.actor {
        row[ACTOR_TYPE] = Value::String(None);
        if let Some(actor) = &event.actor {
            row[ACTOR_ID] = key(own, "actor", &actor.kind, &actor.id)?;
        }
    }
    Ok(())
}

fn values(event: &NewEvent) -> [Value; COLUMNS.len()] {
    let actor = event.actor.as_ref();
    let cause = event.causation.as_ref();
    [
        event.idempotency_key.clone().into(),
        event.subject.kind.as_ref().into(),
        event.subject.id.as_str().into(),
        actor.map(|actor| actor.kind.to_string()).into(),
        actor.map(|actor| actor.id.clone()).into(),
        event.action.into(),
        i64::from(event.version).into(),
        json(&event.metadata).into(),
        event.context.as_ref().map(json).into(),
        event.correlation_id.clone().into(),
        cause.map(|cause| cause.log.to_string()).into(),
        cause.map(|cause| cause.id).into(),
        event.batch_id.clone().into(),
        event.snapshot.as_ref().map(json).into(),
        event.occurred_at.into(),
    ]
}

/// [`values`] makes no others that can be.
fn is_null(value: &Value) -> bool {
    matches!(value, Value::String(None) | Value::BigInt(None))
}

/// About how many bytes an event takes in a statement.
pub(super) fn size(event: &NewEvent) -> usize {
    let text = |value| if let Value::String(Some(text)) = value { text.len() } else { 0 };
    values(event).into_iter().map(|value| 16 + text(value)).sum()
}

/// Can't fail: it is JSON with text for keys already. If it could, the log's CHECK would refuse the empty text.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A row that an insert wrote.
pub(super) struct Written {
    pub(super) id: i64,
    pub(super) key: Option<String>,
}

/// Writes `events` of one log by one statement; no two of them have the same key. What was written, in the events' order.
pub(super) async fn insert<C: ConnectionTrait>(
    conn: &C,
    dialect: &dyn Dialect,
    log: &'static str,
    events: &[&NewEvent],
) -> Result<Vec<Written>, RecordError> {
    if !dialect.returning() {
        return super::counted::insert(conn, dialect, log, events).await;
    }
    let statement = dialect.insert(log, Rows::of(log, events)?);
    let failed = |error| RecordError::of(dialect, log, error);
    // Not `query_one_raw`: it stops at the first row, and an error of the implicit commit would go unseen.
    let rows = conn.query_all_raw(statement).await.map_err(failed)?;
    let keyed = events.iter().any(|event| event.idempotency_key.is_some());
    let mut written = Vec::with_capacity(rows.len());
    for row in rows {
        let id = row.try_get_by_index(0).map_err(failed)?;
        let key = if keyed { row.try_get_by_index(1).map_err(failed)? } else { None };
        written.push(Written { id, key });
    }
    // Rows get their ids in the order of VALUES; the order of RETURNING is promised by nobody.
    written.sort_unstable_by_key(|row| row.id);
    Ok(written)
}

/// The events that have these keys.
pub(super) async fn by_keys<C: ConnectionTrait>(
    conn: &C,
    dialect: &dyn Dialect,
    log: &'static str,
    keys: &[&str],
) -> Result<Vec<StoredEvent>, RecordError> {
    let mut sql = Sql::new(dialect);
    let table = own_table::of(log);
    sql.push("SELECT ")
        .push(&own_table::columns(dialect, table))
        .push(" FROM ")
        .name(log)
        .push(" WHERE idempotency_key IN ");
    sql.set(keys.iter().copied()).push(dialect.newest_rows());
    let statement = sql.statement(conn.get_database_backend());
    let rows = conn.query_all_raw(statement).await.map_err(|error| RecordError::of(dialect, log, error))?;
    let log = LogName::from_static(log);
    let mut names = Names::default();
    let events: Result<Vec<_>, _> = rows.iter().map(|row| stored_event(&log, table, &mut names, row, 0)).collect();
    events.map_err(|error| RecordError::from(sea_orm::DbErr::from(error)))
}

/// What recording `event` again comes to, when `existing` has its key.
pub(super) fn already(event: &NewEvent, existing: &StoredEvent) -> Result<Saved, RecordError> {
    agree(event, &existing.at, event.differences(existing))
}

/// The same, when `existing` was recorded by the same call.
pub(super) fn already_in_call(event: &NewEvent, existing: &NewEvent, at: &EventRef) -> Result<Saved, RecordError> {
    let same = [
        ("subject", existing.subject == event.subject),
        ("action", existing.action == event.action),
        ("version", existing.version == event.version),
        ("metadata", existing.metadata == event.metadata),
        ("actor", existing.actor == event.actor),
    ];
    agree(event, at, same.into_iter().filter(|(_, same)| !same).map(|(what, _)| what).collect())
}

fn agree(event: &NewEvent, at: &EventRef, differs: Vec<&'static str>) -> Result<Saved, RecordError> {
    if differs.is_empty() {
        return Ok(Saved::AlreadyRecorded(at.clone()));
    }
    Err(RecordError::KeyConflict { action: event.action, existing: at.clone(), differs: differs.join(", ") })
}
