//! What differs between databases, one file each: statements, DDL, and what their errors mean.

pub(crate) mod bindable;
#[cfg(feature = "mysql")]
pub(crate) mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;

use chrono::{DateTime, Utc};
use event_core::storage::Read;
use event_core::{LogName, ThrottleGate};
use sea_orm::{DbBackend, DbErr, Statement, Value};

use crate::migration::who::Who;
use crate::own_table::Target;
use crate::record::insert::Rows;
pub(crate) use sql::Sql;

/// This crate can't work on that database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "event-sea-orm was built without its feature for {backend}, or does not support it; the features are `sqlite`, `postgres` \
     and `mysql` (MariaDB too)"
)]
pub struct UnsupportedBackend {
    /// The database.
    pub backend: &'static str,
}

impl From<UnsupportedBackend> for DbErr {
    fn from(unsupported: UnsupportedBackend) -> Self {
        Self::BackendNotSupported { db: unsupported.backend, ctx: "event-sea-orm" }
    }
}

/// What a database's error means to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// This table is missing.
    NoTable(String),
    /// The database, or the transaction, is read-only.
    ReadOnly,
    /// Another connection holds the lock.
    Locked,
    /// A row of that key stands there already.
    Conflict,
    /// Row-level security would hide rows of this table, and the session has it refused.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "PostgreSQL's alone"))]
    RowSecurity(String),
    /// A prepared statement is another session's, or missing: a pooler stands between.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "PostgreSQL's alone"))]
    Pooler,
    /// A foreign key points to no row.
    NoRow,
    /// The connection is gone, or the database takes none now.
    Unreachable,
}

/// One database's ways.
pub(crate) trait Dialect: Send + Sync {
    /// A table's name, quoted.
    fn quoted(&self, name: &str) -> String;

    /// The placeholder of the `n`th value, from 1.
    fn placeholder(&self, n: usize) -> String;

    /// A value as it is bound.
    fn value(&self, value: Value) -> Value {
        value
    }

    /// Writes these events in this order, unless their idempotency keys exist; returns id and key of those written.
    /// No two of them have the same key.
    fn insert(&self, log: &str, rows: Rows) -> Statement;

    /// Whether that insert returns a row of each. Where it does not, it writes all of them or fails ([`Self::is_taken_key`]), and
    /// ids follow from the first one.
    fn returning(&self) -> bool {
        true
    }

    /// Whether an insert that does not return rows failed because an event of the log has one of the keys.
    fn is_taken_key(&self, log: &str, error: &DbErr) -> bool {
        let _ = (log, error);
        false
    }

    /// Takes a throttle if it is free, and says whether: by a row where inserts return rows, else by the last insert id, which is
    /// 0 if it was and, if not, the microsecond since the year 1 until which it is taken.
    fn take_throttle(&self, log: &str, action: &str, gate: &ThrottleGate) -> Statement;

    /// The most events that one insert can take.
    fn insert_most(&self) -> usize;

    /// A shared log's columns in a SELECT, as [`stored_event`](crate::row::stored_event) reads them; of any log, and with the names
    /// in one place: [`columns`](crate::own_table::columns).
    fn columns(&self) -> &'static str;

    /// What begins an INSERT, and what ends it, that writes nothing where a row of its key stands already.
    fn insert_unless_there(&self) -> (&'static str, &'static str);

    /// What ends a SELECT whose rows are to be locked: waiting for others, or leaving out what they have locked.
    fn lock_rows(&self, wait: bool) -> &'static str;

    /// What ends a SELECT that has to see what was committed last, where a transaction may have an older snapshot, and yet a
    /// write meets what is newer.
    fn newest_rows(&self) -> &'static str {
        ""
    }

    /// The column in a condition that must not choose the index.
    fn without_index(&self, column: &str) -> String;

    /// An expression for a text column that is compared as it is, where the column's own collation may fold case, accents or trailing
    /// spaces: that of a typed table's key is the user's. `None` where there is nothing to do.
    fn exact_text(&self, column: &str) -> Option<String> {
        let _ = column;
        None
    }

    /// What follows the name of a log in a feed's branch that no condition gives an index: the index of times.
    fn by_time(&self, log: &str) -> String {
        let _ = log;
        String::new()
    }

    /// Whether plans are kept with a statement's text, however much the log grows.
    fn keeps_plans(&self) -> bool {
        false
    }

    /// Pushes the condition of a keyset page: older than this time, or of this time with a lower id.
    fn older(&self, sql: &mut Sql<'_>, occurred_at: DateTime<Utc>, id: i64) {
        sql.push("(occurred_at, id) < (").bind(occurred_at).push(", ").bind(id).push(")");
    }

    /// The type to cast a label to.
    fn text_type(&self) -> &'static str;

    /// What the error means, if it is one of ours.
    fn trouble(&self, error: &DbErr) -> Option<Trouble>;

    /// What [`Trouble::Locked`] means to who records, and what to do.
    fn locked_advice(&self) -> &'static str {
        "another transaction holds a lock for longer than this one may wait, or the two wait for each other (deadlock). Roll \
         back and begin the whole transaction again; `db.transact(...)` can be called once more as it is"
    }

    /// An expression: the database's time so many milliseconds from now, in a form that compares as time.
    fn clock(&self, milliseconds: u128) -> String;

    /// An expression: the database's time so many milliseconds ago, in a form that compares as time.
    #[cfg_attr(not(feature = "attachments"), allow(dead_code))]
    fn ago(&self, milliseconds: u128) -> String;

    /// Asks for the highest id that the log ever gave out, as `newest`; no row if it gave out none.
    fn newest_id(&self, log: &LogName) -> Statement;

    /// Pushes the condition that the log itself gave the id out, where rows with other ids are possible.
    fn drawn_only(&self, sql: &mut Sql<'_>, log: &str) {
        let _ = log;
        sql.push("1 = 1");
    }

    /// Asks for the least id of the log that the log did not give out, as `foreign_id`; `None` where there can be none.
    fn foreign_id(&self, log: &LogName) -> Option<Statement> {
        let _ = log;
        None
    }

    /// A statement that has the rest of the transaction fail where row-level security would hide rows from it.
    #[cfg_attr(not(feature = "attachments"), allow(dead_code))]
    fn see_all_rows(&self) -> Option<&'static str> {
        None
    }

    /// Reads a log for the dispatcher: one statement, one snapshot.
    fn read(&self, read: &Read<'_>) -> Statement;

    /// The same with all events in one value, `page`, where that is faster: see [`packed`](crate::storage::packed).
    fn read_packed(&self, read: &Read<'_>) -> Option<Statement> {
        let _ = read;
        None
    }

    /// The statements that make a log.
    fn log_up(&self, log: &str, who: &Who) -> Vec<String>;

    /// Asks for a column's type in the words of this database, as `type`; no row where there is no such column.
    fn column_type(&self, target: &Target) -> Statement;

    /// Asks for the tables of the database that are logs or archives of logs, by their columns, as `name`.
    fn logs_and_archives(&self) -> &'static str;

    /// The statements that remove a log.
    fn log_down(&self, log: &str) -> Vec<String>;

    /// The statements that make the tables that logs share.
    fn system_up(&self) -> Vec<String>;

    /// The statements that remove the tables that logs share.
    fn system_down(&self) -> Vec<String> {
        ["event_failures", "event_cursors", "event_retention"]
            .map(|table| format!("DROP TABLE IF EXISTS {table}"))
            .to_vec()
    }

    /// The statements that make the table of attachments.
    fn attachments_up(&self) -> Vec<String>;

    /// The statements that remove the table of attachments.
    fn attachments_down(&self) -> Vec<String> {
        vec!["DROP TABLE event_attachments".to_owned()]
    }

    /// The statements that make the table of batches.
    fn batches_up(&self) -> Vec<String>;

    /// The statements that make the table of throttles.
    fn throttles_up(&self) -> Vec<String>;

    /// The statements that make the table beside a log that its old events are moved to, if it is missing.
    fn archive_up(&self, log: &str, archive: &str) -> Vec<String>;

    /// An error of a migration, in words that say what to do about it.
    fn explain(&self, error: DbErr) -> DbErr {
        error
    }

    /// A statement that has two migrations at once wait for each other, until the transaction ends.
    fn one_migration_at_a_time(&self) -> Option<String>;
}

/// Takes a throttle in SQL that several databases have in common: a row comes back if it was free.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn take_throttle(sql: &mut Sql<'_>, log: &str, action: &str, gate: &ThrottleGate) {
    sql.push("INSERT INTO event_throttles (log, name, action, until, last_at) VALUES ");
    sql.list([Value::from(log), gate.name.as_str().into(), action.into(), gate.until.into(), gate.now.into()]);
    sql.push(" ON CONFLICT (log, name) DO UPDATE SET last_at = excluded.last_at, until = CASE WHEN excluded.until > ");
    sql.push("event_throttles.until THEN excluded.until ELSE event_throttles.until END WHERE ");
    throttle_is_free(sql, "event_throttles.", gate);
    sql.push(" RETURNING 1");
}

/// Pushes [`ThrottleGate::taken_until`] as a condition, with the row's columns as they were.
fn throttle_is_free(sql: &mut Sql<'_>, row: &str, gate: &ThrottleGate) {
    sql.push(&format!("({row}until <= ")).bind(gate.now).push(&format!(" OR {row}until >= ")).bind(gate.beyond);
    sql.push(&format!(") AND ({row}last_at <= ")).bind(gate.since).push(&format!(" OR {row}last_at >= "));
    sql.bind(gate.until).push(")");
}

/// The ways of this database.
pub(crate) fn dialect(backend: DbBackend) -> Result<&'static dyn Dialect, UnsupportedBackend> {
    match backend {
        #[cfg(feature = "sqlite")]
        DbBackend::Sqlite => Ok(&sqlite::Sqlite),
        #[cfg(not(feature = "sqlite"))]
        DbBackend::Sqlite => Err(UnsupportedBackend { backend: "SQLite" }),
        #[cfg(feature = "postgres")]
        DbBackend::Postgres => Ok(&postgres::Postgres),
        #[cfg(not(feature = "postgres"))]
        DbBackend::Postgres => Err(UnsupportedBackend { backend: "PostgreSQL" }),
        #[cfg(feature = "mysql")]
        DbBackend::MySql => Ok(&mysql::MySql),
        #[cfg(not(feature = "mysql"))]
        DbBackend::MySql => Err(UnsupportedBackend { backend: "MySQL or MariaDB" }),
        _ => Err(UnsupportedBackend { backend: "this database" }),
    }
}

/// Whether the database itself refused a statement: its error has a code.
pub(crate) fn is_of_the_database(error: &DbErr) -> bool {
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    let answer = driver_error(error).is_some_and(|error| error.code().is_some());
    #[cfg(not(any(feature = "sqlite", feature = "postgres", feature = "mysql")))]
    let answer = {
        let _ = error;
        false
    };
    answer
}

/// The driver's own error, if there is one.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
fn driver_error(error: &DbErr) -> Option<&dyn sea_orm::sqlx::error::DatabaseError> {
    use sea_orm::RuntimeErr;
    let (DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))
    | DbErr::Conn(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    match &**error {
        sea_orm::sqlx::Error::Database(error) => Some(&**error),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_without_its_feature_is_a_typed_error() {
        let error = UnsupportedBackend { backend: "PostgreSQL" };
        assert!(error.to_string().contains("was built without its feature"), "{error}");
        assert!(matches!(DbErr::from(error), DbErr::BackendNotSupported { db: "PostgreSQL", .. }));
    }
}
