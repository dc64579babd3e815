//! How every transaction of this crate begins and ends, so that a dropped future or a transaction that the database ended by itself
//! leaves its connection clean.

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, IsolationLevel, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};

/// How every transaction that records begins.
///
/// On SQLite IMMEDIATE: a deferred one that reads and then records fails at once with "database is locked" when another
/// writer came between, whatever the busy time-out.
pub(crate) fn options() -> TransactionOptions {
    TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() }
}

/// How a transaction of transactional inboxes begins: READ COMMITTED, where a server's default may be another, so that a
/// retried batch sees what is there, and the cursor's row as it is.
pub(crate) fn options_for_handlers(db: &DatabaseConnection) -> TransactionOptions {
    let isolation_level = (db.get_database_backend() != DbBackend::Sqlite).then_some(IsolationLevel::ReadCommitted);
    TransactionOptions { isolation_level, ..options() }
}

/// Begins a transaction, in a task of its own: the driver counts a transaction only once its BEGIN is answered, so that a caller who
/// is dropped before (a request whose client went away) would give the pool a connection that is inside a transaction and is not
/// known to be. The next one's writes on it would be acknowledged, and seen by no other session.
///
/// The task goes on without its caller; what it has begun then is dropped, which rolls back.
pub(crate) async fn begin(db: &DatabaseConnection, options: TransactionOptions) -> Result<DatabaseTransaction, DbErr> {
    begin_owned(db.clone(), options).await
}

pub(super) async fn begin_owned(
    db: DatabaseConnection,
    options: TransactionOptions,
) -> Result<DatabaseTransaction, DbErr> {
    crate::only_connection::check(&db)?;
    let begun = tokio::spawn(async move { db.begin_with_options(options).await }).await;
    begun.unwrap_or_else(|error| {
        Err(DbErr::Custom(format!("the task that began a transaction ended without an answer: {error}")))
    })
}

/// Commits a transaction that no other one is around.
///
/// SQLite ends a transaction by itself on some errors (a conflict that rolls back, a full disk), and the driver, which counts
/// transactions, would keep such a connection "in a transaction" for ever: later commits on it would be none. So its COMMIT is
/// sent as a statement, and the driver is given an empty transaction to count down by.
///
/// In a task of its own: a caller that is dropped meanwhile (a request whose client went away) must not leave the connection
/// between the two.
pub(crate) async fn commit(transaction: DatabaseTransaction) -> Result<(), DbErr> {
    if transaction.get_database_backend() != DbBackend::Sqlite {
        return transaction.commit().await;
    }
    let committed = tokio::spawn(commit_sqlite(transaction)).await;
    committed.unwrap_or_else(|error| Err(DbErr::Custom(format!("the commit's task ended without an answer: {error}"))))
}

async fn commit_sqlite(transaction: DatabaseTransaction) -> Result<(), DbErr> {
    if let Err(error) = transaction.execute_unprepared("COMMIT").await {
        // The commit's own error is the one that counts.
        let _ = roll_back(transaction).await;
        return Err(error);
    }
    // It is committed: what fails from here on is the driver's counting, and must not be taken for a failed commit.
    let _ = transaction.execute_unprepared("BEGIN").await;
    let _ = transaction.commit().await;
    Ok(())
}

/// Rolls back a transaction that no other one is around, also one that the database ended by itself.
pub(crate) async fn roll_back(transaction: DatabaseTransaction) -> Result<(), DbErr> {
    if transaction.get_database_backend() == DbBackend::Sqlite {
        // Gives the driver one to roll back; where there still is one this fails, and changes nothing.
        let _ = transaction.execute_unprepared("BEGIN").await;
    }
    transaction.rollback().await
}
