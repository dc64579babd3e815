//! The dispatcher's own connections to PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use event_core::storage::StorageError;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sea_orm::sqlx::{AssertSqlSafe, Connection, Executor as _, raw_sql};
use sea_orm::{DatabaseConnection, DatabaseConnectionType, SqlxPostgresConnector};

use crate::storage::SeaStorage;
use crate::storage::own::{self, ACQUIRE, CONNECTIONS, Own, STATEMENTS};

/// A session's settings, whatever the server's defaults are: READ COMMITTED, so that each statement has a snapshot of its own;
/// no statement, lock or transaction of ours lasts for long; and a peer that went silent is noticed. A statement whose rows a policy
/// would filter is refused (`row_security`), also when the policy came while the session lasts. Nothing is compiled (JIT):
/// a read that looks for thousands of holes is planned as costly, took 20 ms, and a tenth of a second to compile.
///
/// Plans don't depend on statistics: a log that was never analysed looks as small as it was when a statement was first planned, and a
/// prepared statement keeps the scan and the sort that were cheapest then, however far the log has grown. Every statement of a session
/// has an index to go by, so without scans and sorts the planner takes it; where there is none, the settings only raise a cost.
const SETTINGS: &str = "SELECT set_config('search_path', $1, false), set_config('role', $2, false),
    set_config('default_transaction_isolation', 'read committed', false), set_config('row_security', 'off', false),
    set_config('statement_timeout', '25s', false), set_config('lock_timeout', '10s', false),
    set_config('idle_in_transaction_session_timeout', '30s', false), set_config('jit', 'off', false),
    set_config('enable_seqscan', 'off', false), set_config('enable_bitmapscan', 'off', false),
    set_config('enable_sort', 'off', false),
    set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '30s', false),
    set_config('application_name', 'event dispatcher', false)";

/// The one connection on which recorders are listed, and how often it was made.
#[derive(Clone, Debug)]
pub(in crate::storage) struct Looker {
    pub(super) db: DatabaseConnection,
    connects: Arc<AtomicU64>,
}

impl Looker {
    /// Changes with every new connection.
    pub(super) fn connects(&self) -> u64 {
        self.connects.load(Relaxed)
    }
}

/// What a session takes over from the application's: where its tables are, and what it may do.
#[derive(Clone)]
struct Inherited {
    search_path: String,
    role: String,
}

pub(in crate::storage) async fn connect(storage: &SeaStorage) -> Result<Own, StorageError> {
    let DatabaseConnectionType::SqlxPostgresPoolConnection(_) = &storage.db.inner else {
        // A mock, or a proxy: there is nothing to connect to.
        return Ok(Own::of(storage.db.clone()));
    };
    let options = storage.db.get_postgres_connection_pool().connect_options();
    let mut sql = storage.sql()?;
    sql.push("SELECT current_setting('search_path') AS search_path, current_setting('role') AS role");
    let rows = storage.query(&storage.db, sql).await?;
    let text = |column| rows.first().map_or_else(|| Ok(String::new()), |row| storage.text(row, column));
    let inherited = Inherited { search_path: text("search_path")?, role: text("role")? };
    let connects = Arc::new(AtomicU64::new(0));
    let pool = pool(&options, CONNECTIONS, &inherited, Arc::default());
    let looker = pool_of_one(&options, &inherited, connects.clone());
    Ok(Own {
        looker: Some(Looker { db: SqlxPostgresConnector::from_sqlx_postgres_pool(looker), connects }),
        ..Own::of(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
    })
}

/// A text as a literal, whatever `standard_conforming_strings` is: in dollar quotes that the text does not have.
fn literal(text: &str) -> String {
    let mut quote = "$event".to_owned();
    while text.contains(&quote) {
        quote.push('x');
    }
    format!("{quote}${text}{quote}$")
}

fn pool_of_one(options: &PgConnectOptions, inherited: &Inherited, connects: Arc<AtomicU64>) -> PgPool {
    pool(options, 1, inherited, connects)
}

fn pool(options: &PgConnectOptions, most: u32, inherited: &Inherited, connects: Arc<AtomicU64>) -> PgPool {
    let inherited = inherited.clone();
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(Duration::from_secs(60))
        .max_lifetime(None)
        .test_before_acquire(false)
        .before_acquire(|connection, idle| {
            Box::pin(async move { Ok(own::is_fresh(idle) || connection.ping().await.is_ok()) })
        })
        .after_connect(move |connection, _| {
            connects.fetch_add(1, Relaxed);
            let Inherited { search_path, role } = inherited.clone();
            let settings = SETTINGS.replacen("$1", &literal(&search_path), 1).replacen("$2", &literal(&role), 1);
            // Not prepared: behind a pooler in transaction mode that fails, the pool would try until it gives up, and the reason would
            // be lost.
            Box::pin(async move { connection.execute(raw_sql(AssertSqlSafe(settings))).await.map(drop) })
        })
        .connect_lazy_with(own::quiet(options.clone()).statement_cache_capacity(STATEMENTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_holds_any_text() {
        assert_eq!(literal("\"$user\", public"), "$event$\"$user\", public$event$");
        assert_eq!(literal("a$event$b'\\"), "$eventx$a$event$b'\\$eventx$");
        assert_eq!(literal(""), "$event$$event$");
    }
}
