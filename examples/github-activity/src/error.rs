//! What can go wrong, and the exit code that says so.

use std::io;
use std::path::PathBuf;

use event_core::dispatch::BuildErrors;
use event_core::storage::StorageError;
use event_sea_orm::prelude::*;
use sea_orm::DbErr;
use serde_json::error::Category;

use crate::payload::PayloadError;

/// Why the program did not do all that it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be opened or read.
    #[error("{}: can't be read: {source}", file.display())]
    File { file: PathBuf, source: io::Error },
    /// The file is no JSON, cut off, or JSON of another form.
    #[error("{}: {problem}: {source}; what came before it is recorded", file.display())]
    Json { file: PathBuf, problem: &'static str, source: serde_json::Error },
    /// A payload lacks its subject or something else.
    #[error("{}: {source}; what came before it is recorded", file.display())]
    Payload { file: PathBuf, source: PayloadError },
    /// A payload's event can't be recorded.
    #[error("{}: payload {place} (`{name}`) can't be recorded: {source}", file.display())]
    Record { file: PathBuf, place: String, name: String, source: Box<RecordError> },
    /// The URL's scheme. Its rest may hold a password.
    #[error("--database: only SQLite is supported here, as in `sqlite://github-activity.db?mode=rwc`")]
    NoSqlite,
    /// The database can't be opened.
    #[error("--database: can't be opened: {0}")]
    Open(DbErr),
    #[error(transparent)]
    Db(#[from] DbErr),
    #[error(transparent)]
    Build(#[from] BuildErrors),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// Standard output.
    #[error("the report can't be written: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    /// An error of parsing, which may be one of reading.
    pub fn of_json(file: PathBuf, source: serde_json::Error) -> Self {
        let problem = match source.classify() {
            Category::Io => return Self::File { file, source: source.into() },
            Category::Syntax => "is no JSON",
            Category::Eof => "is cut off",
            Category::Data => "is no list of webhooks with their examples",
        };
        Self::Json { file, problem, source }
    }

    /// The exit code, as `--help` lists them.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Output(_) => 1,
            Self::File { .. } => 2,
            Self::Json { .. } | Self::Payload { .. } => 3,
            // What the event says, and not what the database says: a year that no database stores, for one.
            Self::Record { source, .. } if matches!(**source, RecordError::Invalid(_)) => 3,
            _ => 4,
        }
    }
}
