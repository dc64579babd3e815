//! PostgreSQL: the check of what exactness rests on.

use event_core::LogName;
use event_core::storage::{StorageError, StorageErrorKind};
use sea_orm::QueryResult;

use crate::backend::Sql;
use crate::migration::postgres as ddl;
use crate::storage::{SeaStorage, error};

/// The oldest version with everything that we ask for.
const OLDEST: i64 = 130_000;

/// The server can be worked on, the tables are there, and the logs' ids are drawn one by one by a sequence alone.
pub(in crate::storage) async fn check(storage: &SeaStorage, logs: &[LogName]) -> Result<(), StorageError> {
    check_server(storage).await?;
    for name in ["event_cursors", "event_failures"] {
        if !is_there(storage, name).await? {
            return Err(error::not_migrated(name));
        }
    }
    for log in logs {
        if !is_there(storage, log.as_str()).await? {
            return Err(error::not_migrated(log.as_str()));
        }
        check_ids(storage, log).await?;
        check_triggers(storage, log).await?;
    }
    Ok(())
}

async fn check_server(storage: &SeaStorage) -> Result<(), StorageError> {
    let mut sql = storage.sql()?;
    sql.push(
        "SELECT current_setting('server_version_num')::bigint AS version, current_setting('server_version') AS named,",
    );
    sql.push(" CASE WHEN pg_is_in_recovery() THEN 1 ELSE 0 END AS standby");
    let Some(row) = one(storage, sql).await? else { return Ok(()) };
    if storage.number(&row, "version")? < OLDEST {
        let message = format!("PostgreSQL {} is too old: 13 or later is needed", storage.text(&row, "named")?);
        return Err(StorageError::new(StorageErrorKind::Unsupported, message));
    }
    if storage.number(&row, "standby")? != 0 {
        return Err(StorageError::new(
            StorageErrorKind::ReadOnly,
            "this server is a standby: the dispatcher reads and writes on the primary, where recorders' locks can be seen",
        ));
    }
    Ok(())
}

async fn check_ids(storage: &SeaStorage, log: &LogName) -> Result<(), StorageError> {
    let mut sql = storage.sql()?;
    let (table, sequence) = (quoted(storage, log.as_str())?, quoted(storage, &ddl::sequence(log.as_str()))?);
    sql.push("SELECT a.attidentity::text AS identity, s.seqcache AS cache, s.seqincrement AS step,");
    sql.push(
        " CASE WHEN s.seqcycle THEN 1 ELSE 0 END AS cycle, (SELECT count(*) FROM pg_catalog.pg_subscription_rel r",
    );
    sql.push(" WHERE r.srrelid = a.attrelid) AS subscriptions FROM pg_catalog.pg_attribute a");
    // By its name, since that is where newest ids are asked for, and only if it is the column's own.
    sql.push(" LEFT JOIN pg_catalog.pg_sequence s ON s.seqrelid = to_regclass(").bind(sequence).push("::text)");
    sql.push(" AND s.seqrelid = pg_get_serial_sequence(").bind(table.as_str()).push("::text, 'id')::regclass");
    sql.push(" WHERE a.attrelid = ").bind(table).push("::text::regclass AND a.attname = 'id'");
    let Some(row) = one(storage, sql).await? else { return Err(error::not_migrated(log.as_str())) };
    let number = |column: &str| row.try_get::<Option<i64>>("", column).map_err(|error| storage.error(error));
    let name = ddl::sequence(log.as_str());
    if storage.text(&row, "identity")? != "a" {
        return Err(error::unsafe_log(
            log,
            "its ids are not GENERATED ALWAYS AS IDENTITY, and could come from elsewhere",
        ));
    }
    match number("cache")? {
        None => return Err(error::unsafe_log(log, &format!("its ids do not come from the sequence `{name}`"))),
        Some(1) => {}
        Some(cache) => {
            let why = format!(
                "the sequence `{name}` has CACHE {cache}, so that a session gives out ids it drew long before: \
                 ALTER SEQUENCE {name} CACHE 1"
            );
            return Err(error::unsafe_log(log, &why));
        }
    }
    if number("step")? != Some(1) || storage.number(&row, "cycle")? != 0 {
        let why = format!("the sequence `{name}` does not count up by one: ALTER SEQUENCE {name} INCREMENT 1 NO CYCLE");
        return Err(error::unsafe_log(log, &why));
    }
    if storage.number(&row, "subscriptions")? != 0 {
        return Err(error::unsafe_log(log, "logical replication writes into it, with ids that another server drew"));
    }
    Ok(())
}

async fn check_triggers(storage: &SeaStorage, log: &LogName) -> Result<(), StorageError> {
    let mut sql = storage.sql()?;
    sql.push("SELECT tgname::text AS name FROM pg_catalog.pg_trigger WHERE tgenabled IN ('O', 'A') AND tgrelid = ");
    sql.bind(quoted(storage, log.as_str())?).push("::text::regclass");
    let rows = storage.query(&storage.own().await?, sql).await?;
    let found: Vec<_> = rows.iter().map(|row| storage.text(row, "name")).collect::<Result<_, _>>()?;
    match ddl::log_triggers(log.as_str()).into_iter().find(|trigger| !found.contains(trigger)) {
        None => Ok(()),
        Some(trigger) => Err(error::unsafe_log(log, &format!("its trigger `{trigger}` is missing or disabled"))),
    }
}

async fn is_there(storage: &SeaStorage, table: &str) -> Result<bool, StorageError> {
    let mut sql = storage.sql()?;
    sql.push("SELECT CASE WHEN to_regclass(").bind(quoted(storage, table)?);
    sql.push("::text) IS NULL THEN 0 ELSE 1 END AS there");
    one(storage, sql).await?.map_or(Ok(false), |row| Ok(storage.number(&row, "there")? != 0))
}

fn quoted(storage: &SeaStorage, name: &str) -> Result<String, StorageError> {
    Ok(storage.known_dialect()?.quoted(name))
}

async fn one(storage: &SeaStorage, sql: Sql<'_>) -> Result<Option<QueryResult>, StorageError> {
    Ok(storage.query(&storage.own().await?, sql).await?.into_iter().next())
}
