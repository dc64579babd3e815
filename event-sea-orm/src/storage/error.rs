//! A database's errors as the dispatcher understands them.

use event_core::storage::{StorageError, StorageErrorKind as Kind};
use sea_orm::{DbErr, RuntimeErr};

use crate::backend::{Dialect, Trouble, UnsupportedBackend};

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
        None if is_unreachable(&error) => {
            StorageError::new(Kind::Unreachable, "the database can't be reached, or has no free connection")
        }
        // The dispatcher's statements bind what is the user's, so that the database's words can't quote it.
        None => {
            StorageError::new(Kind::Other, format!("the database refused a statement of the dispatcher's: {error}"))
        }
    };
    base.caused_by(error)
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
