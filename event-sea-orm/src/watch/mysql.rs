//! MariaDB: a system-versioned table keeps, of each row, the transaction that wrote it.
//! <https://mariadb.com/kb/en/system-versioned-tables/#transaction-precise-history-in-innodb>

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};

use super::table::{Key, Log, Table, literal, watcher};
use super::verdict::EVENT;
use super::{Watch, WatchError};
use crate::backend::Dialect;

pub(super) const SELECT: &str =
    "SELECT id, CAST(began AS signed) AS tx, source, kind, row_id, operation FROM event_watch ORDER BY id";

const TABLE: &str = "CREATE TABLE IF NOT EXISTS event_watch (
    id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    source varchar(255) NOT NULL,
    kind varchar(64) NOT NULL,
    row_id varchar(255) NOT NULL,
    operation varchar(16) NOT NULL,
    began bigint unsigned GENERATED ALWAYS AS ROW START INVISIBLE,
    ended bigint unsigned GENERATED ALWAYS AS ROW END INVISIBLE,
    PERIOD FOR SYSTEM_TIME (began, ended)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 WITH SYSTEM VERSIONING";

/// The database that the connections are in. MySQL has no system-versioned tables.
pub(super) async fn home(db: &DatabaseConnection) -> Result<String, WatchError> {
    let select = "SELECT version() AS version, coalesce(database(), '') AS home";
    let row = db.query_one_raw(Statement::from_string(DbBackend::MySql, select)).await?;
    let row = row.ok_or(DbErr::RecordNotFound("the server's version".to_owned()))?;
    let version: String = row.try_get("", "version")?;
    if version.contains("MariaDB") { Ok(row.try_get("", "home")?) } else { Err(WatchError::Unsupported("MySQL")) }
}

/// `home` is the database that has `event_watch`.
pub(super) fn triggers(watch: &Watch, home: &str, dialect: &dyn Dialect) -> Vec<String> {
    let home = dialect.quoted(home);
    let mut statements = vec![TABLE.to_owned()];
    statements.extend(watch.tables.iter().flat_map(|table| of_table(table, &home, dialect)));
    statements.extend(watch.logs.iter().map(|log| of_log(log, dialect)));
    statements
}

fn of_table(table: &Table, home: &str, dialect: &dyn Dialect) -> [String; 3] {
    let Table { name, kind, key: Key { column, .. }, columns, .. } = table;
    let (quoted, key, kind) = (table.quoted(dialect, name), dialect.quoted(column), literal(kind));
    let same: Vec<_> = columns.iter().map(|column| dialect.quoted(column)).collect();
    let same: Vec<_> = same.iter().map(|column| format!("OLD.{column} <=> NEW.{column}")).collect();
    let same = if same.is_empty() { "true".to_owned() } else { same.join(" AND ") };
    let (watcher, name) = (watcher(&table.path()), literal(&table.path()));
    let trigger = |operation: &str, row: &str, unless: &str| {
        let id = text(&table.key, &format!("{row}.{key}"));
        // In the table's own database, where a name without one means a table of that database.
        let trigger = table.quoted(dialect, &format!("{watcher}_{}", operation.to_lowercase()));
        format!(
            "CREATE OR REPLACE TRIGGER {trigger} AFTER {operation} ON {quoted} FOR EACH ROW BEGIN
    IF NOT ({unless}) THEN
        INSERT INTO {home}.event_watch (source, kind, row_id, operation) VALUES ({name}, {kind}, {id}, '{operation}');
    END IF;
END"
        )
    };
    [trigger("INSERT", "NEW", "false"), trigger("UPDATE", "NEW", &same), trigger("DELETE", "OLD", "false")]
}

/// A key as text; sixteen bytes are none.
fn text(key: &Key, column: &str) -> String {
    if key.is_uuid { format!("hex({column})") } else { format!("CAST({column} AS char)") }
}

/// Asks for the keys of all rows, as text.
pub(super) fn keys(table: &Table, dialect: &dyn Dialect) -> String {
    let key = text(&table.key, &dialect.quoted(&table.key.column));
    format!("SELECT {key} AS row_id FROM {}", table.quoted(dialect, &table.name))
}

fn of_log(log: &Log, dialect: &dyn Dialect) -> String {
    let kind = log.kind.map_or_else(|| "NEW.subject_type".to_owned(), literal);
    let (quoted, name) = (dialect.quoted(log.name), literal(log.name));
    let watcher = watcher(log.name);
    // Sixteen bytes are no text.
    let id = if log.is_uuid { "hex(NEW.subject_id)" } else { "CAST(NEW.subject_id AS char)" };
    format!(
        "CREATE OR REPLACE TRIGGER {watcher} AFTER INSERT ON {quoted} FOR EACH ROW
    INSERT INTO event_watch (source, kind, row_id, operation) VALUES ({name}, {kind}, {id}, '{EVENT}')"
    )
}
