//! `Txn`: the transaction that saves the inbox's cursor, as an argument of an inbox.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use event_core::{Delivery, FromDelivery, InboxError, Needs};
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult,
    Statement, TransactionError, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::async_trait::async_trait;

use crate::storage::InboxTransaction;

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
pub struct Txn<'a> {
    inner: &'a DatabaseTransaction,
    /// Set when a statement fails: the dispatcher then makes sure that the transaction still stands.
    doubt: &'a AtomicBool,
}

/// Statements that end or nest transactions: the dispatcher's business.
const CONTROL: [&str; 8] = ["BEGIN", "START", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "XA"];

/// Statements with which MySQL and MariaDB commit by the way, unless they are about a temporary table.
/// <https://mariadb.com/kb/en/sql-statements-that-cause-an-implicit-commit/>
const COMMITTING: [&str; 17] = [
    "ALTER", "ANALYZE", "CACHE", "CHANGE", "CHECK", "CREATE", "DROP", "FLUSH", "GRANT", "INSTALL", "LOCK", "OPTIMIZE",
    "RENAME", "REPAIR", "REVOKE", "TRUNCATE", "UNLOCK",
];

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
        let savepoint = self.inner.begin().await?;
        match work(Txn { inner: &savepoint, doubt: self.doubt }).await {
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

    /// Lets a text through unless one of its statements ends the transaction, which would part the effects from the cursor.
    fn allowed(&self, sql: &str) -> Result<(), DbErr> {
        for statement in sql.split(';').map(without_comments) {
            if let Some(word) = first_of(&CONTROL, statement) {
                return Err(DbErr::Custom(format!(
                    "an inbox's transaction is committed and rolled back by the dispatcher, not by `{word}`: return an error to \
                     undo everything, use `txn.savepoint(...)` to undo a part"
                )));
            }
            if self.get_database_backend() != DbBackend::MySql {
                continue;
            }
            if let Some(word) = committing(statement) {
                return Err(DbErr::Custom(format!(
                    "`{word}` commits the inbox's transaction on MySQL and MariaDB, before its cursor is saved: use another \
                     connection, outside of the inbox"
                )));
            }
        }
        Ok(())
    }

    fn watched<T, E>(&self, result: Result<T, E>) -> Result<T, E> {
        if result.is_err() {
            self.doubt.store(true, Relaxed);
        }
        result
    }
}

/// A statement from its first word on.
fn without_comments(statement: &str) -> &str {
    let mut rest = statement.trim_start();
    loop {
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n').map_or("", |(_, rest)| rest).trim_start();
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, rest)| rest).trim_start();
        } else {
            return rest;
        }
    }
}

/// The word among these that a statement begins with.
fn first_of(words: &[&'static str], statement: &str) -> Option<&'static str> {
    let first = statement.split(|character: char| !character.is_ascii_alphabetic()).next()?;
    words.iter().find(|word| first.eq_ignore_ascii_case(word)).copied()
}

/// The word with which a statement commits on MySQL and MariaDB.
fn committing(statement: &str) -> Option<&'static str> {
    let mut words = statement.split_ascii_whitespace().skip(1);
    if first_of(&["SET"], statement).is_some() {
        return words.any(|word| word.to_ascii_lowercase().contains("autocommit")).then_some("SET autocommit");
    }
    let temporary = words.next().is_some_and(|second| second.eq_ignore_ascii_case("TEMPORARY"));
    first_of(&COMMITTING, statement).filter(|_| !temporary)
}

impl<'a> FromDelivery<'a> for Txn<'a> {
    async fn from_delivery(delivery: &'a Delivery<'a>) -> Result<Self, InboxError> {
        match delivery.transaction::<InboxTransaction>() {
            Some(transaction) => Ok(Self { inner: transaction.connection(), doubt: transaction.doubt() }),
            None => Err(InboxError::new("there is no transaction here: the dispatcher was not built by event-sea-orm")
                .no_retry()),
        }
    }

    fn declare(needs: &mut Needs) {
        needs.transaction();
    }
}

#[async_trait]
impl ConnectionTrait for Txn<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.allowed(&statement.sql)?;
        self.watched(self.inner.execute_raw(statement).await)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.allowed(sql)?;
        self.watched(self.inner.execute_unprepared(sql).await)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.allowed(&statement.sql)?;
        self.watched(self.inner.query_one_raw(statement).await)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.allowed(&statement.sql)?;
        self.watched(self.inner.query_all_raw(statement).await)
    }

    fn support_returning(&self) -> bool {
        self.inner.support_returning()
    }
}

/// Nested: what begins here is a savepoint of the inbox's transaction, and its commit keeps the work for that one's.
#[async_trait]
impl TransactionTrait for Txn<'_> {
    type Transaction = DatabaseTransaction;

    async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        self.watched(self.inner.begin().await)
    }

    async fn begin_with_config(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<DatabaseTransaction, DbErr> {
        self.watched(self.inner.begin_with_config(isolation_level, access_mode).await)
    }

    async fn begin_with_options(&self, options: TransactionOptions) -> Result<DatabaseTransaction, DbErr> {
        self.watched(self.inner.begin_with_options(options).await)
    }

    async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c DatabaseTransaction) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
        T: Send,
        E: std::fmt::Display + std::fmt::Debug + Send,
    {
        self.watched(self.inner.transaction(callback).await)
    }

    async fn transaction_with_config<F, T, E>(
        &self,
        callback: F,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c DatabaseTransaction) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
        T: Send,
        E: std::fmt::Display + std::fmt::Debug + Send,
    {
        self.watched(self.inner.transaction_with_config(callback, isolation_level, access_mode).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_commit_are_known() {
        for (statement, word) in [
            ("create table t (n int)", "CREATE"),
            ("TRUNCATE t", "TRUNCATE"),
            ("DROP TABLE t", "DROP"),
            ("SET SESSION autocommit = 1", "SET autocommit"),
            ("LOCK TABLES t READ", "LOCK"),
        ] {
            assert_eq!(committing(statement), Some(word));
        }
        for statement in [
            "CREATE TEMPORARY TABLE t (n int)",
            "drop temporary table t",
            "SET @a = 1",
            "SELECT 1",
            "INSERT INTO t",
            "",
        ] {
            assert_eq!(committing(statement), None, "{statement}");
        }
    }

    #[test]
    fn comments_hide_nothing() {
        assert_eq!(first_of(&CONTROL, without_comments(" -- a\n /* b */ commit")), Some("COMMIT"));
        assert_eq!(first_of(&CONTROL, without_comments("SELECT 1 /* commit */")), None);
        assert_eq!(first_of(&CONTROL, without_comments("committed")), None);
    }
}
