//! A database's errors as the dispatcher understands them.

use event_core::storage::{StorageError, StorageErrorKind as Kind};
use sea_orm::{DbErr, RuntimeErr};

use crate::backend::{Dialect, Trouble, UnsupportedBackend};
use crate::db_error::DatabaseError;

pub(super) fn unsupported(error: &UnsupportedBackend) -> StorageError {
    StorageError::new(Kind::Unsupported, error.to_string())
}

pub(super) fn not_migrated(table: &str) -> StorageError {
    StorageError::new(
        Kind::NotMigrated,
        format!(
            "the table `{table}` is missing, or is not the one that this version makes; run `event_sea_orm::migrate(&db)`, or \
             add `event_sea_orm::migration::all()` to your migrator"
        ),
    )
}

/// A log that something other than our migration made or altered.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub(super) fn unsafe_log(log: &event_core::LogName, why: &str) -> StorageError {
    StorageError::new(
        Kind::Unsupported,
        format!(
            "the log `{log}` can't be delivered exactly: {why}; make it by `event_sea_orm::migration`, whatever else altered it"
        ),
    )
}

/// A trigger has the right name, and another definition than the migration's.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub(super) fn altered_trigger(log: &event_core::LogName, trigger: &str) -> StorageError {
    let why = format!(
        "its trigger `{trigger}` is not the one that this version's migration makes: it was replaced, or another version made it"
    );
    unsafe_log(log, &why)
}

/// A row-level security policy filters what the dispatcher's role reads of this table.
pub(super) fn row_security(table: &str, role: Option<&str>) -> StorageError {
    let role = role.map(|role| format!(" `{role}`")).unwrap_or_default();
    StorageError::new(
        Kind::Unsupported,
        format!(
            "row-level security hides rows of `{table}` from the dispatcher's role{role}, and what is hidden would be taken for \
             what is not there: run the dispatcher, retention and sweeps as a role that sees all rows (ALTER ROLE ... BYPASSRLS, \
             or the table's owner without FORCE ROW LEVEL SECURITY), or ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"
        ),
    )
}

/// A pooler stands between, and gives each transaction another session.
pub(super) fn pooler(kind: Kind) -> StorageError {
    StorageError::new(
        kind,
        "a pooler stands between this program and PostgreSQL that gives each transaction another session (PgBouncer with pool_mode = \
         transaction): prepared statements, session settings and LISTEN don't work through it. Connect to the server itself, or to a \
         pool with pool_mode = session",
    )
}

pub(super) fn storage_error(dialect: &dyn Dialect, error: DbErr) -> StorageError {
    let base = match dialect.trouble(&error) {
        Some(Trouble::NoTable(table)) => not_migrated(&table),
        Some(Trouble::ReadOnly) => StorageError::new(
            Kind::ReadOnly,
            "the database is read-only on this connection, and the dispatcher has to write its cursors there",
        ),
        Some(Trouble::Locked) => StorageError::new(
            Kind::Locked,
            "another connection holds the database's lock for longer than the busy time-out: keep writing transactions short",
        ),
        Some(Trouble::Conflict) => StorageError::new(
            Kind::Fenced,
            "a failure row stands there already: another worker has the inbox, or a save was applied unseen; reloading",
        ),
        Some(Trouble::Pooler) => pooler(Kind::Other),
        Some(Trouble::RowSecurity(table)) => row_security(&table, None),
        Some(Trouble::Unreachable) => unreachable_database(),
        None if is_unreachable(&error) => unreachable_database(),
        // None of the dispatcher's tables has a foreign key.
        Some(Trouble::NoRow) | None => {
            let message =
                format!("the database refused a statement of the dispatcher's: {}", DatabaseError::from(error.clone()));
            StorageError::new(Kind::Other, message)
        }
    };
    // Without values: the source's text is logged with this one's.
    base.caused_by(DatabaseError::from(error))
}

fn unreachable_database() -> StorageError {
    StorageError::new(Kind::Unreachable, "the database can't be reached, or has no free connection")
}

fn is_unreachable(error: &DbErr) -> bool {
    use sea_orm::sqlx::Error;
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            matches!(&**error, Error::Io(_) | Error::PoolClosed | Error::PoolTimedOut | Error::WorkerCrashed)
        }
        _ => false,
    }
}
