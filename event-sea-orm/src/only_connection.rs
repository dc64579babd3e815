//! A pool's only connection, while `transact` has it: a call on the pool within the same `transact` would wait for itself.

use sea_orm::{ConnAcquireErr, DatabaseConnection, DbErr};
use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    /// The pool whose only connection the `transact` around the running code has.
    static TAKEN: Option<usize>;
}

/// Runs the work of a `transact` on `db`.
pub(crate) fn taken_by<F: Future>(db: &DatabaseConnection, work: F) -> TaskLocalFuture<Option<usize>, F> {
    // One around this one, on another pool, is that pool's.
    let taken = only_connection_of(db).or_else(|| TAKEN.try_with(|taken| *taken).ok().flatten());
    TAKEN.scope(taken, work)
}

/// Returns the error of a wait in vain, if the running code has taken the only connection of `db` itself.
pub(crate) fn check(db: &DatabaseConnection) -> Result<(), DbErr> {
    let taken = TAKEN.try_with(|taken| *taken).ok().flatten();
    if taken.is_some() && taken == only_connection_of(db) {
        return Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout));
    }
    Ok(())
}

/// What a SQLite pool of one connection is known by: its options' address, which clones of the pool share. Pools of servers have more
/// than one connection unless they are made so, and are waited for.
fn only_connection_of(db: &DatabaseConnection) -> Option<usize> {
    #[cfg(feature = "sqlite")]
    if let sea_orm::DatabaseConnectionType::SqlxSqlitePoolConnection(_) = &db.inner {
        let pool = db.get_sqlite_connection_pool();
        let is_one = pool.options().get_max_connections() == 1;
        return is_one.then(|| std::sync::Arc::as_ptr(&pool.connect_options()).addr());
    }
    let _ = db;
    None
}
