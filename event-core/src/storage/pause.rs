//! The pause of an inbox, as it is stored with its cursors.

use chrono::{DateTime, Utc};
use serde::Serialize;

/// An inbox whose deliveries all fail takes nothing new until a probe, one delivery at a time, succeeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// Since when.
    pub since: DateTime<Utc>,
    /// When the next probe may run.
    pub until: DateTime<Utc>,
    /// The last failure: where it came from (`error`, `panic`, `timeout`) and its text, cut to
    /// [`ERROR_MAX`](super::ERROR_MAX) characters.
    pub why: String,
    /// How many probes failed so far: each makes the next wait longer.
    pub probes: u32,
}

/// What a save says of the inbox's pause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PauseChange {
    /// It is as it was.
    #[default]
    Unchanged,
    /// It began, or a probe failed.
    Paused(Pause),
    /// It is over.
    Ended,
}
