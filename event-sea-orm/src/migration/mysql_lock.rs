//! One migration at a time on MySQL and MariaDB, where no transaction can hold the others off: a lock of the session's, so all
//! runs in one session of its own.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, SqlxMySqlConnector, Statement};

use crate::backend::mysql::session;

/// How long another program's migration is waited for, in seconds.
const PATIENCE: u64 = 300;

/// Named after the database, since the server has one set of names for all.
const LOCK: &str = "concat('event_migration.', md5(database()))";

pub(super) async fn migrate(db: &DatabaseConnection) -> Result<(), DbErr> {
    let Some(options) = session::options(db).await? else { return super::own::up(db).await };
    // A connection that breaks takes the lock with it. It is not replaced by one without: the next statement fails.
    let pool = session::pool(1, Duration::from_secs(30)).test_before_acquire(false).connect_with(options).await;
    let pool = pool.map_err(|error| DbErr::Conn(sea_orm::RuntimeErr::SqlxError(error.into())))?;
    let session = SqlxMySqlConnector::from_sqlx_mysql_pool(pool);
    let migrated = migrate_locked(&session).await;
    // Ends the session, and so lets go of the lock.
    let closed = session.close().await;
    migrated.and(closed)
}

async fn migrate_locked(session: &DatabaseConnection) -> Result<(), DbErr> {
    let lock = format!("SELECT get_lock({LOCK}, {PATIENCE}) AS locked");
    let row = session.query_one_raw(Statement::from_string(DbBackend::MySql, lock)).await?;
    let locked: Option<i64> = row.map(|row| row.try_get("", "locked")).transpose()?.flatten();
    if locked != Some(1) {
        let message =
            format!("another program has been migrating this database for {PATIENCE} seconds; try again later");
        return Err(DbErr::Migration(message));
    }
    super::own::up(session).await
}
