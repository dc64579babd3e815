//! What a run of retention came to.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use event_core::LogName;
use serde::Serialize;

/// What was removed, and what was not and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RetentionReport {
    /// Each log.
    pub logs: BTreeMap<LogName, LogRetention>,
    /// Throttles that had ended, and were removed.
    pub throttles: u64,
    /// Recorded batches that were removed, with [`Retention::batches`](crate::Retention::batches).
    pub batches: u64,
}

/// One log.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LogRetention {
    /// Events that were removed, or moved to the archive.
    pub deleted: u64,
    /// Events that are old enough and stay, because a retry or a dead letter names them.
    pub failing: u64,
    /// Events that are old enough and stay, because their rows can't be read and so can't be archived.
    pub unreadable: u64,
    /// Who holds old events back.
    pub held: Vec<Held>,
}

/// An inbox that has not done events which are old enough.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Held {
    /// Its stored name.
    pub inbox: String,
    /// Everything up to this id it has done.
    pub up_to: i64,
    /// When the oldest event that it holds back was recorded, or with `by_occurred_at` when it happened.
    pub oldest: DateTime<Utc>,
    /// Whether it is linked here. One that is linked nowhere any more holds its logs back for ever: DELETE its rows FROM event_cursors.
    pub linked: bool,
    /// Whether it has a cursor: one that is linked and never ran has none.
    pub begun: bool,
    /// Whether it is paused.
    pub paused: bool,
}
