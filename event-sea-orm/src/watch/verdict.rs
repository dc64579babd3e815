//! Which changes have no event in their transaction.

use std::collections::HashSet;
use std::fmt;

use sea_orm::{DbErr, QueryResult};

/// A row that changed in a transaction without an event of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unrecorded {
    /// Its table.
    pub table: String,
    /// Its key, as text.
    pub row: String,
    /// `INSERT`, `UPDATE` or `DELETE`.
    pub operation: String,
}

impl fmt::Display for Unrecorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {} ({})", self.table, self.row, self.operation)
    }
}

/// How many are named in an error.
const NAMED: usize = 10;

pub(super) fn list(unrecorded: &[Unrecorded]) -> String {
    let named: Vec<_> = unrecorded.iter().take(NAMED).map(ToString::to_string).collect();
    let more = unrecorded.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

/// What stands where an event was recorded, in place of an operation.
pub(super) const EVENT: &str = "EVENT";

/// A row of `event_watch`.
pub(super) struct Seen {
    pub(super) id: i64,
    transaction: i64,
    /// The table that changed.
    pub(super) table: String,
    /// The kind of subject.
    kind: String,
    pub(super) row: String,
    pub(super) operation: String,
}

impl Seen {
    pub(super) fn is_event(&self) -> bool {
        self.operation == EVENT
    }

    /// The kind and the key of the subject, in a form that compares.
    pub(super) fn subject(&self) -> (String, String) {
        Self::subject_of(&self.kind, &self.row)
    }

    pub(super) fn subject_of(kind: &str, row: &str) -> (String, String) {
        (kind.to_owned(), plain(row))
    }

    /// The same, of that transaction.
    #[cfg(feature = "sqlite")]
    pub(super) fn of(self, transaction: i64) -> Self {
        Self { transaction, ..self }
    }
}

pub(super) fn seen(row: &QueryResult) -> Result<Seen, DbErr> {
    let text = |column: &str| row.try_get::<String>("", column);
    Ok(Seen {
        id: row.try_get("", "id")?,
        transaction: row.try_get("", "tx")?,
        table: text("source")?,
        kind: text("kind")?,
        row: text("row_id")?,
        operation: text("operation")?,
    })
}

/// A key as text, whether it was stored as one or as sixteen bytes.
fn plain(key: &str) -> String {
    let hex: String = key.chars().filter(|c| *c != '-').collect();
    let is_uuid = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_uuid { hex.to_ascii_lowercase() } else { key.to_owned() }
}

pub(super) fn unrecorded(seen: &[Seen]) -> Vec<Unrecorded> {
    let name = |row: &Seen| (row.transaction, row.subject());
    let (events, changes): (Vec<_>, Vec<_>) = seen.iter().partition(|row| row.is_event());
    let events: HashSet<_> = events.into_iter().map(name).collect();
    let without = changes.into_iter().filter(|row| !events.contains(&name(row)));
    let unrecorded = without.map(|row| Unrecorded {
        table: row.table.clone(),
        row: row.row.clone(),
        operation: row.operation.clone(),
    });
    unrecorded.collect()
}
