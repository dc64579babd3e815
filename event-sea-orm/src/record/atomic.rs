//! Atomic blocks: several statements, all or nothing. On a connection a block is a transaction, in a transaction a savepoint.
//!
//! A future may be dropped at any await. Two things must not come of it:
//!
//! * a pooled connection that is left inside a transaction, in which later writes of others would vanish. A transaction is
//!   therefore begun in a task of its own ([`transact::begin`]), and dropping a begun one rolls it back;
//! * the end of the transaction around a savepoint. The driver counts a savepoint once it is answered; one whose future is dropped
//!   before makes it roll back the transaction that is around, while the caller goes on. Savepoints are therefore statements of
//!   our own, of which the driver knows nothing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseExecutor, DatabaseTransaction, DbBackend, DbErr, ExecResult,
    QueryResult, Statement, TransactionSession as _,
};
use sea_orm_migration::async_trait::async_trait;

use super::RecordError;
use crate::backend::Dialect;
use crate::inbox::{Txn, TxnPart};
use crate::{only_connection, transact};

/// A connection or transaction on which events are recorded: a `DatabaseConnection`, a `DatabaseTransaction`, a [`Txn`].
///
/// Code that is given one says `C: RecordConnection`. A wrapper of your own passes on what it wraps:
///
/// ```
/// use event_sea_orm::{AtomicBlock, RecordConnection};
/// # use event_sea_orm::prelude::*;
/// # use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, Statement};
/// # struct Tenant<'c> { txn: &'c DatabaseTransaction }
/// # #[sea_orm_migration::async_trait::async_trait]
/// # impl ConnectionTrait for Tenant<'_> {
/// #     fn get_database_backend(&self) -> DbBackend { self.txn.get_database_backend() }
/// #     async fn execute_raw(&self, stmt: Statement) -> Result<ExecResult, DbErr> { self.txn.execute_raw(stmt).await }
/// #     async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> { self.txn.execute_unprepared(sql).await }
/// #     async fn query_one_raw(&self, stmt: Statement) -> Result<Option<QueryResult>, DbErr> { self.txn.query_one_raw(stmt).await }
/// #     async fn query_all_raw(&self, stmt: Statement) -> Result<Vec<QueryResult>, DbErr> { self.txn.query_all_raw(stmt).await }
/// # }
/// impl RecordConnection for Tenant<'_> {
///     async fn begin_atomic_block(&self) -> Result<AtomicBlock<'_>, DbErr> {
///         self.txn.begin_atomic_block().await
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "events can't be recorded on `{Self}`",
    label = "not a connection or transaction that can begin an atomic block",
    note = "in generic code, write `C: RecordConnection` in place of `C: ConnectionTrait`"
)]
pub trait RecordConnection: ConnectionTrait {
    /// Begins an atomic block: a transaction, or in a transaction a savepoint.
    fn begin_atomic_block(&self) -> impl Future<Output = Result<AtomicBlock<'_>, DbErr>> + Send;

    /// Returns an error if a statement would wait for a connection that the caller's own transaction has.
    #[doc(hidden)]
    fn check_free(&self) -> Result<(), DbErr> {
        Ok(())
    }
}

/// Several statements, all or nothing. Dropped, it is undone; see [`RecordConnection`].
#[derive(Debug)]
#[must_use = "dropped, it undoes what was written since it began"]
pub struct AtomicBlock<'c>(Kind<'c>);

#[derive(Debug)]
enum Kind<'c> {
    Transaction(DatabaseTransaction),
    Savepoint(Savepoint<'c>),
    Part(TxnPart<'c>),
}

impl RecordConnection for DatabaseConnection {
    async fn begin_atomic_block(&self) -> Result<AtomicBlock<'_>, DbErr> {
        let transaction = transact::begin(self, transact::options()).await?;
        Ok(AtomicBlock(Kind::Transaction(transaction)))
    }

    fn check_free(&self) -> Result<(), DbErr> {
        only_connection::check(self)
    }
}

impl RecordConnection for DatabaseTransaction {
    async fn begin_atomic_block(&self) -> Result<AtomicBlock<'_>, DbErr> {
        Ok(AtomicBlock(Kind::Savepoint(Savepoint::begin(self).await?)))
    }
}

impl RecordConnection for DatabaseExecutor<'_> {
    async fn begin_atomic_block(&self) -> Result<AtomicBlock<'_>, DbErr> {
        match self {
            DatabaseExecutor::Connection(connection) => connection.begin_atomic_block().await,
            DatabaseExecutor::Transaction(transaction) => transaction.begin_atomic_block().await,
            DatabaseExecutor::OwnedTransaction(transaction) => transaction.begin_atomic_block().await,
        }
    }

    fn check_free(&self) -> Result<(), DbErr> {
        match self {
            DatabaseExecutor::Connection(connection) => connection.check_free(),
            DatabaseExecutor::Transaction(_) | DatabaseExecutor::OwnedTransaction(_) => Ok(()),
        }
    }
}

impl RecordConnection for Txn<'_> {
    async fn begin_atomic_block(&self) -> Result<AtomicBlock<'_>, DbErr> {
        Ok(AtomicBlock(Kind::Part(TxnPart::begin(*self).await?)))
    }
}

impl RecordConnection for TxnPart<'_> {
    async fn begin_atomic_block(&self) -> Result<AtomicBlock<'_>, DbErr> {
        Ok(AtomicBlock(Kind::Part(self.begin_within().await?)))
    }
}

impl AtomicBlock<'_> {
    /// Keeps what was written since it began: on a connection it is committed.
    ///
    /// # Errors
    /// The database's error; nothing was kept then, unless its answer was lost.
    pub async fn commit(self) -> Result<(), DbErr> {
        match self.0 {
            Kind::Transaction(transaction) => transact::commit(transaction).await,
            Kind::Savepoint(savepoint) => savepoint.release().await,
            Kind::Part(part) => part.commit().await,
        }
    }

    /// Undoes what was written since it began, and no more.
    ///
    /// # Errors
    /// The database's error.
    pub async fn rollback(self) -> Result<(), DbErr> {
        match self.0 {
            Kind::Transaction(transaction) => transact::roll_back(transaction).await,
            Kind::Savepoint(savepoint) => savepoint.rollback().await,
            Kind::Part(part) => part.rollback().await,
        }
    }
}

macro_rules! on_inner {
    ($block:expr, $inner:ident => $call:expr) => {
        match &$block.0 {
            Kind::Transaction($inner) => $call,
            Kind::Savepoint(Savepoint { transaction: $inner, .. }) => $call,
            Kind::Part($inner) => $call,
        }
    };
}

#[async_trait]
impl ConnectionTrait for AtomicBlock<'_> {
    fn get_database_backend(&self) -> DbBackend {
        on_inner!(self, inner => inner.get_database_backend())
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        on_inner!(self, inner => inner.execute_raw(statement).await)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        on_inner!(self, inner => inner.execute_unprepared(sql).await)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        on_inner!(self, inner => inner.query_one_raw(statement).await)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        on_inner!(self, inner => inner.query_all_raw(statement).await)
    }

    fn support_returning(&self) -> bool {
        on_inner!(self, inner => inner.support_returning())
    }
}

/// A savepoint in a transaction of the caller's.
#[derive(Debug)]
struct Savepoint<'c> {
    transaction: &'c DatabaseTransaction,
    name: String,
    is_open: bool,
}

impl<'c> Savepoint<'c> {
    async fn begin(transaction: &'c DatabaseTransaction) -> Result<Self, DbErr> {
        static NEWEST: AtomicU64 = AtomicU64::new(0);
        let name = format!("event_block_{}", NEWEST.fetch_add(1, Relaxed));
        // If this is dropped before its answer, there may be a savepoint that holds nothing, and ends with the transaction.
        transaction.execute_unprepared(&format!("SAVEPOINT {name}")).await?;
        Ok(Self { transaction, name, is_open: true })
    }

    async fn release(mut self) -> Result<(), DbErr> {
        let released = self.transaction.execute_unprepared(&format!("RELEASE SAVEPOINT {}", self.name)).await;
        // With its answer, whatever it is: an error says that the savepoint is gone, or that nothing can be kept any more.
        self.is_open = false;
        released.map(drop)
    }

    async fn rollback(mut self) -> Result<(), DbErr> {
        let undone = self.transaction.execute_unprepared(&format!("ROLLBACK TO SAVEPOINT {}", self.name)).await;
        self.is_open = false;
        undone?;
        self.transaction.execute_unprepared(&format!("RELEASE SAVEPOINT {}", self.name)).await.map(drop)
    }
}

impl Drop for Savepoint<'_> {
    fn drop(&mut self) {
        if self.is_open {
            // Nothing can be awaited here, so a part of the block may stand in the transaction: it must not be committed.
            transact::block_was_dropped();
        }
    }
}

impl AtomicBlock<'_> {
    /// Ends it after an error of the database itself, as that error without a block would: on PostgreSQL the transaction around it takes
    /// no further statement, elsewhere the statement that failed is undone, and here what was written before it too.
    async fn fail(self) {
        match self.0 {
            Kind::Savepoint(mut savepoint) if savepoint.transaction.get_database_backend() == DbBackend::Postgres => {
                savepoint.is_open = false;
            }
            // The event's own savepoint around it is undone.
            Kind::Part(part) if part.get_database_backend() == DbBackend::Postgres => part.leave(),
            kind => drop(Self(kind).rollback().await),
        }
    }
}

/// As [`end`], for one recording: an error of the database ends the caller's transaction on PostgreSQL, whether the recording is
/// written in one statement or in several.
pub(crate) async fn end_one<R>(
    block: AtomicBlock<'_>,
    dialect: &dyn Dialect,
    log: &str,
    worked: Result<R, RecordError>,
) -> Result<R, RecordError> {
    match worked {
        Err(error) if error.is_of_the_database() => {
            block.fail().await;
            Err(error)
        }
        worked => end(block, dialect, log, worked).await,
    }
}

/// Begins a block; `log` is named in errors.
pub(crate) async fn begin<'c, C: RecordConnection>(
    conn: &'c C,
    dialect: &dyn Dialect,
    log: &str,
) -> Result<AtomicBlock<'c>, RecordError> {
    conn.begin_atomic_block().await.map_err(|error| RecordError::of(dialect, log, error))
}

/// Keeps what was written if it went well, else undoes it.
pub(crate) async fn end<R, E>(
    block: AtomicBlock<'_>,
    dialect: &dyn Dialect,
    log: &str,
    worked: Result<R, E>,
) -> Result<R, E>
where
    E: From<RecordError>,
{
    match worked {
        Ok(value) => {
            block.commit().await.map_err(|error| RecordError::of(dialect, log, error))?;
            Ok(value)
        }
        Err(error) => {
            // The first error says more than one of the rollback, which dropping repeats anyway.
            let _ = block.rollback().await;
            Err(error)
        }
    }
}
