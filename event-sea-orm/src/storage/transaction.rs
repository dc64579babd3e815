//! A transactional inbox's open transaction, with what is known of its health.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use event_core::storage::StorageError;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, TransactionTrait};

use super::SeaStorage;
use crate::transact;

/// The transaction of a transactional inbox's batch. Handlers see it as [`Txn`](crate::Txn).
#[derive(Debug)]
pub struct InboxTransaction {
    inner: DatabaseTransaction,
    /// A handler's statement failed: the handler may have swallowed that, and the database may have ended the transaction.
    doubtful: AtomicBool,
}

impl InboxTransaction {
    pub(super) fn new(inner: DatabaseTransaction) -> Self {
        Self { inner, doubtful: AtomicBool::new(false) }
    }

    pub(crate) fn connection(&self) -> &DatabaseTransaction {
        &self.inner
    }

    pub(crate) fn doubt(&self) -> &AtomicBool {
        &self.doubtful
    }

    pub(super) fn take_doubt(&self) -> bool {
        self.doubtful.swap(false, Relaxed)
    }

    pub(super) fn into_inner(self) -> DatabaseTransaction {
        self.inner
    }
}

/// A worker that falls silent within a batch (a machine that lost its network, a process that was stopped) holds the locks of
/// its handlers' writes and of its cursor: the server ends it. Longer than any sensible handler goes without a statement.
const BATCH_IDLE: &str = "SET LOCAL idle_in_transaction_session_timeout = '5min'";

impl SeaStorage {
    /// A transaction for handlers, on the connection that the application gave.
    pub(super) async fn begin_for_handlers(&self) -> Result<InboxTransaction, StorageError> {
        let transaction = self.answer(self.db.begin_with_options(transact::options_for_handlers(&self.db))).await?;
        if transaction.get_database_backend() == DbBackend::Postgres {
            self.answer(transaction.execute_unprepared(BATCH_IDLE)).await?;
        }
        Ok(InboxTransaction::new(transaction))
    }
}
