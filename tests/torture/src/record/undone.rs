//! Transactions that commit nothing, or a part: rolled back, rolled back to a savepoint, dropped, cut off by the server.

use event_sea_orm::{RecordError, SaveDraft as _, Transact as _, record_many};
use sea_orm::{ConnectionTrait as _, DbBackend, TransactionTrait as _};

use super::{Writer, undone};

impl Writer {
    pub(super) async fn rolled_back(&mut self) -> Result<(), RecordError> {
        let db = self.recorder.db.clone();
        db.transact(async |txn| {
            let numbers: Vec<_> = (0..self.rng.usize(1..6)).map(|_| self.next_number()).collect();
            let events: Vec<_> = numbers.iter().map(|&number| self.event(number)).collect();
            record_many(txn, events).await?;
            self.ledger(txn, &numbers, false).await?;
            self.pause(30).await;
            Err(undone())
        })
        .await
    }

    /// An event, one that is undone by a savepoint, and another one: of three ids the middle one is dead.
    pub(super) async fn savepoint_rolled_back(&mut self) -> Result<(), RecordError> {
        let db = self.recorder.db.clone();
        db.transact(async |txn| {
            let late = self.is_late(txn).await?;
            let (first, second, third) = (self.next_number(), self.next_number(), self.next_number());
            self.event(first).save(txn).await?;
            let savepoint = txn.begin().await?;
            self.event(second).save(&savepoint).await?;
            self.ledger(&savepoint, &[second], false).await?;
            self.pause(10).await;
            savepoint.rollback().await?;
            self.pause(10).await;
            self.event(third).save(txn).await?;
            self.ledger(txn, &[first, third], late).await?;
            Ok(())
        })
        .await
    }

    /// The session ends inside the transaction: the server's doing, or ours.
    pub(super) async fn cut_off(&mut self) -> Result<(), RecordError> {
        let db = self.recorder.db.clone();
        db.transact(async |txn| {
            let number = self.next_number();
            self.event(number).save(txn).await?;
            self.ledger(txn, &[number], false).await?;
            self.pause(50).await;
            match txn.get_database_backend() {
                DbBackend::Postgres => txn.execute_unprepared("SELECT pg_terminate_backend(pg_backend_pid())").await?,
                DbBackend::MySql => txn.execute_unprepared("KILL CONNECTION_ID()").await?,
                _ => return Err(undone()),
            };
            Ok(())
        })
        .await
    }
}
