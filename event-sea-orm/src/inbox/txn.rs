//! `Txn`: the transaction that saves the inbox's cursor, as an argument of an inbox.

use event_core::{Delivery, FromDelivery, InboxError, Needs};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, Statement, TransactionTrait,
};
use sea_orm_migration::async_trait::async_trait;

/// The transaction that saves the inbox's cursor: what the handler writes in it happens exactly once. Taking it makes the
/// inbox transactional.
///
/// Several events share a transaction. When a handler fails its writes alone are undone; what it did outside the database may
/// happen again. It is borrowed, so that it can't outlive the batch, and it can't be committed or rolled back here; a part of
/// the work is undone by [`Txn::savepoint`].
///
/// ```
/// use event_sea_orm::{Txn, prelude::*};
/// use sea_orm::ConnectionTrait;
/// #[inbox]
/// async fn count_all(_event: AnyEvent, txn: Txn<'_>) -> InboxResult {
///     txn.execute_unprepared("UPDATE totals SET events = events + 1").await?;
///     handled()
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Txn<'a>(&'a DatabaseTransaction);

impl Txn<'_> {
    /// Runs `work` in a savepoint: kept when it gives `Ok`, undone when it gives `Err`.
    ///
    /// # Errors
    /// What `work` gives, and what the database says to the savepoint.
    pub async fn savepoint<F, T, Err>(&self, work: F) -> Result<T, Err>
    where
        F: AsyncFnOnce(Txn<'_>) -> Result<T, Err>,
        Err: From<DbErr>,
    {
        let savepoint = self.0.begin().await?;
        match work(Txn(&savepoint)).await {
            Ok(value) => {
                savepoint.commit().await?;
                Ok(value)
            }
            Err(error) => {
                // If the database can't undo it, the transaction is beyond saving, and the work's error says why.
                let _ = savepoint.rollback().await;
                Err(error)
            }
        }
    }
}

impl<'a> FromDelivery<'a> for Txn<'a> {
    async fn from_delivery(delivery: &'a Delivery<'a>) -> Result<Self, InboxError> {
        delivery.transaction::<DatabaseTransaction>().map(Self).ok_or_else(|| {
            InboxError::new("there is no transaction here: the dispatcher was not built by event-sea-orm").no_retry()
        })
    }

    fn declare(needs: &mut Needs) {
        needs.transaction();
    }
}

#[async_trait]
impl ConnectionTrait for Txn<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.0.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.0.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.0.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.0.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.0.query_all_raw(statement).await
    }

    fn support_returning(&self) -> bool {
        self.0.support_returning()
    }
}
