//! How long a migration waits for locks that other sessions hold, and the error that says whose they are.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};
#[cfg(feature = "postgres")]
use sea_orm::{DbBackend, Statement};

use crate::backend::{Dialect, Trouble};

/// How many seconds one lock is waited for, where the session's own limit is not lower.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) const PATIENCE: u64 = 60;

/// The number of the lock that has one migration at a time on PostgreSQL: this crate's own, "event" as bytes.
#[cfg(feature = "postgres")]
pub(crate) const POSTGRES_LOCK: i64 = 435_728_179_316;

/// Bounds each wait of this transaction: PostgreSQL's own limit is none. SQLite has its busy time-out.
pub(super) async fn limit<C: ConnectionTrait>(transaction: &C) -> Result<(), DbErr> {
    #[cfg(feature = "postgres")]
    if transaction.get_database_backend() == DbBackend::Postgres {
        let limit = format!(
            "SELECT set_config('lock_timeout', '{PATIENCE}s', true) WHERE current_setting('lock_timeout') = '0' \
             OR current_setting('lock_timeout')::interval > interval '{PATIENCE} seconds'"
        );
        transaction.execute_unprepared(&limit).await?;
    }
    let _ = transaction;
    Ok(())
}

/// The error of a migration; of one that waited too long, in words that say what for.
pub(super) async fn explain(db: &DatabaseConnection, dialect: &dyn Dialect, error: DbErr) -> DbErr {
    if !matches!(dialect.trouble(&error), Some(Trouble::Locked)) {
        return error;
    }
    let holders = holders(db).await;
    let whose = match &holders[..] {
        [] => String::new(),
        holders => format!(": {}", holders.join("; ")),
    };
    DbErr::Migration(format!(
        "another session holds a lock that the migration needs, for longer than it may wait; nothing was migrated. Run it again when \
         that session has ended its transaction{whose}. ({error})"
    ))
}

/// The sessions of this database that hold the migrations' lock or, if none does, a lock on a table, as far as it tells.
#[cfg(feature = "postgres")]
async fn holders(db: &DatabaseConnection) -> Vec<String> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Vec::new();
    }
    let (high, low) = (POSTGRES_LOCK >> 32, POSTGRES_LOCK & 0xffff_ffff);
    let asked = format!(
        "SELECT DISTINCT l.locktype = 'advisory' AS migrates, coalesce(format('backend %s, role %s, application \"%s\"', a.pid, a.usename, \
         a.application_name), 'a prepared transaction') AS holder FROM pg_catalog.pg_locks AS l LEFT JOIN pg_catalog.pg_stat_activity \
         AS a ON a.pid = l.pid WHERE l.granted AND l.pid IS DISTINCT FROM pg_backend_pid() AND l.database = (SELECT oid FROM \
         pg_catalog.pg_database WHERE datname = current_database()) AND (l.locktype = 'advisory' AND l.classid::bigint = {high} AND \
         l.objid::bigint = {low} AND l.objsubid = 1 OR l.locktype = 'relation' AND l.relation >= 16384) ORDER BY 1 DESC, 2 LIMIT 5"
    );
    // The first error says more than one of this question.
    let Ok(rows) = db.query_all_raw(Statement::from_string(DbBackend::Postgres, asked)).await else {
        return Vec::new();
    };
    let holder =
        |row: &sea_orm::QueryResult| Some((row.try_get("", "migrates").ok()?, row.try_get("", "holder").ok()?));
    let holders: Vec<(bool, String)> = rows.iter().filter_map(holder).collect();
    let migrates = holders.iter().any(|(migrates, _)| *migrates);
    holders.into_iter().filter(|(holds, _)| *holds == migrates).map(|(_, holder)| holder).collect()
}

#[cfg(not(feature = "postgres"))]
async fn holders(_: &DatabaseConnection) -> Vec<String> {
    Vec::new()
}
