//! SQLite: the check of what exactness rests on.

use event_core::LogName;
use event_core::storage::StorageError;

use super::{SeaStorage, error};
use crate::migration::sqlite as ddl;

/// The tables are there, and the log's are those that our migration makes: ids that only grow, and triggers.
pub(super) async fn check(storage: &SeaStorage, logs: &[LogName]) -> Result<(), StorageError> {
    let mut sql = storage.sql()?;
    sql.push("SELECT type, name, sql FROM sqlite_master WHERE type IN ('table', 'trigger')");
    let mut found = Vec::new();
    for row in storage.query(storage.db(), sql).await? {
        let get = |column: &str| row.try_get::<Option<String>>("", column).map_err(|error| storage.error(error));
        found.push((
            get("type")?.unwrap_or_default(),
            get("name")?.unwrap_or_default(),
            get("sql")?.unwrap_or_default(),
        ));
    }
    let table = |name: &str| found.iter().find(|(kind, found, _)| kind == "table" && found == name);
    for name in ["event_cursors", "event_failures"] {
        table(name).ok_or_else(|| error::not_migrated(name))?;
    }
    for log in logs {
        let (_, _, made) = table(log.as_str()).ok_or_else(|| error::not_migrated(log.as_str()))?;
        if !made.to_ascii_uppercase().contains("AUTOINCREMENT") {
            return Err(error::unsafe_log(log, "its ids are not AUTOINCREMENT, and would be given out again"));
        }
        for (trigger, expected) in ddl::log_triggers(log.as_str()) {
            let of_log = found.iter().find(|(kind, found, _)| kind == "trigger" && *found == trigger);
            let Some((_, _, made)) = of_log else {
                return Err(error::unsafe_log(log, &format!("its trigger `{trigger}` is missing")));
            };
            if normalised(made) != normalised(&expected) {
                return Err(error::altered_trigger(log, &trigger));
            }
        }
    }
    Ok(())
}

/// A statement without what SQLite and its tools may write otherwise: white space, and quotes around names.
fn normalised(statement: &str) -> String {
    statement.replace('"', "").split_whitespace().collect::<Vec<_>>().join(" ")
}
