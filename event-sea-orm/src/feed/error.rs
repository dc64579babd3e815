//! What can go wrong when a feed is read.

use sea_orm::DbErr;

use super::PAGE_MAX;
use super::token::BadToken;
use crate::backend::{Dialect, Trouble, UnsupportedBackend};
use crate::db_error::DatabaseError;
use crate::row::RowError;

/// A feed's page could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The limit is none.
    #[error("a page has 1 to {PAGE_MAX} entries, not {given}")]
    BadLimit {
        /// What was given.
        given: u64,
    },
    /// The text is no page token.
    #[error(transparent)]
    BadToken(#[from] BadToken),
    /// The log's table is missing.
    #[error(
        "the log `{log}` has no table in this database; run `event_sea_orm::migrate(&db)`, or add \
         `event_sea_orm::migration::all()` (and `migration::log(\"...\")` for a log of its own) to your migrator"
    )]
    NotMigrated {
        /// The log.
        log: String,
    },
    /// A row can't be read: something other than this crate wrote it.
    #[error(transparent)]
    Row(#[from] RowError),
    /// The entity has no column of the label's name.
    #[error(
        "`label = {column}`: the table `{table}` has no such column; name one of the entity's columns in the enum's \
         `#[event(subject(..., label = ...))]` or `actor(..., label = ...)`"
    )]
    UnknownLabelColumn {
        /// The entity's table.
        table: String,
        /// The label.
        column: String,
    },
    /// This crate can't read feeds from that database.
    #[error(transparent)]
    Unsupported(#[from] UnsupportedBackend),
    /// Any other error of the database.
    #[error(transparent)]
    Db(#[from] DatabaseError),
}

impl FeedError {
    pub(super) fn of(dialect: &dyn Dialect, error: DbErr) -> Self {
        match dialect.trouble(&error) {
            Some(Trouble::NoTable(log)) => Self::NotMigrated { log },
            _ => Self::Db(error.into()),
        }
    }
}

impl From<DbErr> for FeedError {
    fn from(error: DbErr) -> Self {
        Self::Db(error.into())
    }
}
