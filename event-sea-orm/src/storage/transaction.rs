//! A transactional inbox's open transaction, with what is known of its standing.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use event_core::storage::StorageError;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr};

use super::SeaStorage;
use crate::transact;

/// The transaction of a transactional inbox's batch. Handlers see it as [`Txn`](crate::Txn).
///
/// Its savepoints are our own, by name, and never the driver's: a database that ends a transaction by itself takes its
/// savepoints along, and the driver, which counts them, would keep the connection in a transaction for ever.
#[derive(Debug)]
pub struct InboxTransaction {
    inner: DatabaseTransaction,
    /// A handler's statement failed: the handler may have swallowed that, and the database may have ended the transaction.
    doubtful: AtomicBool,
    /// It did.
    ended: AtomicBool,
    /// The number of the newest savepoint of a handler's, and of the oldest one that was dropped without an end; 0 for none.
    newest_part: AtomicU32,
    dropped_part: AtomicU32,
}

impl InboxTransaction {
    pub(super) fn new(inner: DatabaseTransaction) -> Self {
        Self {
            inner,
            doubtful: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            newest_part: AtomicU32::new(0),
            dropped_part: AtomicU32::new(0),
        }
    }

    pub(super) fn connection(&self) -> &DatabaseTransaction {
        &self.inner
    }

    pub(super) fn take_doubt(&self) -> bool {
        self.doubtful.swap(false, Relaxed)
    }

    pub(super) fn into_inner(self) -> DatabaseTransaction {
        self.inner
    }

    pub(crate) fn support_returning(&self) -> bool {
        self.inner.support_returning()
    }

    pub(crate) fn backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    /// The connection for a handler's next statement. Once the database has ended the transaction there is none: what a
    /// handler writes then would stand alone, whatever becomes of its event.
    pub(crate) async fn for_statement(&self) -> Result<&DatabaseTransaction, DbErr> {
        if self.ended.load(Relaxed) {
            return Err(ended());
        }
        self.undo_dropped().await?;
        Ok(&self.inner)
    }

    /// Takes in how a handler's statement went.
    pub(crate) async fn watched<T>(&self, result: Result<T, DbErr>) -> Result<T, DbErr> {
        if result.is_err() {
            self.doubtful.store(true, Relaxed);
            if !self.ended.load(Relaxed) && !self.stands().await {
                self.ended.store(true, Relaxed);
            }
        }
        result
    }

    /// Whether the transaction still stands, after a statement failed in it.
    async fn stands(&self) -> bool {
        match self.backend() {
            // It fails within a transaction, and changes nothing. What it begins otherwise stays empty, and is rolled back.
            DbBackend::Sqlite => self.inner.execute_unprepared("BEGIN").await.is_err(),
            // By name: outside of a transaction a savepoint is gone as soon as it is made. Not the driver's, which rolls back the whole
            // transaction when the future that begins one is dropped (a handler's time-out).
            DbBackend::MySql => {
                self.inner.execute_unprepared("SAVEPOINT event_probe").await.is_ok()
                    && self.inner.execute_unprepared("RELEASE SAVEPOINT event_probe").await.is_ok()
            }
            // PostgreSQL refuses everything by itself until the savepoint, or all, is rolled back.
            _ => true,
        }
    }

    /// Begins a savepoint of a handler's; gives its number.
    pub(crate) async fn begin_part(&self) -> Result<u32, DbErr> {
        let connection = self.for_statement().await?;
        let part = self.newest_part.fetch_add(1, Relaxed) + 1;
        let begun = connection.execute_unprepared(&format!("SAVEPOINT {PART}{part}")).await;
        self.watched(begun).await.map(|_| part)
    }

    /// Ends it, keeping what was written since.
    pub(crate) async fn keep_part(&self, part: u32) -> Result<(), DbErr> {
        let connection = self.for_statement().await?;
        let kept = connection.execute_unprepared(&format!("RELEASE SAVEPOINT {PART}{part}")).await;
        self.watched(kept).await.map(drop)
    }

    /// Ends it, undoing what was written since.
    pub(crate) async fn undo_part(&self, part: u32) -> Result<(), DbErr> {
        let connection = self.for_statement().await?;
        let undone = undo(connection, part).await;
        self.watched(undone).await
    }

    /// It was dropped without an end, where nothing can be awaited: undone before the next statement.
    pub(crate) fn drop_part(&self, part: u32) {
        // The oldest one takes those within it along.
        let _ = self.dropped_part.fetch_update(Relaxed, Relaxed, |dropped| match dropped {
            0 => Some(part),
            dropped => Some(dropped.min(part)),
        });
    }

    /// Undoes the savepoint that was dropped without an end, if there is one.
    pub(super) async fn undo_dropped(&self) -> Result<(), DbErr> {
        match self.dropped_part.load(Relaxed) {
            0 => Ok(()),
            part => {
                let undone = undo(&self.inner, part).await;
                // With the answer: if this is dropped before, the next statement undoes the part.
                self.dropped_part.store(0, Relaxed);
                self.watched(undone).await
            }
        }
    }

    /// Forgets it: what was around it is undone.
    pub(super) fn forget_dropped(&self) {
        self.dropped_part.store(0, Relaxed);
    }
}

/// What the names of handlers' savepoints begin with.
const PART: &str = "event_part_";

async fn undo(connection: &DatabaseTransaction, part: u32) -> Result<(), DbErr> {
    connection.execute_unprepared(&format!("ROLLBACK TO SAVEPOINT {PART}{part}")).await?;
    connection.execute_unprepared(&format!("RELEASE SAVEPOINT {PART}{part}")).await.map(drop)
}

fn ended() -> DbErr {
    DbErr::Custom(
        "the database ended the inbox's transaction when a statement failed (a deadlock, a conflict that rolls back, a full \
         disk), and everything written in it is undone: what is written now would stand alone, so it is refused. Return the \
         failed statement's error from the handler; the event is delivered again"
            .to_owned(),
    )
}

/// A worker that falls silent within a batch (a machine that lost its network, a process that was stopped) holds the locks of
/// its handlers' writes and of its cursor: the server ends it. Longer than any sensible handler goes without a statement.
const BATCH_IDLE: &str = "SET LOCAL idle_in_transaction_session_timeout = '5min'";

impl SeaStorage {
    /// A transaction for handlers, on the connection that the application gave.
    pub(super) async fn begin_for_handlers(&self) -> Result<InboxTransaction, StorageError> {
        let transaction = self.answer(transact::begin(&self.db, transact::options_for_handlers(&self.db))).await?;
        if transaction.get_database_backend() == DbBackend::Postgres {
            self.answer(transaction.execute_unprepared(BATCH_IDLE)).await?;
        }
        Ok(InboxTransaction::new(transaction))
    }
}
