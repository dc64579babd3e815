//! Transactions that take their time: recorders that idle, and strangers that have nothing to do with events.

use event_sea_orm::{RecordError, SaveDraft as _, Transact as _};
use sea_orm::{ConnectionTrait as _, DbBackend, TransactionTrait as _};

use super::{Writer, undone};
use crate::sql;

impl Writer {
    /// Records, and then sits in its transaction. It is a suspect for every id that is missing meanwhile.
    pub(super) async fn idle(&mut self) -> Result<(), RecordError> {
        let db = self.recorder.db.clone();
        let milliseconds = match db.get_database_backend() {
            // It holds the only write lock.
            DbBackend::Sqlite => 10..100,
            _ => 100..2_500,
        };
        db.transact(async |txn| {
            let late = self.is_late(txn).await?;
            let number = self.next_number();
            self.event(number).save(txn).await?;
            self.idle_for(milliseconds.clone()).await;
            let another = self.next_number();
            self.event(another).save(txn).await?;
            self.ledger(txn, &[number, another], late).await?;
            self.idle_for(milliseconds).await;
            if self.rng.bool() { Ok(()) } else { Err(undone()) }
        })
        .await
    }

    /// A long transaction that reads, and writes something else. No event has to wait for it.
    pub(super) async fn stranger(&mut self) -> Result<(), RecordError> {
        let txn = self.recorder.db.begin().await?;
        sql::number(&txn, "SELECT sum(visits) FROM strangers", []).await?;
        if txn.get_database_backend() != DbBackend::Sqlite {
            let id = self.rng.i64(1..9);
            sql::execute(&txn, "UPDATE strangers SET visits = visits + 1 WHERE id = ?", [id.into()]).await?;
        }
        self.idle_for(1_000..8_000).await;
        txn.commit().await?;
        Ok(())
    }
}
