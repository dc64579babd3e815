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

    /// Long transactions of strangers, and what they may lock.
    pub(super) async fn stranger(&mut self) -> Result<(), RecordError> {
        let backend = self.recorder.db.get_database_backend();
        match (backend, self.rng.u32(0..6)) {
            (DbBackend::Sqlite, _) => self.long_read().await,
            (_, 0) => self.lock_cursors().await,
            (DbBackend::Postgres, 1) => self.lock_log().await,
            _ => self.long_write().await,
        }
    }

    /// No event has to wait for it.
    async fn long_read(&mut self) -> Result<(), RecordError> {
        let txn = self.recorder.db.begin().await?;
        sql::number(&txn, "SELECT sum(visits) FROM strangers", []).await?;
        self.idle_for(1_000..8_000).await;
        txn.commit().await?;
        Ok(())
    }

    async fn long_write(&mut self) -> Result<(), RecordError> {
        let txn = self.recorder.db.begin().await?;
        let id = self.rng.i64(1..9);
        sql::execute(&txn, "UPDATE strangers SET visits = visits + 1 WHERE id = ?", [id.into()]).await?;
        self.idle_for(1_000..8_000).await;
        txn.commit().await?;
        Ok(())
    }

    /// Somebody looks at the cursors, and locks them: an operator, a backup, a machine that fell silent in its batch.
    async fn lock_cursors(&mut self) -> Result<(), RecordError> {
        let txn = self.recorder.db.begin().await?;
        sql::query(&txn, "SELECT saves FROM event_cursors ORDER BY inbox, log FOR UPDATE", []).await?;
        self.idle_for(200..2_500).await;
        txn.rollback().await?;
        Ok(())
    }

    /// Writers wait for a lock on the whole log, as for the building of an index, before they draw their ids.
    async fn lock_log(&mut self) -> Result<(), RecordError> {
        let txn = self.recorder.db.begin().await?;
        txn.execute_unprepared("SET LOCAL lock_timeout = '700ms'").await?;
        txn.execute_unprepared("LOCK TABLE events IN SHARE MODE").await?;
        self.idle_for(10..400).await;
        txn.rollback().await?;
        Ok(())
    }
}
