//! A part of an inbox's transaction: a savepoint, for code that begins a transaction on whatever it is given.

use std::pin::Pin;

use sea_orm::{
    AccessMode, ConnectionTrait, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult, Statement,
    TransactionError, TransactionOptions, TransactionSession, TransactionTrait,
};
use sea_orm_migration::async_trait::async_trait;

use super::Txn;

/// What `begin` gives on a [`Txn`]: a savepoint of the inbox's transaction. Its `commit` keeps what was written since it began
/// for the inbox's transaction; its `rollback`, and dropping it, undo that and no more.
#[derive(Debug)]
#[must_use = "dropped, it undoes what was written since it began"]
pub struct TxnPart<'a> {
    txn: Txn<'a>,
    number: u32,
    is_open: bool,
}

impl<'a> TxnPart<'a> {
    pub(crate) async fn begin(txn: Txn<'a>) -> Result<Self, DbErr> {
        let number = txn.inner.begin_part().await?;
        Ok(Self { txn, number, is_open: true })
    }

    pub(super) async fn begin_with(
        txn: Txn<'a>,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<Self, DbErr> {
        if isolation_level.is_some() || access_mode.is_some() {
            return Err(DbErr::Custom(
                "a part of an inbox's transaction has that transaction's isolation level and access mode: begin it without"
                    .to_owned(),
            ));
        }
        Self::begin(txn).await
    }

    /// Begins a savepoint within this one.
    pub(crate) async fn begin_within(&self) -> Result<TxnPart<'_>, DbErr> {
        Self::begin(self.txn).await
    }

    /// Ends it without a statement: an error has already ended what is around it.
    pub(crate) fn leave(mut self) {
        self.is_open = false;
    }

    /// Keeps the work where it went well, else undoes it.
    pub(super) async fn end<T, E>(self, worked: Result<T, E>) -> Result<T, E>
    where
        E: From<DbErr>,
    {
        match worked {
            Ok(value) => {
                self.commit().await?;
                Ok(value)
            }
            Err(error) => {
                // If the database can't undo it, the transaction is beyond saving, and the work's error says why.
                let _ = self.rollback().await;
                Err(error)
            }
        }
    }
}

#[async_trait]
impl TransactionSession for TxnPart<'_> {
    async fn commit(mut self) -> Result<(), DbErr> {
        let kept = self.txn.inner.keep_part(self.number).await;
        self.is_open = false;
        kept
    }

    async fn rollback(mut self) -> Result<(), DbErr> {
        let undone = self.txn.inner.undo_part(self.number).await;
        self.is_open = false;
        undone
    }
}

impl Drop for TxnPart<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.txn.inner.drop_part(self.number);
        }
    }
}

#[async_trait]
impl ConnectionTrait for TxnPart<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.txn.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.txn.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.txn.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.txn.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.txn.query_all_raw(statement).await
    }

    fn support_returning(&self) -> bool {
        self.txn.support_returning()
    }
}

#[async_trait]
impl<'a> TransactionTrait for TxnPart<'a> {
    type Transaction = TxnPart<'a>;

    async fn begin(&self) -> Result<TxnPart<'a>, DbErr> {
        self.txn.begin().await
    }

    async fn begin_with_config(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<TxnPart<'a>, DbErr> {
        self.txn.begin_with_config(isolation_level, access_mode).await
    }

    async fn begin_with_options(&self, options: TransactionOptions) -> Result<TxnPart<'a>, DbErr> {
        self.txn.begin_with_options(options).await
    }

    async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c TxnPart<'a>) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
        T: Send,
        E: std::fmt::Display + std::fmt::Debug + Send,
    {
        self.txn.transaction(callback).await
    }

    async fn transaction_with_config<F, T, E>(
        &self,
        callback: F,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c TxnPart<'a>) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
        T: Send,
        E: std::fmt::Display + std::fmt::Debug + Send,
    {
        self.txn.transaction_with_config(callback, isolation_level, access_mode).await
    }
}
