//! Two-phase commit (PostgreSQL): prepared on one connection, committed on another one, or never by its recorder.

use event_sea_orm::{RecordError, SaveDraft as _};
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};

use super::Writer;

impl Writer {
    pub(super) async fn two_phases(&mut self) -> Result<(), RecordError> {
        let db = self.recorder.db.clone();
        let txn = db.begin().await?;
        let number = self.next_number();
        self.ledger(&txn, &[number], false).await?;
        self.event(number).save(&txn).await?;
        let name = format!("torture-{number}");
        txn.execute_unprepared(&format!("PREPARE TRANSACTION '{name}'")).await?;
        // The session's transaction has ended; the driver's own COMMIT says so with a warning.
        txn.commit().await?;
        self.idle_for(0..4_000).await;
        let word = match self.rng.u32(0..8) {
            // Left to the parent.
            0 => return Ok(()),
            1 | 2 => "ROLLBACK",
            _ => "COMMIT",
        };
        db.execute_unprepared(&format!("{word} PREPARED '{name}'")).await?;
        Ok(())
    }
}
