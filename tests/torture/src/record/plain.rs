//! Transactions that commit: one event, many, in both logs, at other isolation levels.

use event_core::RecordOn as _;
use event_sea_orm::{RecordError, SaveDraft as _, SaveRecording as _, Transact as _, record_many};
use sea_orm::{DbBackend, IsolationLevel, TransactionTrait as _};

use super::Writer;
use crate::events::{AuditEvent, TallyEvent};

impl Writer {
    pub(super) async fn single(&mut self) -> Result<(), RecordError> {
        let db = self.recorder.db.clone();
        db.transact(async |txn| {
            let late = self.is_late(txn).await?;
            let number = self.next_number();
            self.ledger(txn, &[number], late).await?;
            self.event(number).save(txn).await?;
            if self.rng.u32(0..4) == 0 {
                self.pause(5).await;
            }
            Ok(())
        })
        .await
    }

    pub(super) async fn batch(&mut self) -> Result<(), RecordError> {
        let db = self.recorder.db.clone();
        db.transact(async |txn| {
            let late = self.is_late(txn).await?;
            let numbers: Vec<_> =
                (0..self.rng.usize(2..self.recorder.orders.batch.max(3))).map(|_| self.next_number()).collect();
            self.ledger(txn, &numbers, late).await?;
            let events: Vec<_> = numbers.iter().map(|&number| self.event(number)).collect();
            record_many(txn, events).await?;
            Ok(())
        })
        .await
    }

    pub(super) async fn both_logs(&mut self) -> Result<(), RecordError> {
        let db = self.recorder.db.clone();
        db.transact(async |txn| {
            let late = self.is_late(txn).await?;
            let (one, other) = (self.next_number(), self.next_number());
            AuditEvent::Noted { number: one }.on(one % 50).by_system().save(txn).await?;
            self.pause(3).await;
            TallyEvent::Counted { number: other }.on(other % 50).by_system().save(txn).await?;
            self.ledger(txn, &[one, other], late).await?;
            Ok(())
        })
        .await
    }

    /// In a transaction of the user's own making, at an isolation level of its own.
    pub(super) async fn isolated(&mut self) -> Result<(), RecordError> {
        if self.recorder.db.get_database_backend() == DbBackend::Sqlite {
            return self.single().await;
        }
        let levels = [IsolationLevel::ReadCommitted, IsolationLevel::RepeatableRead, IsolationLevel::Serializable];
        let level = levels[self.rng.usize(0..levels.len())];
        let txn = self.recorder.db.begin_with_config(Some(level), None).await?;
        let number = self.next_number();
        self.ledger(&txn, &[number], false).await?;
        self.event(number).save(&txn).await?;
        self.pause(10).await;
        txn.commit().await?;
        Ok(())
    }
}
