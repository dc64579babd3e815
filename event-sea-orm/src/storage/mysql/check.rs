//! MySQL and MariaDB: the check of what exactness rests on.

use std::collections::BTreeMap;

use event_core::LogName;
use event_core::storage::{Storage, StorageError, StorageErrorKind};
use sea_orm::ConnectionTrait;

use crate::backend::mysql::is_signal;
use crate::migration::mysql as ddl;
use crate::own_table;
use crate::storage::{SeaStorage, error};

/// The oldest versions with SKIP LOCKED and JSON_TABLE, and on MySQL with CHECK and the collation of our tables.
/// <https://mariadb.com/kb/en/select/>, <https://dev.mysql.com/doc/refman/8.0/en/innodb-locking-reads.html>
const OLDEST_MARIADB: [u32; 3] = [10, 6, 0];
const OLDEST_MYSQL: [u32; 3] = [8, 0, 19];

/// The server can be worked on, the tables are there, and whoever records holds a slot.
pub(in crate::storage) async fn check(storage: &SeaStorage, logs: &[LogName]) -> Result<(), StorageError> {
    let variables = variables(storage).await?;
    let value = |name: &str| variables.get(name).map_or("", String::as_str);
    check_version(value("version"))?;
    check_settings(storage, value)?;
    check_replica(storage).await?;
    let engines = engines(storage).await?;
    for table in ["event_cursors", "event_failures"] {
        check_engine(&engines, table)?;
    }
    check_encoding(storage, logs).await?;
    check_writing(storage).await?;
    let triggers = triggers(storage).await?;
    for log in logs {
        check_engine(&engines, log.as_str())?;
        check_engine(&engines, &ddl::slots(log.as_str()))?;
        check_triggers(storage, log, &triggers).await?;
        check_slots(storage, log).await?;
    }
    Ok(())
}

/// The settings that matter, by name; those that this server does not know are left out.
async fn variables(storage: &SeaStorage) -> Result<BTreeMap<String, String>, StorageError> {
    let mut sql = storage.sql()?;
    sql.push("SHOW VARIABLES WHERE Variable_name IN ");
    sql.list([
        "version",
        "read_only",
        "super_read_only",
        "auto_increment_increment",
        "log_bin",
        "binlog_format",
        "wsrep_on",
        "group_replication_group_name",
        "group_replication_single_primary_mode",
    ]);
    let rows = storage.query(&storage.own().await?, sql).await?;
    rows.iter().map(|row| Ok((storage.text(row, "Variable_name")?, storage.text(row, "Value")?))).collect()
}

fn unsupported(message: impl Into<String>) -> StorageError {
    StorageError::new(StorageErrorKind::Unsupported, message)
}

fn check_version(version: &str) -> Result<(), StorageError> {
    let (name, oldest) =
        if version.contains("MariaDB") { ("MariaDB", OLDEST_MARIADB) } else { ("MySQL", OLDEST_MYSQL) };
    let mut numbers = version.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    let found = oldest.map(|_| numbers.next().unwrap_or(0));
    if found >= oldest {
        return Ok(());
    }
    let [major, minor, patch] = oldest;
    Err(unsupported(format!("{name} {version} is too old: {major}.{minor}.{patch} or later is needed")))
}

fn check_settings<'v>(storage: &SeaStorage, value: impl Fn(&str) -> &'v str) -> Result<(), StorageError> {
    let is_on = |name: &str| matches!(value(name), "ON" | "1");
    if is_on("read_only") || is_on("super_read_only") {
        return Err(StorageError::new(
            StorageErrorKind::ReadOnly,
            "this server is read-only: the dispatcher reads and writes on the primary, where recorders' slots can be seen",
        ));
    }
    if value("auto_increment_increment") != "1" {
        return Err(unsupported(
            "`auto_increment_increment` is not 1: ids of several events in one statement would not be known; set it to 1 for \
             this database's connections",
        ));
    }
    if is_on("log_bin") && value("binlog_format") == "STATEMENT" {
        return Err(unsupported(
            "`binlog_format` is STATEMENT, with which READ COMMITTED can't write (error 1665): set it to ROW or MIXED",
        ));
    }
    let several = is_on("wsrep_on")
        || !value("group_replication_group_name").is_empty() && value("group_replication_single_primary_mode") == "OFF";
    if several && !storage.one_writer {
        return Err(unsupported(
            "this server belongs to a cluster in which several servers may write, and recorders' slots are seen on one of them \
             only: have everything recorded and dispatched on one server, and say so by `SeaStorage::from(db).one_writer()`",
        ));
    }
    Ok(())
}

/// What another server's recorders wrote comes in here without locking a slot. Only MariaDB tells everybody whether it does.
async fn check_replica(storage: &SeaStorage) -> Result<(), StorageError> {
    let mut sql = storage.sql()?;
    sql.push("SHOW GLOBAL STATUS LIKE 'Slaves_running'");
    let rows = storage.query(&storage.own().await?, sql).await?;
    let running = rows.first().map_or(Ok("0".to_owned()), |row| storage.text(row, "Value"))?;
    if running == "0" || storage.one_writer {
        return Ok(());
    }
    Err(unsupported(
        "this server is a replica of another one, whose recorders' slots can't be seen here: dispatch on the primary; if the \
         logs are written here alone, say so by `SeaStorage::from(db).one_writer()`",
    ))
}

/// A statement that changes nothing, for what the server says to it: an account, a session or a server may be read-only.
async fn check_writing(storage: &SeaStorage) -> Result<(), StorageError> {
    let mut sql = storage.sql()?;
    sql.push("UPDATE event_cursors SET saves = saves WHERE inbox = '' AND log = ''");
    storage.execute(&storage.own().await?, sql).await.map(drop)
}

/// The engine of each table of this database.
async fn engines(storage: &SeaStorage) -> Result<BTreeMap<String, String>, StorageError> {
    let mut sql = storage.sql()?;
    sql.push("SELECT table_name AS name, coalesce(engine, '') AS kind FROM information_schema.tables");
    sql.push(" WHERE table_schema = database()");
    let rows = storage.query(&storage.own().await?, sql).await?;
    rows.iter().map(|row| Ok((storage.text(row, "name")?, storage.text(row, "kind")?))).collect()
}

fn check_engine(engines: &BTreeMap<String, String>, table: &str) -> Result<(), StorageError> {
    match engines.get(table) {
        None => Err(error::not_migrated(table)),
        Some(engine) if engine.eq_ignore_ascii_case("InnoDB") => Ok(()),
        Some(engine) => Err(unsupported(format!(
            "the table `{table}` is kept by {engine}, which has no transactions: ALTER TABLE {table} ENGINE = InnoDB"
        ))),
    }
}

/// Text is kept as UTF-8, all of it. A typed table's keys are compared with those of the tables that they refer to, and have theirs.
async fn check_encoding(storage: &SeaStorage, logs: &[LogName]) -> Result<(), StorageError> {
    let mut sql = storage.sql()?;
    sql.push("SELECT table_name AS of_table, column_name AS name, character_set_name AS encoding");
    sql.push(" FROM information_schema.columns WHERE table_schema = database() AND character_set_name <> 'utf8mb4'");
    sql.push(" AND table_name IN ");
    sql.list(["event_cursors", "event_failures"].into_iter().chain(logs.iter().map(LogName::as_str)));
    for row in storage.query(&storage.own().await?, sql).await? {
        let (table, column) = (storage.text(&row, "of_table")?, storage.text(&row, "name")?);
        let is_key = matches!(column.as_str(), "subject_id" | "actor_id") && own_table::of(&table).is_some();
        if !is_key {
            let encoding = storage.text(&row, "encoding")?;
            return Err(unsupported(format!(
                "the column `{column}` of `{table}` is kept as {encoding}, which can't hold every text that is recorded: convert it \
                 to utf8mb4, with the collation of the other columns of its table"
            )));
        }
    }
    Ok(())
}

/// A trigger of this database whose definition the account may see: table and name, and when it does what.
type Visible = BTreeMap<(String, String), [String; 3]>;

async fn triggers(storage: &SeaStorage) -> Result<Visible, StorageError> {
    let mut sql = storage.sql()?;
    sql.push("SELECT trigger_name AS name, event_object_table AS of_table, action_timing AS timing,");
    sql.push(" event_manipulation AS event, action_statement AS body FROM information_schema.triggers");
    sql.push(" WHERE event_object_schema = database()");
    let mut visible = Visible::new();
    for row in storage.query(&storage.own().await?, sql).await? {
        let text = |column| storage.text(&row, column);
        // An account without TRIGGER sees that there is one, and not what it does.
        let Some(body) = storage.column::<Option<String>>(&row, "body")? else { continue };
        let definition = [text("timing")?, text("event")?, normalised(&body)];
        visible.insert((text("of_table")?, text("name")?), definition);
    }
    Ok(visible)
}

/// The body of a trigger without what dumps and servers may write otherwise: white space.
fn normalised(body: &str) -> String {
    body.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn check_triggers(storage: &SeaStorage, log: &LogName, visible: &Visible) -> Result<(), StorageError> {
    let ours = ddl::log_triggers(log.as_str());
    let found = |trigger: &ddl::LogTrigger| visible.get(&(log.as_str().to_owned(), trigger.name.clone()));
    for trigger in &ours {
        let Some([timing, event, body]) = found(trigger) else { continue };
        if timing != trigger.timing || event != trigger.event || *body != normalised(&trigger.body) {
            return Err(error::altered_trigger(log, &trigger.name));
        }
    }
    let Some(missing) = ours.iter().find(|trigger| found(trigger).is_none()) else { return Ok(()) };
    // Triggers are seen only by who may drop them. An account that may not has to see that the first one acts.
    if !ours.iter().any(|trigger| found(trigger).is_some()) && is_explicit_id_refused(storage, log).await? {
        return Ok(());
    }
    let why = format!(
        "its trigger `{}` is missing, or this account can't see it: GRANT TRIGGER ON {log} lets it see them, GRANT INSERT \
         ON {log} lets it try",
        missing.name
    );
    Err(error::unsafe_log(log, &why))
}

/// Whether the trigger by which recorders hold a slot refuses an event whose id the session chose; nothing is written. An account that
/// may insert into all columns tries it by the column, one that may not insert into `id` by the session's variable.
async fn is_explicit_id_refused(storage: &SeaStorage, log: &LogName) -> Result<bool, StorageError> {
    let typed = own_table::of(log.as_str()).is_some();
    let (kind, of_kind) = if typed { ("", "") } else { ("subject_type, ", "'', ") };
    let insert = |id: &str, value: &str| {
        let mut sql = storage.sql()?;
        sql.push("INSERT INTO ").name(log.as_str()).push(" (").push(id).push(kind);
        sql.push("subject_id, action, version, metadata, occurred_at) VALUES (").push(value).push(of_kind);
        sql.push("'', '', 0, '{}', utc_timestamp(6))");
        Ok::<_, StorageError>(storage.statement(sql))
    };
    let transaction = storage.begin_own().await?;
    let connection = transaction.connection();
    let mut tried = connection.execute_raw(insert("id, ", "-1, ")?).await;
    if !tried.as_ref().is_err_and(is_signal) && connection.execute_unprepared("SET SESSION insert_id = 1").await.is_ok()
    {
        tried = connection.execute_raw(insert("", "")?).await;
        // Not used up where the trigger refused.
        let reset = connection.execute_unprepared("SET SESSION insert_id = 0").await;
        tried = reset.and(tried);
    }
    storage.rollback(transaction).await?;
    Ok(tried.is_err_and(|error| is_signal(&error)))
}

async fn check_slots(storage: &SeaStorage, log: &LogName) -> Result<(), StorageError> {
    let slots = ddl::slots(log.as_str());
    let mut sql = storage.sql()?;
    sql.push("SELECT count(*) AS n FROM ")
        .name(&slots)
        .push(" WHERE id BETWEEN 0 AND ")
        .bind(i64::from(ddl::SLOTS) - 1);
    let rows = storage.query(&storage.own().await?, sql).await?;
    let found = rows.first().map_or(Ok(0), |row| storage.number(row, "n"))?;
    if found == i64::from(ddl::SLOTS) {
        return Ok(());
    }
    let why = format!(
        "`{slots}` has {found} rows instead of {}: INSERT the ids from 0 to {} that are missing",
        ddl::SLOTS,
        ddl::SLOTS - 1
    );
    Err(error::unsafe_log(log, &why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        for good in ["10.11.19-MariaDB-0+deb12u1", "10.6.0-MariaDB", "11.4.2-MariaDB", "8.0.19", "8.4.0-log"] {
            assert!(check_version(good).is_ok(), "{good}");
        }
        for bad in ["10.5.29-MariaDB", "5.7.44-log", "8.0.18", ""] {
            assert_eq!(check_version(bad).unwrap_err().kind(), StorageErrorKind::Unsupported, "{bad}");
        }
    }
}
