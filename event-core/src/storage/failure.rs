//! Failure rows: deliveries that failed, wait, or are dead, one row per inbox and event.

use std::fmt;

use chrono::{DateTime, Utc};

use super::ReadEvent;
use crate::names::{EventRef, LogName, SubjectRef};

/// The most characters of an error's text that a failure row keeps.
pub const ERROR_MAX: usize = 4_000;

/// A delivery: an event at an inbox.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FailureKey {
    /// The inbox's stored name.
    pub inbox: String,
    /// The event.
    pub event: EventRef,
}

impl fmt::Display for FailureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at `{}`", self.event, self.inbox)
    }
}

/// What a failure row waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureState {
    /// Its next attempt.
    Retrying,
    /// The time its handler asked for; no attempt was counted.
    Snoozed,
    /// The end of an earlier failure of its subject, in an ordered inbox.
    Parked,
    /// A program that knows its action; the one that read it does not. No attempt was counted.
    Waiting,
    /// Nothing: a dead letter, until an operator retries or discards it.
    Dead,
}

impl FailureState {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retrying => "retrying",
            Self::Snoozed => "snoozed",
            Self::Parked => "parked",
            Self::Waiting => "waiting",
            Self::Dead => "dead",
        }
    }

    /// The state of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        let states = [Self::Retrying, Self::Snoozed, Self::Parked, Self::Waiting, Self::Dead];
        states.into_iter().find(|state| state.as_str() == word)
    }
}

/// A failure row.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The delivery.
    pub key: FailureKey,
    /// The event's subject.
    pub subject: SubjectRef,
    /// The event's action.
    pub action: String,
    /// What it waits for.
    pub state: FailureState,
    /// Attempts begun so far that count.
    pub attempts: u32,
    /// How many attempts in a row the end of the process cut short while other deliveries may have run in it. They do not count in
    /// `attempts`; after a few the delivery runs alone.
    pub interrupted: u32,
    /// When it is due; `None` for the parked and the dead, and for the waiting until a
    /// program that knows the event has the inbox.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Where the last failure came from: `error`, `panic`, `timeout`, `undecodable`, `crash`, `unknown`, or empty.
    pub kind: String,
    /// The last failure's text, cut to [`ERROR_MAX`] characters.
    pub error: String,
    /// When the attempt under way was begun; `Some` while it runs, and after a crash in it.
    pub started_at: Option<DateTime<Utc>>,
    /// The first failure's time.
    pub first_failed_at: DateTime<Utc>,
    /// The last failure's time.
    pub last_failed_at: DateTime<Utc>,
}

/// A change of a failure row; part of a save. Each compares the attempts it saw, so that what an operator or another worker
/// did meanwhile is never overwritten: if they differ, the whole save is refused.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FailureChange {
    /// A new row.
    Insert(Failure),
    /// The row as it is now, if its attempts were these.
    Update {
        /// The row.
        failure: Failure,
        /// The attempts before.
        attempts: u32,
    },
    /// No row any more, if its attempts were these.
    Remove {
        /// Which.
        key: FailureKey,
        /// The attempts before.
        attempts: u32,
    },
    /// A parked event's turn has come: it is due.
    Unpark {
        /// Which.
        key: FailureKey,
        /// From when.
        due: DateTime<Utc>,
    },
}

/// An open failure row, as far as the order of its subject's events is concerned.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenFailure {
    /// The event.
    pub event: EventRef,
    /// Its subject.
    pub subject: SubjectRef,
    /// Whether it waits for another one's end, and not for a time.
    pub parked: bool,
}

/// The waiting rows of one action at an inbox.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitingEvents {
    /// The log.
    pub log: LogName,
    /// The subject's stored name.
    pub subject: String,
    /// The action's stored name.
    pub action: String,
    /// How many events wait.
    pub events: u64,
    /// When the first of them was read.
    pub since: DateTime<Utc>,
}

impl WaitingEvents {
    /// The group that a row begins.
    pub(crate) fn of(row: &Failure) -> Self {
        Self {
            log: row.key.event.log.clone(),
            subject: row.subject.kind.to_string(),
            action: row.action.clone(),
            events: 1,
            since: row.first_failed_at,
        }
    }

    /// Whether a row has this log, subject and action.
    pub(crate) fn covers(&self, row: &Failure) -> bool {
        row.key.event.log == self.log && row.subject.kind == self.subject && row.action == self.action
    }
}

/// A failure row that is due, with its event; `None` where the log no longer holds it.
#[derive(Clone, Debug)]
pub struct DueFailure {
    /// The row.
    pub failure: Failure,
    /// The event.
    pub event: Option<ReadEvent>,
}

/// A dead letter: a delivery that was given up, with why.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// The failure row.
    pub failure: Failure,
}

impl std::ops::Deref for DeadLetter {
    type Target = Failure;

    fn deref(&self) -> &Failure {
        &self.failure
    }
}

/// Which dead letters to list: all of them, or one inbox's; keyset pages.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetterQuery {
    /// Of this inbox only.
    pub inbox: Option<String>,
    /// At most so many.
    pub limit: u64,
    /// After this one, by the time of its last failure and its key; the last of the page before.
    pub after: Option<(DateTime<Utc>, FailureKey)>,
}

impl Default for DeadLetterQuery {
    fn default() -> Self {
        Self { inbox: None, limit: 100, after: None }
    }
}

/// Cuts an error's text to what a failure row keeps, without NUL: PostgreSQL refuses it, and the save would fail for ever.
pub(crate) fn stored_text(text: &str) -> String {
    text.chars().filter(|&c| c != '\0').take(ERROR_MAX).collect()
}
