//! A transactional inbox's open transaction, with what is known of its health.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use sea_orm::DatabaseTransaction;

/// The transaction of a transactional inbox's batch. Handlers see it as [`Txn`](crate::Txn).
#[derive(Debug)]
pub struct InboxTransaction {
    inner: DatabaseTransaction,
    /// A handler's statement failed: the handler may have swallowed that, and the database may have ended the transaction.
    doubtful: AtomicBool,
    /// The database ended it, or may have.
    ended: AtomicBool,
}

impl InboxTransaction {
    pub(super) fn new(inner: DatabaseTransaction) -> Self {
        Self { inner, doubtful: AtomicBool::new(false), ended: AtomicBool::new(false) }
    }

    pub(crate) fn connection(&self) -> &DatabaseTransaction {
        &self.inner
    }

    pub(crate) fn doubt(&self) -> &AtomicBool {
        &self.doubtful
    }

    pub(super) fn take_doubt(&self) -> bool {
        let doubtful = self.doubtful.swap(false, Relaxed);
        if doubtful {
            self.set_ended();
        }
        doubtful
    }

    pub(super) fn set_ended(&self) {
        self.ended.store(true, Relaxed);
    }

    pub(super) fn may_be_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    pub(super) fn into_inner(self) -> DatabaseTransaction {
        self.inner
    }
}
