//! What is wrong, where, and how to mend it.

use std::fmt;
use std::path::PathBuf;

use crate::names::Location;

/// A change that stored data would not survive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Metadata that is stored can't be read any more, or not all of it.
    #[error("`{name}` of `{subject}` in log `{log}`, version {version}: {} {change}; {mend}", field(path))]
    Metadata {
        /// The log.
        log: String,
        /// The subject.
        subject: String,
        /// The name that it is stored under.
        name: String,
        /// The version that it is stored as.
        version: u32,
        /// The field's path (`lines[].price`); empty for the whole.
        path: String,
        /// What became of the field.
        change: String,
        /// What to write.
        mend: String,
    },
    /// The step that leads from a stored version is gone.
    #[error(
        "`{name}` of `{subject}` in log `{log}`: the upcast from version {version} is gone, and events of that version are still \
         stored; put `upcast({version} = ...)` back"
    )]
    UpcastGone {
        /// The log.
        log: String,
        /// The subject.
        subject: String,
        /// The name that it is stored under.
        name: String,
        /// The version.
        version: u32,
    },
    /// A version that was recorded is newer than the program knows.
    #[error(
        "`{name}` of `{subject}` in log `{log}` was recorded as version {stored}, and is at version {version} now, which can't read \
         those events; put `version = {stored}` back, or go on to a later one"
    )]
    VersionLowered {
        /// The log.
        log: String,
        /// The subject.
        subject: String,
        /// The name that it is stored under.
        name: String,
        /// The newest version that is stored.
        stored: u32,
        /// The program's.
        version: u32,
    },
    /// No action has that name any more.
    #[error(
        "`{name}` of `{subject}` in log `{log}` is gone, and events are stored under that name; if the variant was renamed{}, write \
         `#[event(alias = \"{name}\")]` on it, or `#[event(name = \"{name}\")]` to go on storing it so; if nothing is stored under it \
         any more, take it out of the file",
        to(nearest)
    )]
    ActionGone {
        /// The log.
        log: String,
        /// The subject.
        subject: String,
        /// The name.
        name: String,
        /// The new action that it may be now.
        nearest: Option<String>,
    },
    /// No event of that subject is recorded in that log any more.
    #[error(
        "the events of `{subject}` in log `{log}` are gone; {}; if nothing is stored of them any more, take them out of the file",
        moved(log, subject, nearest)
    )]
    SubjectGone {
        /// The log.
        log: String,
        /// The subject.
        subject: String,
        /// The log and the subject that they may have now.
        nearest: Option<(String, String)>,
    },
    /// No inbox has that name any more.
    #[error(
        "inbox `{name}` is gone, and its place in the logs, its retries and its dead letters are stored under that name; if it was \
         renamed{}, write `#[inbox(name = \"{name}\")]` on it; if it was dropped for good, take it out of the file",
        to(nearest)
    )]
    InboxGone {
        /// The name.
        name: String,
        /// The new inbox that it may be now.
        nearest: Option<String>,
    },
    /// Two enums claim one name, as the dispatcher would say too.
    #[error(
        "{second}: `{name}` of `{subject}` in log `{log}` belongs to an enum at {first} already; rename one of them"
    )]
    TwoActions {
        /// The log.
        log: String,
        /// The subject.
        subject: String,
        /// The name or the alias.
        name: String,
        /// One enum's place.
        first: Location,
        /// The other's.
        second: Location,
    },
    /// Two inboxes have one name, as the dispatcher would say too.
    #[error("{second}: inbox `{name}` has the name of the one at {first}; give one of them `#[inbox(name = \"...\")]`")]
    TwoInboxes {
        /// The name.
        name: String,
        /// One place.
        first: Location,
        /// The other.
        second: Location,
    },
}

fn field(path: &str) -> String {
    if path.is_empty() { "the metadata".to_owned() } else { format!("field `{path}`") }
}

fn to(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |nearest| format!(" to `{nearest}`"))
}

fn moved(log: &str, subject: &str, nearest: &Option<(String, String)>) -> String {
    let mend = match nearest {
        Some((to_log, to_subject)) if to_log == log => {
            format!("if they are those of `{to_subject}` now, write `subject(..., name = \"{subject}\")`")
        }
        Some((to_log, to_subject)) => format!(
            "if they are those of `{to_subject}` in log `{to_log}` now, write `log = \"{log}\"` (or `table`, if it is the enum's own) \
             and `subject(..., name = \"{subject}\")`"
        ),
        None => format!(
            "an enum that was moved or renamed keeps `log = \"{log}\"` and `subject(..., name = \"{subject}\")`"
        ),
    };
    format!("{mend}; if its crate is not linked here, write `use that_crate as _;`")
}

/// The file and the program do not agree, or the file can't be used.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Changes that stored data would not survive.
    #[error("{}", broken(path, problems))]
    Broken {
        /// The file.
        path: PathBuf,
        /// Each of them.
        problems: Vec<Problem>,
    },
    /// Changes that stored data survives, and that the file does not have yet.
    #[error("{}", outdated(path, changes))]
    Outdated {
        /// The file.
        path: PathBuf,
        /// Each of them, in words.
        changes: Vec<String>,
    },
    /// The file can't be understood.
    #[error(
        "{} is damaged: {reason}; take it from version control (of two sides of a merge either one: EVENTS_LOCK=update adds what \
         the other had)",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A later event-core wrote the file.
    #[error("{} has format {found}, and this event-core knows {known} at most: use the version that wrote it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The latest that is known.
        known: u32,
    },
    /// The system can't read or write the file.
    #[error("{} {what}: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system says.
        reason: String,
    },
    /// The environment asks for something that there is not.
    #[error("EVENTS_LOCK is `{0}`; it can be `check`, `update` or `accept`")]
    BadMode(String),
}

/// As it is displayed: a test that returns this error prints it so, and is to be read by people.
impl fmt::Debug for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn broken(path: &std::path::Path, problems: &[Problem]) -> String {
    let mut text = format!("stored data would not survive what changed since {}:", path.display());
    for problem in problems {
        text.push_str(&format!("\n  - {problem}"));
    }
    text + "\nWhat was never in production: EVENTS_LOCK=accept takes all of it into the file as it is now."
}

fn outdated(path: &std::path::Path, changes: &[String]) -> String {
    let mut text = format!("{} does not have these changes yet, all of which stored data survives:", path.display());
    for change in changes {
        text.push_str(&format!("\n  - {change}"));
    }
    text + "\nRun the same again with EVENTS_LOCK=update, and commit the file."
}
