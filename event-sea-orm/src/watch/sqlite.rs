//! SQLite: there is one writer at a time, so that what a transaction wrote down stands together. Where each ends is told by the hooks of
//! the connections.

use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::sqlx::Error;
use sea_orm::{DatabaseConnection, DbErr, RuntimeErr};

use super::table::{Key, Log, Table, literal, watcher};
use super::verdict::EVENT;
use super::{Watch, WatchError};
use crate::backend::Dialect;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS event_watch (
    id integer PRIMARY KEY AUTOINCREMENT,
    source text NOT NULL,
    kind text NOT NULL,
    row_id text NOT NULL,
    operation text NOT NULL
)";

/// A table's triggers can only write where the table is.
pub(super) fn check(watch: &Watch) -> Result<(), WatchError> {
    let attached =
        watch.tables.iter().find_map(|table| Some((table, table.schema.as_deref().filter(|it| *it != "main")?)));
    match attached {
        Some((table, schema)) => Err(WatchError::Attached { table: table.name.clone(), schema: schema.to_owned() }),
        None => Ok(()),
    }
}

pub(super) fn triggers(watch: &Watch, dialect: &dyn Dialect) -> Vec<String> {
    let mut statements = vec![TABLE.to_owned()];
    statements.extend(watch.tables.iter().flat_map(|table| of_table(table, dialect)));
    statements.extend(watch.logs.iter().flat_map(|log| of_log(log, dialect)));
    statements
}

/// Sixteen bytes as text, and all else as it is.
fn text(row: &str, key: &str) -> String {
    format!("CASE typeof({row}.{key}) WHEN 'blob' THEN hex({row}.{key}) ELSE CAST({row}.{key} AS text) END")
}

fn of_table(table: &Table, dialect: &dyn Dialect) -> Vec<String> {
    let Table { name, kind, key: Key { column, .. }, columns, .. } = table;
    let (quoted, key, kind) = (dialect.quoted(name), dialect.quoted(column), literal(kind));
    let differ: Vec<_> = columns.iter().map(|column| dialect.quoted(column)).collect();
    let differ: Vec<_> = differ.iter().map(|column| format!("OLD.{column} IS NOT NEW.{column}")).collect();
    let differ = if differ.is_empty() { "0".to_owned() } else { differ.join(" OR ") };
    let (watcher, name) = (watcher(name), literal(name));
    let trigger = |operation: &str, row: &str, when: String| {
        let trigger = format!("{watcher}_{}", operation.to_lowercase());
        let id = text(row, &key);
        [
            format!("DROP TRIGGER IF EXISTS {trigger}"),
            format!(
                "CREATE TRIGGER {trigger} AFTER {operation} ON {quoted} {when} BEGIN
    INSERT INTO event_watch (source, kind, row_id, operation) VALUES ({name}, {kind}, {id}, '{operation}');
END"
            ),
        ]
    };
    let inserted = trigger("INSERT", "NEW", String::new());
    let updated = trigger("UPDATE", "NEW", format!("WHEN {differ}"));
    let deleted = trigger("DELETE", "OLD", String::new());
    [inserted, updated, deleted].concat()
}

fn of_log(log: &Log, dialect: &dyn Dialect) -> [String; 2] {
    let kind = log.kind.map_or_else(|| "NEW.subject_type".to_owned(), literal);
    let (quoted, name, id) = (dialect.quoted(log.name), literal(log.name), text("NEW", "subject_id"));
    let trigger = watcher(log.name);
    [
        format!("DROP TRIGGER IF EXISTS {trigger}"),
        format!(
            "CREATE TRIGGER {trigger} AFTER INSERT ON {quoted} BEGIN
    INSERT INTO event_watch (source, kind, row_id, operation) VALUES ({name}, {kind}, {id}, '{EVENT}');
END"
        ),
    ]
}

/// Where commits fell: after each, the newest id of `event_watch`.
#[derive(Clone, Debug, Default)]
pub(super) struct Commits(Arc<Mutex<Vec<i64>>>);

impl Commits {
    /// Those of the pool's connections, of which each is told to tell.
    pub(super) async fn of(db: &DatabaseConnection) -> Result<Self, DbErr> {
        let commits = Self::default();
        if db.get_database_backend() != sea_orm::DbBackend::Sqlite {
            return Ok(commits);
        }
        let pool = db.get_sqlite_connection_pool();
        let mut connections = Vec::new();
        for _ in 0..pool.options().get_max_connections() {
            let mut connection = pool.acquire().await.map_err(error)?;
            commits.hear(&mut connection).await?;
            // Given back together, or the same one would be had again.
            connections.push(connection);
        }
        Ok(commits)
    }

    async fn hear(&self, connection: &mut sea_orm::sqlx::SqliteConnection) -> Result<(), DbErr> {
        let newest = Arc::new(Mutex::new(None));
        let mut handle = connection.lock_handle().await.map_err(error)?;
        let written = newest.clone();
        handle.set_update_hook(move |update| {
            if update.table == "event_watch" {
                *lock(&written) = Some(update.rowid);
            }
        });
        let (written, commits) = (newest.clone(), self.0.clone());
        handle.set_commit_hook(move || {
            if let Some(newest) = lock(&written).take() {
                lock(&commits).push(newest);
            }
            true
        });
        handle.set_rollback_hook(move || *lock(&newest) = None);
        Ok(())
    }

    /// Which transaction wrote that id.
    pub(super) fn transaction(&self, id: i64) -> i64 {
        let commits = lock(&self.0);
        i64::try_from(commits.partition_point(|&newest| newest < id)).unwrap_or(i64::MAX)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn error(error: Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error)))
}
