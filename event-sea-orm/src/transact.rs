//! `db.transact(...)`: a transaction that begins as recording wants it, and wakes the dispatcher when it is committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, IsolationLevel, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};

use crate::wake;

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
    let db = db.clone();
    let begun = tokio::spawn(async move { db.begin_with_options(options).await }).await;
    begun.unwrap_or_else(|error| {
        Err(DbErr::Custom(format!("the task that began a transaction ended without an answer: {error}")))
    })
}

tokio::task_local! {
    /// Whether an atomic block of the transaction at work was dropped before its end.
    static DROPPED_BLOCK: Arc<AtomicBool>;
}

/// An atomic block was dropped before its end within a transaction: [`Transact::transact`] does not commit that.
pub(crate) fn block_was_dropped() {
    // Elsewhere the transaction is the caller's own, who dropped the block, and is told in the docs of `Transact`.
    let _ = DROPPED_BLOCK.try_with(|dropped| dropped.store(true, Relaxed));
}

fn dropped_block() -> DbErr {
    DbErr::Custom(
        "the transaction was rolled back: within it a recording (or a transition, or a set-based change) was dropped before its end, \
         by a time-out or a `select!`, and a part of it may have been written. Await it to its end, or return an error when you drop it"
            .to_owned(),
    )
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

/// Transactions on a connection.
pub trait Transact {
    /// Runs `work` in a transaction: committed when it gives `Ok`, rolled back when it gives `Err`, panics or is dropped.
    ///
    /// Whenever the future is dropped, nothing is left of it: the transaction is rolled back, also one that just begins.
    /// A recording that is dropped within `work`, while `work` goes on, has the transaction rolled back with an error at its end. (In a
    /// transaction that you begin yourself a part of it may be written: roll that back.)
    ///
    /// Begins IMMEDIATE on SQLite, and wakes the dispatcher of this process after the commit.
    /// The error is the closure's own; it has to take SeaORM's [`DbErr`], for the begin and the commit.
    /// Where the compiler can't see it, because the closure uses `?` itself, write it at the last `Ok`:
    /// `Ok::<_, RecordError>(issue)`.
    ///
    /// Inside, use the transaction and nothing else: SeaORM's SQLite pool has one connection unless told otherwise, so that
    /// a statement on the outer connection waits for the transaction that waits for it.
    ///
    /// ```
    /// # use event_sea_orm::prelude::*;
    /// # use sea_orm::{ConnectionTrait, DatabaseConnection};
    /// # async fn example(db: &DatabaseConnection) -> Result<(), sea_orm::DbErr> {
    /// db.transact(async |txn| txn.execute_unprepared("DELETE FROM drafts").await).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What `work` gives, and what the database says to begin and commit.
    fn transact<F, T, Err>(&self, work: F) -> impl Future<Output = Result<T, Err>>
    where
        F: AsyncFnOnce(&DatabaseTransaction) -> Result<T, Err>,
        Err: From<DbErr>;
}

// The future is `Send` where the closure's is: on this concrete type the compiler sees through the trait's `impl Future`.
impl Transact for DatabaseConnection {
    async fn transact<F, T, Err>(&self, work: F) -> Result<T, Err>
    where
        F: AsyncFnOnce(&DatabaseTransaction) -> Result<T, Err>,
        Err: From<DbErr>,
    {
        let transaction = begin(self, options()).await?;
        let dropped = Arc::new(AtomicBool::new(false));
        match DROPPED_BLOCK.scope(dropped.clone(), work(&transaction)).await {
            Ok(_) if dropped.load(Relaxed) => {
                let _ = roll_back(transaction).await;
                Err(dropped_block().into())
            }
            Ok(value) => {
                commit(transaction).await?;
                wake::committed();
                Ok(value)
            }
            Err(error) => {
                // The work's own error says more than one of the rollback, which dropping repeats anyway.
                let _ = roll_back(transaction).await;
                Err(error)
            }
        }
    }
}
