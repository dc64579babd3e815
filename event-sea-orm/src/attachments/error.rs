//! What can go wrong with attachments.

use std::path::PathBuf;

use event_core::AttachmentId;
use sea_orm::{ConnAcquireErr, DbErr};

use crate::backend::{Dialect, Trouble, UnsupportedBackend};
use crate::db_error::DatabaseError;

/// An attachment was not stored, read or swept. Names it by its id, never by the file's name, and no secret of the store's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachmentError {
    /// The name or the content type is none; nothing was stored.
    #[error("nothing is stored: the file's {what} {problem}")]
    Invalid {
        /// `name` or `content type`.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The content is larger than [`Attachments::at_most`](super::Attachments::at_most) allows; nothing of it is kept.
    #[error("nothing is stored: the file has more than the {limit} bytes that are allowed")]
    TooLarge {
        /// The most bytes.
        limit: u64,
    },
    /// The content could not be read to its end; what was stored of it is swept.
    #[error("the content of the attachment {id} could not be read to its end; nothing was stored")]
    Content {
        /// The attachment.
        id: AttachmentId,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A sweep took the upload for one that nobody is at any more.
    #[error(
        "the attachment {id} was swept away while it was uploaded, and is not stored: what `sweep` is given has to be longer \
         than the longest upload and the transaction after it"
    )]
    SweptAway {
        /// The attachment.
        id: AttachmentId,
    },
    /// The attachment's object is not in the store.
    #[error(
        "the object of the attachment {id} is not in the store. If its event is gone, a sweep removed it; else the store is \
         another one than it was stored in, or lost it"
    )]
    Missing {
        /// The attachment.
        id: AttachmentId,
    },
    /// The attachment's object is not what was stored.
    #[error(
        "the object of the attachment {id} is damaged: {problem}. It has to be put back from a backup of the store"
    )]
    Damaged {
        /// The attachment.
        id: AttachmentId,
        /// What differs.
        problem: String,
    },
    /// The store refused or failed. Its words, without what may be secret in them.
    #[error("the object store could not {what}: {reason}")]
    Store {
        /// What was asked of it.
        what: String,
        /// Why.
        reason: String,
    },
    /// The directory can't be used.
    #[error("`{path}` can't hold attachments; it has to be a directory that this program may write in")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Whether the events of a log are still there can't be asked; their attachments are kept.
    #[error("whether the events of `{log}` are still there can't be asked, so that their attachments are kept")]
    Log {
        /// The log.
        log: String,
        /// Why.
        source: DatabaseError,
    },
    /// The table is missing.
    #[error(
        "attachments have no table in this database; run `event_sea_orm::migrate(&db)`, or add \
         `event_sea_orm::migration::all()` (or `migration::attachments()`) to your migrator"
    )]
    NotMigrated,
    /// No connection of the pool became free.
    #[error(
        "no connection became free. Store before the transaction begins, not in it: SeaORM's SQLite pool has only one \
         connection unless told otherwise"
    )]
    NoConnection,
    /// Another transaction holds a lock that this one needs.
    #[error("the attachments can't be written: {advice}")]
    Locked {
        /// What it means on this database, and what to do.
        advice: &'static str,
    },
    /// This crate can't work on that database.
    #[error(transparent)]
    Unsupported(#[from] UnsupportedBackend),
    /// Any other error of the database.
    #[error(transparent)]
    Db(DatabaseError),
}

impl AttachmentError {
    pub(super) fn of(dialect: &dyn Dialect, error: DbErr) -> Self {
        if matches!(error, DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)) {
            return Self::NoConnection;
        }
        match dialect.trouble(&error) {
            Some(Trouble::NoTable(_)) => Self::NotMigrated,
            Some(Trouble::Locked) => Self::Locked { advice: dialect.locked_advice() },
            _ => Self::Db(error.into()),
        }
    }
}
