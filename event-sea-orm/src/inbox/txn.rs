//! `Txn`: the transaction that saves the inbox's cursor, as an argument of an inbox.

use std::pin::Pin;

use event_core::{Delivery, FromDelivery, InboxError, Needs};
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult,
    Statement, TransactionError, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::async_trait::async_trait;

use super::TxnPart;
use super::refused;
use crate::storage::InboxTransaction;

/// The transaction that saves the inbox's cursor: what the handler writes in it happens exactly once. Taking it makes the
/// inbox transactional.
///
/// Several events share a transaction. When a handler fails its writes alone are undone; what it did outside the database may
/// happen again. It is borrowed, so that it can't outlive the batch, and it can't be committed or rolled back here; a part of
/// the work is undone by [`Txn::savepoint`].
///
/// A database may end a transaction by itself when a statement fails: MySQL and MariaDB at a deadlock, SQLite at a full disk or a
/// conflict that rolls back. After that every statement is refused, and the whole batch is thrown away and delivered again.
/// On MySQL and MariaDB, statements that commit by themselves (`CREATE TABLE`, `TRUNCATE` and the like) are refused too, and so are
/// those that execute other ones (`EXECUTE`, `PREPARE`, compound statements). A stored procedure that commits is not noticed.
///
/// ```
/// use event_sea_orm::{Txn, prelude::*};
/// use sea_orm::ConnectionTrait;
/// #[inbox]
/// async fn count_all(_event: AnyEvent, txn: Txn<'_>) -> InboxResult {
///     txn.execute_unprepared("UPDATE totals SET events = events + 1").await?;
///     handled()
/// }
///
/// // A statement for as many events as are there, instead of one for each.
/// #[inbox]
/// async fn count_faster(events: Vec<AnyEvent>, txn: Txn<'_>) -> InboxResult {
///     txn.execute_unprepared(&format!("UPDATE totals SET events = events + {}", events.len())).await?;
///     handled()
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Txn<'a> {
    pub(super) inner: &'a InboxTransaction,
}

impl<'a> Txn<'a> {
    /// Runs `work` in a savepoint: kept when it gives `Ok`, undone when it gives `Err`, panics or is dropped.
    ///
    /// # Errors
    /// What `work` gives, and what the database says to the savepoint.
    pub async fn savepoint<F, T, Err>(&self, work: F) -> Result<T, Err>
    where
        F: AsyncFnOnce(Txn<'_>) -> Result<T, Err>,
        Err: From<DbErr>,
    {
        let part = TxnPart::begin(*self).await?;
        let worked = work(*self).await;
        part.end(worked).await
    }
}

impl<'a> FromDelivery<'a> for Txn<'a> {
    async fn from_delivery(delivery: &'a Delivery<'a>) -> Result<Self, InboxError> {
        match delivery.transaction::<InboxTransaction>() {
            Some(inner) => Ok(Self { inner }),
            None => Err(InboxError::new("there is no transaction here: the dispatcher was not built by event-sea-orm")
                .no_retry()),
        }
    }

    fn declare(needs: &mut Needs) {
        needs.transaction();
        needs.database::<DatabaseConnection>("Txn<'_>");
    }
}

#[async_trait]
impl ConnectionTrait for Txn<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        refused::check(&statement.sql, self.inner.backend())?;
        let connection = self.inner.for_statement().await?;
        self.inner.watched(connection.execute_raw(statement).await).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        refused::check(sql, self.inner.backend())?;
        let connection = self.inner.for_statement().await?;
        self.inner.watched(connection.execute_unprepared(sql).await).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        refused::check(&statement.sql, self.inner.backend())?;
        let connection = self.inner.for_statement().await?;
        self.inner.watched(connection.query_one_raw(statement).await).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        refused::check(&statement.sql, self.inner.backend())?;
        let connection = self.inner.for_statement().await?;
        self.inner.watched(connection.query_all_raw(statement).await).await
    }

    fn support_returning(&self) -> bool {
        self.inner.support_returning()
    }
}

/// Nested: what begins here is a savepoint of the inbox's transaction, and its commit keeps the work for that one's.
#[async_trait]
impl<'a> TransactionTrait for Txn<'a> {
    type Transaction = TxnPart<'a>;

    async fn begin(&self) -> Result<TxnPart<'a>, DbErr> {
        TxnPart::begin(*self).await
    }

    async fn begin_with_config(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<TxnPart<'a>, DbErr> {
        TxnPart::begin_with(*self, isolation_level, access_mode).await
    }

    async fn begin_with_options(&self, options: TransactionOptions) -> Result<TxnPart<'a>, DbErr> {
        TxnPart::begin_with(*self, options.isolation_level, options.access_mode).await
    }

    async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c TxnPart<'a>) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
        T: Send,
        E: std::fmt::Display + std::fmt::Debug + Send,
    {
        self.transaction_with_config(callback, None, None).await
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
        let begun = TxnPart::begin_with(*self, isolation_level, access_mode).await;
        let part = begun.map_err(TransactionError::Connection)?;
        let worked = callback(&part).await.map_err(TransactionError::Transaction);
        part.end(worked).await
    }
}
