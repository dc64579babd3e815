//! The dispatcher's own connections to MySQL or MariaDB.

use std::time::Duration;

use event_core::storage::StorageError;
use sea_orm::SqlxMySqlConnector;
use sea_orm::sqlx::mysql::{MySqlConnectOptions, MySqlPool};
use sea_orm::sqlx::{Connection, Executor, raw_sql};

use crate::backend::mysql::session;
use crate::storage::SeaStorage;
use crate::storage::own::{self, ACQUIRE, CONNECTIONS, Own, STATEMENTS};

/// A session's settings, whatever the server's defaults are: READ COMMITTED, so that each statement has a snapshot of its own,
/// and each is committed at once outside of transactions; no statement, lock or silence of ours lasts for long, where the
/// server can see to it. Connections that idle are closed by our pool before the server ends them.
///
/// MariaDB alone reads what stands in `/*M!`, MySQL alone what stands in `/*!80000`: there the newest id of a log would come
/// from a cache.
const SETTINGS: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
    SET SESSION autocommit = 1, SESSION innodb_lock_wait_timeout = 10, SESSION wait_timeout = 120,
    SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', SESSION time_zone = '+00:00'
    /*M! , SESSION max_statement_time = 25, SESSION idle_transaction_timeout = 30 */
    /*!80000 , SESSION max_execution_time = 25000, SESSION information_schema_stats_expiry = 0 */";

pub(in crate::storage) async fn connect(storage: &SeaStorage) -> Result<Own, StorageError> {
    let Some(options) = storage.answer(session::options(&storage.db)).await? else {
        // A mock, or a proxy: there is nothing to connect to.
        return Ok(Own::of(storage.db.clone()));
    };
    Ok(Own {
        slots: Some(SqlxMySqlConnector::from_sqlx_mysql_pool(pool(&options, 1))),
        ..Own::of(SqlxMySqlConnector::from_sqlx_mysql_pool(pool(&options, CONNECTIONS)))
    })
}

fn pool(options: &MySqlConnectOptions, most: u32) -> MySqlPool {
    session::pool(most, ACQUIRE)
        .idle_timeout(Duration::from_secs(60))
        .test_before_acquire(false)
        .before_acquire(|connection, idle| {
            Box::pin(async move { Ok(own::is_fresh(idle) || connection.ping().await.is_ok()) })
        })
        .after_connect(|connection, _| Box::pin(async move { connection.execute(raw_sql(SETTINGS)).await.map(drop) }))
        .connect_lazy_with(own::quiet(options.clone()).statement_cache_capacity(STATEMENTS))
}
