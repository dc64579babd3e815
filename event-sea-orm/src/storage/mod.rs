//! The dispatcher's storage over SeaORM. What differs between databases is one file each; the rest is common SQL.

mod cursors;
mod error;
mod failures;
#[cfg(feature = "postgres")]
mod holders;
#[cfg(feature = "mysql")]
mod mysql;
mod own;
pub(crate) mod packed;
#[cfg(feature = "postgres")]
mod postgres;
mod proof;
mod read;
mod retention;
mod save;
#[cfg(feature = "mysql")]
mod slots;
#[cfg(feature = "sqlite")]
mod sqlite;
mod start;
mod transaction;

use std::time::Duration;

use chrono::{DateTime, Utc};
use event_core::cursor::IdSet;
use event_core::storage::{
    Claimed, DeadLetter, DeadLetterQuery, DueFailure, Ears, FailureKey, Look, OpenFailure, Read, ReadPage, Save,
    Storage, StorageError, WaitingEvents, Wish,
};
use event_core::{LogName, States};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, QueryResult, Statement};

use crate::backend::{Dialect, Sql, UnsupportedBackend, dialect};
use crate::transact;
pub use proof::Proof;
#[cfg(feature = "attachments")]
pub(crate) use retention::archive_of;
pub use retention::{Held, LogRetention, Retention, RetentionError, RetentionReport};
pub use transaction::InboxTransaction;

/// Where the dispatcher keeps what it knows: the logs' own database.
///
/// Made from a connection, which it clones; usually unseen behind [`Dispatcher::builder`](crate::Dispatcher).
#[derive(Clone, Debug)]
pub struct SeaStorage {
    db: DatabaseConnection,
    own: own::Slot,
    /// Of a cluster's servers one alone is written to.
    one_writer: bool,
}

impl From<DatabaseConnection> for SeaStorage {
    fn from(db: DatabaseConnection) -> Self {
        Self { db, own: own::Slot::default(), one_writer: false }
    }
}

impl From<&DatabaseConnection> for SeaStorage {
    fn from(db: &DatabaseConnection) -> Self {
        Self { db: db.clone(), own: own::Slot::default(), one_writer: false }
    }
}

impl SeaStorage {
    /// Declares that of a cluster's servers (Galera, Group Replication with several primaries) this one alone is written to, by
    /// recorders as by dispatchers: otherwise such a cluster is refused, since who records on another server can't be seen.
    ///
    /// ```
    /// # fn example(db: &sea_orm::DatabaseConnection) -> Result<(), event_core::dispatch::BuildErrors> {
    /// use event_sea_orm::{SeaStorage, prelude::*};
    /// let dispatcher = Dispatcher::builder(SeaStorage::from(db).one_writer()).build()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn one_writer(mut self) -> Self {
        self.one_writer = true;
        self
    }

    /// The connection.
    pub fn db(&self) -> &DatabaseConnection {
        &self.db
    }

    fn dialect(&self) -> Result<&'static dyn Dialect, UnsupportedBackend> {
        dialect(self.db.get_database_backend())
    }

    fn known_dialect(&self) -> Result<&'static dyn Dialect, StorageError> {
        self.dialect().map_err(|error| error::unsupported(&error))
    }

    /// A statement in the making.
    fn sql(&self) -> Result<Sql<'static>, StorageError> {
        Ok(Sql::new(self.known_dialect()?))
    }

    fn statement(&self, sql: Sql<'_>) -> Statement {
        sql.statement(self.db.get_database_backend())
    }

    async fn query<C: ConnectionTrait>(&self, conn: &C, sql: Sql<'_>) -> Result<Vec<QueryResult>, StorageError> {
        self.answer(conn.query_all_raw(self.statement(sql))).await
    }

    /// Runs a statement; gives the number of rows that it changed.
    async fn execute<C: ConnectionTrait>(&self, conn: &C, sql: Sql<'_>) -> Result<u64, StorageError> {
        let done = self.answer(conn.execute_raw(self.statement(sql))).await?;
        Ok(done.rows_affected())
    }

    /// A statement about a savepoint.
    async fn control(&self, transaction: &InboxTransaction, statement: &str) -> Result<(), StorageError> {
        self.answer(transaction.connection().execute_unprepared(statement)).await.map(drop)
    }

    /// Commits what no dispatcher has to be woken for.
    async fn commit_quietly(&self, transaction: InboxTransaction) -> Result<(), StorageError> {
        self.answer(transact::commit(transaction.into_inner())).await
    }

    /// Ends a transaction of our own: committed if the work went well, else rolled back.
    async fn end<T>(&self, transaction: InboxTransaction, work: Result<T, StorageError>) -> Result<T, StorageError> {
        match work {
            Ok(value) => {
                self.commit_quietly(transaction).await?;
                Ok(value)
            }
            Err(error) => {
                // The work's own error says more than one of the rollback.
                let _ = self.rollback(transaction).await;
                Err(error)
            }
        }
    }

    fn error(&self, error: DbErr) -> StorageError {
        match self.dialect() {
            Ok(dialect) => error::storage_error(dialect, error),
            Err(unsupported) => error::unsupported(&unsupported),
        }
    }
}

impl Storage for SeaStorage {
    type Transaction = InboxTransaction;
    type Proof = Proof;

    fn provide(&self, states: &mut States) {
        states.insert(self.db.clone());
    }

    async fn check(&self, logs: &[LogName]) -> Result<(), StorageError> {
        self.known_dialect()?;
        match self.db.get_database_backend() {
            #[cfg(feature = "sqlite")]
            DbBackend::Sqlite => sqlite::check(self, logs).await,
            #[cfg(feature = "postgres")]
            DbBackend::Postgres => postgres::check(self, logs).await,
            #[cfg(feature = "mysql")]
            DbBackend::MySql => mysql::check(self, logs).await,
            // Refused above.
            _ => Ok(()),
        }
    }

    async fn place(&self, wishes: &[Wish]) -> Result<(), StorageError> {
        self.place_cursors(wishes).await
    }

    async fn claim(
        &self,
        owner: &str,
        lease: Duration,
        wishes: &[Wish],
        now: DateTime<Utc>,
    ) -> Result<Vec<Claimed>, StorageError> {
        self.claim_inboxes(owner, lease, wishes, now).await
    }

    async fn renew(&self, owner: &str, lease: Duration, held: &[(String, i64)]) -> Result<Vec<String>, StorageError> {
        self.renew_leases(owner, lease, held).await
    }

    async fn release(&self, owner: &str, inbox: &str, epoch: i64) -> Result<(), StorageError> {
        self.release_lease(owner, inbox, epoch).await
    }

    async fn known_inboxes(&self) -> Result<Vec<String>, StorageError> {
        let mut sql = self.sql()?;
        sql.push("SELECT DISTINCT inbox FROM event_cursors ORDER BY inbox");
        let rows = self.query(&self.own().await?, sql).await?;
        rows.iter().map(|row| row.try_get("", "inbox").map_err(|error| self.error(error))).collect()
    }

    async fn read(&self, read: Read<'_>) -> Result<ReadPage, StorageError> {
        self.read_log(&read).await
    }

    async fn newest(&self, log: &LogName) -> Result<i64, StorageError> {
        self.newest_id(&self.own().await?, log).await
    }

    async fn foreign_id(&self, log: &LogName) -> Result<Option<i64>, StorageError> {
        let Some(statement) = self.known_dialect()?.foreign_id(log) else { return Ok(None) };
        let row = self.answer(self.own().await?.query_one_raw(statement)).await?;
        row.map_or(Ok(None), |row| row.try_get("", "foreign_id").map_err(|error| self.error(error)))
    }

    async fn newest_visible(&self, logs: &[LogName]) -> Result<Option<Vec<i64>>, StorageError> {
        self.newest_visible_ids(logs).await.map(Some)
    }

    async fn look(
        &self,
        log: &LogName,
        missing: &IdSet,
        later: &IdSet,
        proof: &mut Proof,
    ) -> Result<Look, StorageError> {
        self.look_at(log, missing, later, proof).await
    }

    async fn listen(&self, owner: &str, logs: &[LogName], ears: Ears) {
        match self.db.get_database_backend() {
            #[cfg(feature = "postgres")]
            DbBackend::Postgres => postgres::listen(self, owner, logs, ears).await,
            _ => {
                let _ = (owner, logs, ears);
                std::future::pending().await
            }
        }
    }

    async fn save(&self, save: &Save) -> Result<(), StorageError> {
        self.save_alone(save).await
    }

    async fn begin(&self) -> Result<InboxTransaction, StorageError> {
        self.begin_for_handlers().await
    }

    async fn savepoint(&self, transaction: &InboxTransaction, name: &'static str) -> Result<(), StorageError> {
        self.control(transaction, &format!("SAVEPOINT {name}")).await
    }

    async fn keep(&self, transaction: &InboxTransaction, name: &'static str) -> Result<(), StorageError> {
        self.answer(transaction.undo_dropped()).await?;
        self.control(transaction, &format!("RELEASE SAVEPOINT {name}")).await
    }

    async fn undo(&self, transaction: &InboxTransaction, name: &'static str) -> Result<(), StorageError> {
        transaction.forget_dropped();
        self.control(transaction, &format!("ROLLBACK TO SAVEPOINT {name}")).await?;
        self.control(transaction, &format!("RELEASE SAVEPOINT {name}")).await
    }

    fn is_doubtful(&self, transaction: &InboxTransaction) -> bool {
        transaction.take_doubt()
    }

    async fn rollback(&self, transaction: InboxTransaction) -> Result<(), StorageError> {
        self.answer(transact::roll_back(transaction.into_inner())).await
    }

    async fn save_in(&self, transaction: &InboxTransaction, save: &Save) -> Result<(), StorageError> {
        self.save_on(transaction.connection(), save).await
    }

    async fn commit(&self, transaction: InboxTransaction) -> Result<(), StorageError> {
        self.commit_quietly(transaction).await
    }

    async fn due(&self, inbox: &str, now: DateTime<Utc>, limit: u64) -> Result<Vec<DueFailure>, StorageError> {
        self.due_failures(inbox, now, limit).await
    }

    async fn bound_retries(
        &self,
        inbox: &str,
        now: DateTime<Utc>,
        latest: &(dyn Fn(u32) -> DateTime<Utc> + Sync),
    ) -> Result<(), StorageError> {
        self.bound_due_times(inbox, now, latest).await
    }

    async fn next_due(&self, inboxes: &[String]) -> Result<Vec<(String, DateTime<Utc>)>, StorageError> {
        self.next_due_times(inboxes).await
    }

    async fn open_failures(&self, inbox: &str) -> Result<Vec<OpenFailure>, StorageError> {
        self.open_rows(inbox).await
    }

    async fn waiting(&self, inbox: &str) -> Result<Vec<WaitingEvents>, StorageError> {
        self.waiting_rows(inbox).await
    }

    async fn wake(&self, inbox: &str, waiting: &WaitingEvents, now: DateTime<Utc>) -> Result<(), StorageError> {
        self.wake_waiting(inbox, waiting, now).await
    }

    async fn dead_letters(&self, query: &DeadLetterQuery) -> Result<Vec<DeadLetter>, StorageError> {
        self.list_dead_letters(query).await
    }

    async fn retry_dead(&self, key: &FailureKey, attempts: u32, now: DateTime<Utc>) -> Result<bool, StorageError> {
        self.revive(key, attempts, now).await
    }

    async fn discard_dead(&self, key: &FailureKey, attempts: u32) -> Result<bool, StorageError> {
        self.remove_dead(key, attempts).await
    }
}
