//! What can go wrong when an event is recorded.

use event_core::{AttachmentId, EventRef, RecordingError};
use sea_orm::{ConnAcquireErr, DbErr};

use crate::backend::{self, Dialect, Trouble, UnsupportedBackend};
use crate::db_error::DatabaseError;

/// An event was not recorded. Shows no value, and has no source that does: the chapter "Recording" has the promise.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The recording itself is wrong; nothing was sent to the database.
    #[error(transparent)]
    Invalid(#[from] RecordingError),
    /// The idempotency key belongs to another event.
    #[error(
        "the idempotency key of this `{action}` event belongs to event {existing} already, which differs in {differs}; \
         a key stands for one event: make it of what identifies this one (a request's id, a message's id)"
    )]
    KeyConflict {
        /// The action that was to be recorded.
        action: &'static str,
        /// The event that has the key; its log is the log of both.
        existing: EventRef,
        /// What differs, with commas between: `subject`, `action`, `version`, `metadata`, `actor`.
        differs: String,
    },
    /// The log is a table of the enum's own, and this subject or actor has no key there.
    #[error(
        "this `{action}` event can't be recorded: its {what}, a `{kind}`, has to be a row of `{table}`, and its id is no key of \
         that table. The table of an event enum names subject and actor by foreign keys; an enum with several kinds of actor, or \
         subjects without a row, records in a shared log"
    )]
    BadKey {
        /// The action.
        action: &'static str,
        /// `subject` or `actor`.
        what: &'static str,
        /// Its kind.
        kind: String,
        /// The table that the foreign key points to.
        table: &'static str,
    },
    /// The log is a table of the enum's own, and its subject or actor is no row, or none any more.
    #[error(
        "an event of `{log}` can't be recorded: its subject or its actor is not in the database (any more). Save them first, in the \
         same transaction; what is recorded of can't be deleted, for its events name it"
    )]
    NoRow {
        /// The log.
        log: String,
    },
    /// A file can't be attached to the event.
    #[error("this `{action}` event can't be recorded: its attachment {id} {refusal}")]
    Attachment {
        /// The action.
        action: &'static str,
        /// The attachment.
        id: AttachmentId,
        /// Why.
        refusal: AttachmentRefusal,
    },
    /// `save_on` writes one statement, and this recording needs several.
    #[error(
        "this `{action}` event can't be recorded by `save_on`: it has {needs}, which is written in several statements, all or nothing. \
         Record it by `save` on a connection or transaction; `.unthrottled()` sets a throttle aside"
    )]
    NeedsBlock {
        /// The action.
        action: &'static str,
        /// `a throttle` or `attachments`.
        needs: &'static str,
    },
    /// A batch's description is too long; the batch was not begun.
    #[error(
        "the batch's description has {bytes} bytes and may have {}: describe why, and keep what was done in the events or in an attachment",
        crate::Batch::DESCRIPTION_MAX
    )]
    LongDescription {
        /// How many bytes it has.
        bytes: usize,
    },
    /// The log's table is missing.
    #[error(
        "the log `{log}` has no table in this database; run `event_sea_orm::migrate(&db)`, or add \
         `event_sea_orm::migration::all()` (and `migration::log(\"...\")` for a log of its own) to your migrator"
    )]
    NotMigrated {
        /// The log.
        log: String,
    },
    /// The database or the transaction is read-only.
    #[error("the log `{log}` can't be written: the database is read-only on this connection")]
    ReadOnly {
        /// The log.
        log: String,
    },
    /// Another transaction holds a lock that this one needs, or each holds one that the other needs.
    #[error("{} {advice}", locked(log))]
    Locked {
        /// The log or table; empty where a transaction's begin or COMMIT was refused.
        log: String,
        /// What it means on this database, and what to do.
        advice: &'static str,
    },
    /// Within the transaction a recording, a transition or a set-based change was dropped before its end.
    #[error(
        "the transaction was rolled back: within it a recording (or a transition, or a set-based change) was dropped before its end, by a \
         time-out or a `select!`, and a part of it may have been written. Await it to its end, or return an error when you drop it"
    )]
    DroppedBlock,
    /// No connection of the pool became free.
    #[error(
        "no connection became free{}. Inside a transaction save on the transaction, as in \
         `.save(txn)`: a save on the pool waits for a connection that the transaction holds, and SeaORM's SQLite pool has \
         only one unless told otherwise",
        for_log(log)
    )]
    NoConnection {
        /// The log; empty where a transaction was to begin.
        log: String,
    },
    /// A transition was not made, where `?` brings its error into a transaction; one of its event's recording is that error itself.
    #[error(transparent)]
    Transition(Box<crate::TransitionError>),
    /// This crate can't record on that database.
    #[error(transparent)]
    Unsupported(#[from] UnsupportedBackend),
    /// Any other error of the database.
    #[error(transparent)]
    Db(#[from] DatabaseError),
}

/// Why a file can't be attached to an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttachmentRefusal {
    /// There is none of that id.
    #[error(
        "is not in the database: it was never stored there, or a sweep removed it because nobody attached it in time. Store it \
         (again), before the transaction begins"
    )]
    Unknown,
    /// Another event has it.
    #[error("is attached to event {event} already, and an attachment belongs to one event: store the file once more")]
    Attached {
        /// The event that has it.
        event: EventRef,
    },
    /// Its upload is under way, or was cut short.
    #[error("is not stored as a whole (yet): attach it when `store` has returned")]
    NotStored,
    /// A sweep came first.
    #[error("is being removed by a sweep, because nobody attached it in time: store it again")]
    Swept,
}

fn for_log(log: &str) -> String {
    if log.is_empty() { String::new() } else { format!(" to record in the log `{log}`") }
}

fn locked(log: &str) -> String {
    if log.is_empty() {
        "the transaction was not committed:".to_owned()
    } else {
        format!("the log `{log}` can't be written:")
    }
}

impl RecordError {
    /// Whether the server refused a statement, rather than this crate the recording: on PostgreSQL that ends the transaction.
    pub(crate) fn is_of_the_database(&self) -> bool {
        match self {
            Self::NoRow { .. } | Self::NotMigrated { .. } | Self::ReadOnly { .. } | Self::Locked { .. } => true,
            Self::Db(error) => backend::is_of_the_database(error.db_err()),
            _ => false,
        }
    }

    pub(crate) fn of(dialect: &dyn Dialect, log: &str, error: DbErr) -> Self {
        let log = log.to_owned();
        if matches!(error, DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)) {
            return Self::NoConnection { log };
        }
        match dialect.trouble(&error) {
            Some(Trouble::NoTable(log)) => Self::NotMigrated { log },
            Some(Trouble::ReadOnly) => Self::ReadOnly { log },
            Some(Trouble::Locked) => Self::Locked { log, advice: dialect.locked_advice() },
            Some(Trouble::NoRow) => Self::NoRow { log },
            Some(Trouble::Conflict | Trouble::Unreachable | Trouble::RowSecurity(_) | Trouble::Pooler) | None => {
                Self::Db(error.into())
            }
        }
    }
}

impl From<DbErr> for RecordError {
    fn from(error: DbErr) -> Self {
        Self::Db(error.into())
    }
}

impl From<crate::TransitionError> for RecordError {
    fn from(error: crate::TransitionError) -> Self {
        match error {
            crate::TransitionError::Record(error) => error,
            error => Self::Transition(Box::new(error)),
        }
    }
}
