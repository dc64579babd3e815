//! What differs between databases, one file each: statements, DDL, and what their errors mean.

mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;

use event_core::storage::Read;
use event_core::{LogName, NewEvent};
use sea_orm::{DbBackend, DbErr, Statement};

pub(crate) use sql::Sql;

/// This crate can't work on that database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "event-sea-orm does not support {backend} yet, or was built without its feature; SQLite is the feature `sqlite`"
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
}

/// One database's ways.
pub(crate) trait Dialect: Send + Sync {
    /// A table's name, quoted.
    fn quoted(&self, name: &str) -> String;

    /// The placeholder of the `n`th value, from 1.
    fn placeholder(&self, n: usize) -> String;

    /// Writes these events in this order, unless their idempotency keys exist; returns id and key of those written.
    /// No two of them have the same key.
    fn insert(&self, log: &str, events: &[&NewEvent]) -> Statement;

    /// The most events that one insert can take.
    fn insert_most(&self) -> usize;

    /// The column in a condition that must not choose the index.
    fn without_index(&self, column: &str) -> String;

    /// The type to cast a label to.
    fn text_type(&self) -> &'static str;

    /// What the error means, if it is one of ours.
    fn trouble(&self, error: &DbErr) -> Option<Trouble>;

    /// An expression: the database's time so many milliseconds from now, in a form that compares as time.
    fn clock(&self, milliseconds: u128) -> String;

    /// Asks for the highest id that the log ever gave out, as `newest`; no row if it gave out none.
    fn newest_id(&self, log: &LogName) -> Statement;

    /// Reads a log for the dispatcher: one statement, one snapshot, sorted by id.
    fn read(&self, read: &Read<'_>) -> Statement;

    /// The statements that make a log.
    fn log_up(&self, log: &str) -> Vec<String>;

    /// The statements that make the tables that logs share.
    fn system_up(&self) -> Vec<String>;
}

/// The ways of this database.
pub(crate) fn dialect(backend: DbBackend) -> Result<&'static dyn Dialect, UnsupportedBackend> {
    match backend {
        #[cfg(feature = "sqlite")]
        DbBackend::Sqlite => Ok(&sqlite::Sqlite),
        #[cfg(not(feature = "sqlite"))]
        DbBackend::Sqlite => Err(UnsupportedBackend { backend: "SQLite" }),
        DbBackend::Postgres => Err(UnsupportedBackend { backend: "PostgreSQL" }),
        DbBackend::MySql => Err(UnsupportedBackend { backend: "MySQL or MariaDB" }),
        _ => Err(UnsupportedBackend { backend: "this database" }),
    }
}

/// The driver's own error, if there is one.
#[cfg(feature = "sqlite")]
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
    fn a_database_that_is_not_there_yet_is_a_typed_error() {
        let error = dialect(DbBackend::Postgres).err().unwrap();
        assert!(error.to_string().contains("does not support PostgreSQL yet"), "{error}");
        assert!(matches!(DbErr::from(error), DbErr::BackendNotSupported { db: "PostgreSQL", .. }));
    }
}
