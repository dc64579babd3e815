//! `db.transact(...)`: a transaction that begins as recording wants it, and wakes the dispatcher when it is committed.

mod control;
mod retry;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use event_core::wake::Recorded;
use sea_orm::{DatabaseConnection, DatabaseTransaction, DbBackend, DbErr};

use crate::RecordError;
use crate::backend::dialect;
use crate::only_connection;
use control::begin_owned;
pub(crate) use control::{begin, commit, options, options_for_handlers, roll_back};

tokio::task_local! {
    /// Whether an atomic block of the transaction at work was dropped before its end.
    static DROPPED_BLOCK: Arc<AtomicBool>;
}

/// An atomic block was dropped before its end within a transaction: [`Transact::transact`] does not commit that.
pub(crate) fn block_was_dropped() {
    // Elsewhere the transaction is the caller's own, as the docs of `Transact` say.
    let _ = DROPPED_BLOCK.try_with(|dropped| dropped.store(true, Relaxed));
}

/// Transactions on a connection.
pub trait Transact {
    /// Runs `work` in a transaction, which is committed if it returns `Ok`, and rolled back if it returns `Err`, panics or is dropped.
    ///
    /// Begins IMMEDIATE on SQLite, and wakes the dispatcher of this process after the commit.
    /// Whenever the future is dropped, nothing is left of it, not even of a transaction that is just beginning.
    /// A recording that is dropped within `work`, while `work` goes on, has the transaction rolled back at its end
    /// ([`RecordError::DroppedBlock`]). In a transaction that you begin yourself a part of it may be written: roll that back.
    ///
    /// `?` takes a [`RecordError`], a [`TransitionError`](crate::TransitionError) and SeaORM's [`DbErr`]. For errors of your own there is [`Transact::transact_with_error`].
    ///
    /// Inside, use the transaction and nothing else: SeaORM's SQLite pool has one connection unless told otherwise, so that
    /// a statement on the outer connection waits for the transaction that waits for it. A recording on that pool, or another `transact`,
    /// fails at once there.
    ///
    /// ```
    /// # use event_sea_orm::prelude::*;
    /// # use sea_orm::{ConnectionTrait, DatabaseConnection};
    /// # async fn example<E: DomainEvent>(db: &DatabaseConnection, published: Recording<E>) -> Result<(), RecordError> {
    /// let saved = db
    ///     .transact(async |txn| {
    ///         txn.execute_unprepared("DELETE FROM drafts").await?;
    ///         published.save(txn).await
    ///     })
    ///     .await?;
    /// # let _ = saved;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The error of `work`; [`RecordError::Locked`] if the database refuses the COMMIT because of another transaction; any other error
    /// of the database when the transaction begins or ends.
    fn transact<T>(
        &self,
        work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T, RecordError>,
    ) -> impl Future<Output = Result<T, RecordError>>;

    /// As [`Transact::transact`], and runs `work` again, in a new transaction, if another transaction was in the way: a deadlock, a
    /// conflict under `REPEATABLE READ` or `SERIALIZABLE`, also at the COMMIT, a lock that was not released in time.
    ///
    /// `work` runs `attempts` times at most, with random pauses of 10 ms in the mean after the first time, 20 ms after the second, and so
    /// on up to one second. What it does outside the database is repeated with it. The closure is cloned for each attempt: it borrows what
    /// it uses, or owns what can be cloned.
    ///
    /// ```
    /// # use event_sea_orm::prelude::*;
    /// # use sea_orm::{ConnectionTrait, DatabaseConnection};
    /// # async fn example<E: DomainEvent + Clone>(db: &DatabaseConnection, paid: E) -> Result<(), RecordError> {
    /// db.transact_retrying(5, async |txn| {
    ///     txn.execute_unprepared("UPDATE accounts SET balance = balance - 10 WHERE id = 1").await?;
    ///     txn.execute_unprepared("UPDATE accounts SET balance = balance + 10 WHERE id = 2").await?;
    ///     paid.clone().on(1).by_system().save(txn).await
    /// })
    /// .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Transact::transact`]; the last attempt's error if none succeeded.
    fn transact_retrying<T>(
        &self,
        attempts: u32,
        work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T, RecordError> + Clone,
    ) -> impl Future<Output = Result<T, RecordError>>;

    /// As [`Transact::transact`], with an error of your own, which has to take SeaORM's [`DbErr`], for the begin and the commit.
    ///
    /// ```
    /// # use event_sea_orm::prelude::*;
    /// # use sea_orm::{ConnectionTrait, DatabaseConnection};
    /// # #[derive(Debug)] enum AppError { Forbidden, Db(sea_orm::DbErr), Record(RecordError) }
    /// # impl From<sea_orm::DbErr> for AppError { fn from(error: sea_orm::DbErr) -> Self { Self::Db(error) } }
    /// # impl From<RecordError> for AppError { fn from(error: RecordError) -> Self { Self::Record(error) } }
    /// # async fn example<E: DomainEvent>(db: &DatabaseConnection, closed: Recording<E>, may: bool) -> Result<(), AppError> {
    /// db.transact_with_error::<AppError, _>(async |txn| {
    ///     if !may {
    ///         return Err(AppError::Forbidden);
    ///     }
    ///     closed.save(txn).await?;
    ///     Ok(())
    /// })
    /// .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Transact::transact`], with the errors of the begin and the commit as they are.
    fn transact_with_error<Err: From<DbErr>, T>(
        &self,
        work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T, Err>,
    ) -> impl Future<Output = Result<T, Err>>;
}

// The futures are `Send` where the closure's are: on this concrete type the compiler sees through the trait's `impl Future`.
impl Transact for DatabaseConnection {
    async fn transact<T>(
        &self,
        work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T, RecordError>,
    ) -> Result<T, RecordError> {
        run(self, work, failed(self.get_database_backend()), || RecordError::DroppedBlock).await
    }

    async fn transact_retrying<T>(
        &self,
        attempts: u32,
        work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T, RecordError> + Clone,
    ) -> Result<T, RecordError> {
        // All by value: of a reference that is kept from one attempt to the next the compiler does not see that it is `Send`.
        let (db, backend) = (self.clone(), self.get_database_backend());
        let mut made = 1;
        loop {
            let (transaction, dropped) =
                (begin_owned(db.clone(), options()).await.map_err(failed(backend))?, Arc::default());
            // Called here, and not in a closure of a closure: the compiler would not see that the future is `Send`.
            let recorded = Recorded::new();
            let taken = only_connection::taken_by(&db, work.clone()(&transaction));
            let worked = recorded.collect(DROPPED_BLOCK.scope(Arc::clone(&dropped), taken)).await;
            let ended =
                end(transaction, dropped, recorded, worked, failed(backend), || RecordError::DroppedBlock).await;
            match ended {
                Err(error) if made < attempts && retry::is_conflict(backend, &error) => retry::pause(made).await,
                ended => return ended,
            }
            made += 1;
        }
    }

    async fn transact_with_error<Err: From<DbErr>, T>(
        &self,
        work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T, Err>,
    ) -> Result<T, Err> {
        run(self, work, Err::from, || DbErr::Custom(RecordError::DroppedBlock.to_string()).into()).await
    }
}

/// The error of a begin or a COMMIT; no log is at fault.
fn failed(backend: DbBackend) -> impl Fn(DbErr) -> RecordError {
    move |error| match dialect(backend) {
        Ok(dialect) => RecordError::of(dialect, "", error),
        Err(unsupported) => unsupported.into(),
    }
}

async fn run<T, E>(
    db: &DatabaseConnection,
    work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T, E>,
    failed: impl Fn(DbErr) -> E,
    dropped_block: impl FnOnce() -> E,
) -> Result<T, E> {
    let (transaction, dropped) = (begin(db, options()).await.map_err(&failed)?, Arc::default());
    let recorded = Recorded::new();
    let taken = only_connection::taken_by(db, work(&transaction));
    let worked = recorded.collect(DROPPED_BLOCK.scope(Arc::clone(&dropped), taken)).await;
    end(transaction, dropped, recorded, worked, failed, dropped_block).await
}

async fn end<T, E>(
    transaction: DatabaseTransaction,
    dropped: Arc<AtomicBool>,
    recorded: Recorded,
    worked: Result<T, E>,
    failed: impl Fn(DbErr) -> E,
    dropped_block: impl FnOnce() -> E,
) -> Result<T, E> {
    match worked {
        Ok(_) if dropped.load(Relaxed) => {
            let _ = roll_back(transaction).await;
            Err(dropped_block())
        }
        Ok(value) => {
            commit(transaction).await.map_err(&failed)?;
            recorded.committed();
            Ok(value)
        }
        Err(error) => {
            // The work's own error says more than one of the rollback, which dropping repeats anyway.
            let _ = roll_back(transaction).await;
            Err(error)
        }
    }
}
