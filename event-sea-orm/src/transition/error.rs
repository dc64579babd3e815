//! Why a transition was not made.

use event_core::Saved;
use sea_orm::DbErr;

use crate::backend::{Dialect, Trouble};
use crate::db_error::DatabaseError;
use crate::record::RecordError;

/// A transition was not made: neither the row was changed, nor an event recorded. Shows states and no values, but for the reason
/// that a guard gives, and has no source that does.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TransitionError {
    /// It does not go from the model's state.
    #[error("`{transition}` can't be made from {state}: it goes from {}; {}", or(from), now(state, allowed))]
    Forbidden {
        /// The enum of states.
        machine: &'static str,
        /// The transition.
        transition: &'static str,
        /// The model's state.
        state: &'static str,
        /// The states that it goes from.
        from: Vec<&'static str>,
        /// The transitions that can be made now.
        allowed: Vec<&'static str>,
    },
    /// A guard refused it.
    #[error("`{transition}` is refused by `{guard}`{}", reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    Refused {
        /// The enum of states.
        machine: &'static str,
        /// The transition.
        transition: &'static str,
        /// The guard's function.
        guard: &'static str,
        /// Why, if the guard says.
        reason: Option<String>,
    },
    /// The row is in another state than the loaded model: another transition was faster, or the model was loaded long ago.
    #[error(
        "`{transition}` was not made: the row is in {found} and no more in {expected}, as it was when it was loaded. Load the model \
         again, and see what is allowed"
    )]
    Changed {
        /// The enum of states.
        machine: &'static str,
        /// The transition.
        transition: &'static str,
        /// The loaded model's state.
        expected: &'static str,
        /// The row's state.
        found: &'static str,
    },
    /// There is no row of the model's key (any more).
    #[error("`{transition}` was not made: the row is gone from `{table}`, or was never saved")]
    Gone {
        /// The transition.
        transition: &'static str,
        /// The table.
        table: &'static str,
    },
    /// `.set(column, value)` can't set this column.
    #[error("`{transition}` can't set the column `{column}`: {problem}")]
    BadColumn {
        /// The transition.
        transition: &'static str,
        /// The column.
        column: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// Its event was not recorded as a new one, and no state changes without an event.
    #[error("`{transition}` was not made, since its event was not recorded: {}", not_recorded(saved))]
    NotRecorded {
        /// The transition.
        transition: &'static str,
        /// What became of the recording.
        saved: Saved,
    },
    /// Another transaction holds the row's lock, or each holds one that the other needs.
    #[error("`{transition}` was not made: {advice}")]
    Locked {
        /// The transition.
        transition: &'static str,
        /// What it means on this database, and what to do.
        advice: &'static str,
    },
    /// The event can't be recorded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Any other error of the database.
    #[error(transparent)]
    Db(#[from] DatabaseError),
}

impl TransitionError {
    /// An error of the row's own statements.
    pub(super) fn of(dialect: &dyn Dialect, transition: &'static str, error: DbErr) -> Self {
        match dialect.trouble(&error) {
            Some(Trouble::Locked) => Self::Locked { transition, advice: dialect.locked_advice() },
            _ => Self::Db(error.into()),
        }
    }
}

impl From<DbErr> for TransitionError {
    fn from(error: DbErr) -> Self {
        Self::Db(error.into())
    }
}

fn not_recorded(saved: &Saved) -> String {
    match saved {
        Saved::Throttled { until } => format!("it is throttled until {until}"),
        // Only a key that exists is left.
        _ => "the same one stands there already under its idempotency key; a key stands for one transition".to_owned(),
    }
}

/// `A, B or C`
fn or(names: &[&str]) -> String {
    match names {
        [] => "no state".to_owned(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

fn now(state: &str, allowed: &[&str]) -> String {
    if allowed.is_empty() {
        return format!("from {state} nothing is allowed now");
    }
    let names: Vec<_> = allowed.iter().map(|name| format!("`{name}`")).collect();
    format!("allowed now: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_transition_says_what_is_allowed() {
        let error = |allowed| TransitionError::Forbidden {
            machine: "Status",
            transition: "start",
            state: "Closed",
            from: vec!["Open", "Reopened"],
            allowed,
        };
        assert_eq!(
            error(vec!["reopen", "archive"]).to_string(),
            "`start` can't be made from Closed: it goes from Open or Reopened; allowed now: `reopen`, `archive`"
        );
        assert_eq!(
            error(vec![]).to_string(),
            "`start` can't be made from Closed: it goes from Open or Reopened; from Closed nothing is allowed now"
        );
    }
}
