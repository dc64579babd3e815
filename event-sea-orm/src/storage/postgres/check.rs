//! PostgreSQL: the check of what exactness rests on.

use event_core::LogName;
use event_core::storage::{Storage as _, StorageError, StorageErrorKind};
use sea_orm::{ConnectionTrait, QueryResult};

use crate::backend::{Sql, Trouble};
use crate::migration::postgres as ddl;
use crate::storage::{SeaStorage, error};

/// The oldest version with everything that we ask for.
const OLDEST: i64 = 130_000;

/// The server can be worked on, the tables are there, and the logs' ids are drawn one by one by a sequence alone.
pub(in crate::storage) async fn check(storage: &SeaStorage, logs: &[LogName]) -> Result<(), StorageError> {
    check_sessions(storage).await?;
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
    }
    check_row_security(storage, logs).await?;
    for log in logs {
        check_ids(storage, log).await?;
        check_triggers(storage, log).await?;
    }
    Ok(())
}

/// No policy hides rows from this role: a hidden event would be taken for a dead id, a hidden failure row for none.
///
/// That stays so while the dispatcher runs, because its sessions have `row_security = off` (`connect.rs`): the server refuses
/// their statements where it would filter them.
async fn check_row_security(storage: &SeaStorage, logs: &[LogName]) -> Result<(), StorageError> {
    let shared = ["event_cursors", "event_failures", "event_retention", "event_sleepers", "event_throttles"];
    let tables = shared.into_iter().chain(logs.iter().map(LogName::as_str));
    let quoted: Vec<_> = tables.map(|table| quoted(storage, table)).collect::<Result<_, _>>()?;
    let mut sql = storage.sql()?;
    sql.push("SELECT part.id::regclass::text AS name, current_user::text AS role FROM (VALUES ");
    for (index, table) in quoted.into_iter().enumerate() {
        sql.push(if index > 0 { ", (to_regclass(" } else { "(to_regclass(" }).bind(table).push("::text))");
    }
    sql.push(
        ") AS tables(id) CROSS JOIN LATERAL (SELECT tables.id UNION SELECT relid FROM pg_partition_tree(tables.id)",
    );
    sql.push(") AS part(id) WHERE row_security_active(part.id) ORDER BY 1 LIMIT 1");
    match one(storage, sql).await? {
        Some(row) => Err(error::row_security(&storage.text(&row, "name")?, Some(&storage.text(&row, "role")?))),
        None => Ok(()),
    }
}

/// Two connections are two sessions, and one remains the same. Behind a pooler that gives a session away after each transaction
/// (PgBouncer's `pool_mode = transaction`), settings, prepared statements and LISTEN would be other clients'.
async fn check_sessions(storage: &SeaStorage) -> Result<(), StorageError> {
    let Some(looker) = storage.connections().await?.looker else { return Ok(()) };
    let before = session(storage, &looker.db).await?;
    let connects = looker.connects();
    let transaction = storage.begin_own().await?;
    let other = session(storage, transaction.connection()).await;
    let after = session(storage, &looker.db).await;
    // The answers say more than an error of this.
    let _ = storage.rollback(transaction).await;
    let (other, after) = (other?, after?);
    let is_the_same = looker.connects() == connects;
    if before == other || after == other || before != after && is_the_same {
        return Err(error::pooler(StorageErrorKind::Unsupported));
    }
    Ok(())
}

/// The backend that answers.
async fn session<C: ConnectionTrait>(storage: &SeaStorage, db: &C) -> Result<i64, StorageError> {
    let mut sql = storage.sql()?;
    sql.push("SELECT pg_backend_pid()::bigint AS pid");
    let asked = async {
        match db.query_one_raw(storage.statement(sql)).await {
            Err(error)
                if storage.known_dialect().is_ok_and(|dialect| dialect.trouble(&error) == Some(Trouble::Pooler)) =>
            {
                Ok(Err(error::pooler(StorageErrorKind::Unsupported).caused_by(error)))
            }
            answer => answer.map(Ok),
        }
    };
    match storage.answer(asked).await?? {
        Some(row) => storage.number(&row, "pid"),
        None => Ok(0),
    }
}

async fn check_server(storage: &SeaStorage) -> Result<(), StorageError> {
    let mut sql = storage.sql()?;
    sql.push(
        "SELECT current_setting('server_version_num')::bigint AS version, current_setting('server_version') AS named,",
    );
    sql.push(" CASE WHEN pg_is_in_recovery() THEN 1 ELSE 0 END AS standby,");
    sql.push(" current_setting('server_encoding') AS encoding");
    let Some(row) = one(storage, sql).await? else { return Ok(()) };
    if storage.number(&row, "version")? < OLDEST {
        let message = format!("PostgreSQL {} is too old: 13 or later is needed", storage.text(&row, "named")?);
        return Err(StorageError::new(StorageErrorKind::Unsupported, message));
    }
    let encoding = storage.text(&row, "encoding")?;
    if encoding != ddl::ENCODING {
        return Err(StorageError::new(StorageErrorKind::Unsupported, ddl::wrong_encoding(&encoding)));
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

/// The triggers are there, act, and do what the migration has them do: one of that name may have been replaced.
async fn check_triggers(storage: &SeaStorage, log: &LogName) -> Result<(), StorageError> {
    let mut sql = storage.sql()?;
    sql.push("SELECT t.tgname::text AS name, CASE WHEN t.tgenabled IN ('O', 'A') THEN 1 ELSE 0 END AS enabled,");
    sql.push(
        " CASE WHEN t.tgqual IS NULL AND t.tgattr::text = '' AND l.lanname = 'plpgsql' THEN 1 ELSE 0 END AS plain,",
    );
    sql.push(
        " t.tgtype::bigint AS type, p.prosrc AS body, coalesce(array_to_string(p.proconfig, '; '), '') AS settings",
    );
    sql.push(" FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid");
    sql.push(" JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang WHERE NOT t.tgisinternal AND t.tgrelid = ");
    sql.bind(quoted(storage, log.as_str())?).push("::text::regclass");
    let rows = storage.query(&storage.own().await?, sql).await?;
    for trigger in ddl::log_triggers(log.as_str()) {
        let mut enabled = false;
        for row in &rows {
            if storage.text(row, "name")? != trigger.name || storage.number(row, "enabled")? == 0 {
                continue;
            }
            enabled = true;
            let same = storage.number(row, "plain")? != 0
                && storage.number(row, "type")? == trigger.kind
                && storage.text(row, "body")? == ddl::APPEND_ONLY
                && storage.text(row, "settings")? == ddl::FUNCTION_SETTINGS_STORED;
            if !same {
                return Err(error::altered_trigger(log, &trigger.name));
            }
        }
        if !enabled {
            return Err(error::unsafe_log(log, &format!("its trigger `{}` is missing or disabled", trigger.name)));
        }
    }
    Ok(())
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
