//! `events.lock`: what this program stores by name, in a file that is committed; and the check that no change since then is one
//! that stored data would not survive.
//!
//! Events are rows for good, and inboxes have their place in the logs under their names. A field that is removed, an action that is
//! renamed: the compiler is content, and what was recorded last year can't be read any more. So one test of the program checks
//! it, and says what to write instead:
//!
//! ```no_run
//! # mod tests {
//! #[test]
//! fn stored_events_stay_readable() -> Result<(), event_core::lock::LockError> {
//!     event_core::lock::check("events.lock") // cargo runs tests in the folder of their package
//! }
//! # }
//! # use std::error::Error;
//! # fn main() -> Result<(), Box<dyn Error>> { Ok(event_core::lock::check("events.lock")?) }
//! ```
//!
//! The file is made and brought up to date by the same check, run with `EVENTS_LOCK=update`: changes that stored data
//! survives go into the file, others are refused. `EVENTS_LOCK=accept` takes those too: for what never was in production.
//! The environment is looked at by [`check`] alone; [`update`] and [`accept`] are the same as calls.
//!
//! What is compared is everything that is linked ([`crate::registry`]), so the test belongs into the crate that links all of the
//! program's events and inboxes, and there is one file for each program.

mod compare;
mod file;
mod linked;
mod normal;
mod problem;
mod readable;
#[cfg(test)]
mod tests;

use std::env;
use std::path::Path;

pub use problem::{LockError, Problem};

use crate::registry;
use file::Locked;
use linked::Linked;

/// What [`check`] does, if it says so.
const VARIABLE: &str = "EVENTS_LOCK";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Check,
    Update,
    Accept,
}

/// Compares the program with the file; with `EVENTS_LOCK=update` or `=accept` in the environment as [`update`] and [`accept`].
///
/// # Errors
/// - [`LockError::Broken`]: a change that stored data would not survive. Every one of them, and how to mend it.
/// - [`LockError::Outdated`]: a change that it does survive, and that the file does not have yet, or there is no file.
/// - The file is damaged, of a later form, or can't be read.
pub fn check(path: impl AsRef<Path>) -> Result<(), LockError> {
    let mode = match env::var_os(VARIABLE) {
        None => Mode::Check,
        Some(value) => match value.to_string_lossy().as_ref() {
            "" | "check" => Mode::Check,
            "update" => Mode::Update,
            "accept" => Mode::Accept,
            other => return Err(LockError::BadMode(other.to_owned())),
        },
    };
    of_the_program(path.as_ref(), mode)
}

/// Takes the changes that stored data survives into the file, and makes it if it is not there.
///
/// # Errors
/// As [`check`], but for `Outdated`; then the file is as it was. And when it can't be written.
pub fn update(path: impl AsRef<Path>) -> Result<(), LockError> {
    of_the_program(path.as_ref(), Mode::Update)
}

/// Takes every change into the file, also those that stored data would not survive: what the file knew of it is forgotten. For
/// what never was in production.
///
/// # Errors
/// When two enums or two inboxes have one name, the file is damaged or of a later form, or can't be read or written.
pub fn accept(path: impl AsRef<Path>) -> Result<(), LockError> {
    of_the_program(path.as_ref(), Mode::Accept)
}

fn of_the_program(path: &Path, mode: Mode) -> Result<(), LockError> {
    let (linked, problems) = Linked::of(registry::events(), registry::inboxes());
    if !problems.is_empty() {
        return Err(LockError::Broken { path: path.to_owned(), problems });
    }
    run(path, mode, &linked)
}

fn run(path: &Path, mode: Mode, linked: &Linked) -> Result<(), LockError> {
    let stored = Locked::read(path)?;
    let is_new = stored.is_none();
    let stored = stored.unwrap_or_default();
    let mut locked = stored.clone();
    loop {
        let problems = compare::problems(&locked, linked);
        if problems.is_empty() {
            break;
        }
        if mode != Mode::Accept {
            return Err(LockError::Broken { path: path.to_owned(), problems });
        }
        // Without a version that stood between two others, these are compared: it may take several rounds.
        locked = compare::without(locked, &problems);
    }
    let merged = compare::merged(&locked, linked);
    if !is_new && merged == stored {
        return Ok(());
    }
    if mode == Mode::Check {
        let changes =
            if is_new { vec!["there is no such file".to_owned()] } else { compare::changes(&stored, &merged) };
        return Err(LockError::Outdated { path: path.to_owned(), changes });
    }
    merged.write(path)
}
