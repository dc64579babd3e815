//! What can go wrong below the dispatcher, and what each kind means for it.

use std::error::Error;

use serde::Serialize;

/// What kind of trouble a storage is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StorageErrorKind {
    /// Tables are missing, or are not those of this version.
    NotMigrated,
    /// A cursor stands beyond what its log ever gave out: the log was emptied or replaced.
    Reset,
    /// The database can't be written to.
    ReadOnly,
    /// Another connection holds the lock for longer than we wait.
    Locked,
    /// No connection.
    Unreachable,
    /// Another worker owns the inbox, or a save of ours was applied that we were not told of.
    Fenced,
    /// This database, or this configuration of it, can't do what exactness needs.
    Unsupported,
    /// The dispatcher is at work already.
    Busy,
    /// Stored state that can't be read: changed by hand, or by a newer version.
    Corrupt,
    /// Anything else.
    Other,
}

impl StorageErrorKind {
    /// Whether waiting can't help: a running dispatcher stops and says so.
    pub fn is_fatal(self) -> bool {
        matches!(self, Self::NotMigrated | Self::Reset | Self::Unsupported | Self::Corrupt)
    }
}

/// An error of a storage: its kind decides what the dispatcher does, its message tells what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StorageError {
    kind: StorageErrorKind,
    message: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StorageError {
    /// An error of this kind.
    pub fn new(kind: StorageErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same error with what caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The refusal of a save whose fence no longer holds.
    pub fn fenced(inbox: &str) -> Self {
        Self::new(
            StorageErrorKind::Fenced,
            format!("inbox `{inbox}`: another worker took it over, or a save was applied unseen; reloading"),
        )
    }

    /// The kind.
    pub fn kind(&self) -> StorageErrorKind {
        self.kind
    }
}
