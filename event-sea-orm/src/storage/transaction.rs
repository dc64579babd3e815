//! A transactional inbox's open transaction, with what is known of its health.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use sea_orm::DatabaseTransaction;

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
