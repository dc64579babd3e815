//! One migration at a time on MySQL and MariaDB, where no transaction can hold the others off: a lock of the session's, so all
//! runs in one session of its own.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, SqlxMySqlConnector, Statement};

use super::wait;
use crate::backend::dialect;
use crate::backend::mysql::session;

/// Named after the database, since the server has one set of names for all.
const LOCK: &str = "concat('event_migration.', md5(database()))";

pub(super) async fn migrate(db: &DatabaseConnection) -> Result<(), DbErr> {
    let Some(options) = session::options(db).await? else { return super::own::up(db).await };
    // A connection that breaks takes the lock with it. It is not replaced by one without: the next statement fails.
    let pool = session::pool(1, Duration::from_secs(30)).test_before_acquire(false).connect_with(options).await;
    let pool = pool.map_err(|error| DbErr::Conn(sea_orm::RuntimeErr::SqlxError(error.into())))?;
    let session = SqlxMySqlConnector::from_sqlx_mysql_pool(pool);
    let migrated = match patience(db).await {
        Ok(patience) => migrate_locked(&session, patience).await,
        Err(error) => Err(error),
    };
    let migrated = match (migrated, dialect(DbBackend::MySql)) {
        (Err(error), Ok(dialect)) => Err(wait::explain(db, dialect, error).await),
        (migrated, _) => migrated,
    };
    // Ends the session, and so lets go of the lock.
    let closed = session.close().await;
    migrated.and(closed)
}

/// How many seconds a lock is waited for: at most as long as the application's own sessions wait for one on a table.
async fn patience(db: &DatabaseConnection) -> Result<u64, DbErr> {
    let asked = "SELECT CAST(@@lock_wait_timeout AS unsigned) AS seconds";
    let row = db.query_one_raw(Statement::from_string(DbBackend::MySql, asked)).await?;
    let own: Option<u64> = row.map(|row| row.try_get("", "seconds")).transpose()?;
    Ok(own.map_or(wait::PATIENCE, |own| own.clamp(1, wait::PATIENCE)))
}

async fn migrate_locked(session: &DatabaseConnection, patience: u64) -> Result<(), DbErr> {
    session
        .execute_unprepared(&format!(
            "SET SESSION lock_wait_timeout = {patience}, SESSION innodb_lock_wait_timeout = {patience}"
        ))
        .await?;
    let lock = format!("SELECT get_lock({LOCK}, {patience}) AS locked, is_used_lock({LOCK}) AS holder");
    let row = session.query_one_raw(Statement::from_string(DbBackend::MySql, lock)).await?;
    let locked: Option<i64> = row.as_ref().map(|row| row.try_get("", "locked")).transpose()?.flatten();
    if locked != Some(1) {
        let holder: Option<i64> = row.map(|row| row.try_get("", "holder")).transpose()?.flatten();
        let holder = holder.map(|id| format!(" (connection {id})")).unwrap_or_default();
        return Err(DbErr::Migration(format!(
            "another program{holder} has been migrating this database for {patience} seconds; run the migration again when it has ended"
        )));
    }
    super::own::up(session).await
}
