//! Transactions with locks: subjects whose events are in the order of their commits, and deadlocks.

use event_core::RecordOn as _;
use event_sea_orm::{RecordError, SaveDraft as _, SaveRecording as _, Transact as _};

use super::Writer;
use crate::events::TallyEvent;
use crate::schema::{RECORDERS_KNOTS, SUBJECTS};
use crate::sql;

impl Writer {
    /// Locks the subject's row before it records.
    pub(super) async fn stepped(&mut self) -> Result<(), RecordError> {
        let db = self.recorder.db.clone();
        db.transact(async |txn| {
            let late = self.is_late(txn).await?;
            let subject = self.rng.i64(SUBJECTS);
            sql::execute(txn, "UPDATE subjects SET steps = steps + 1 WHERE id = ?", [subject.into()]).await?;
            let numbers: Vec<_> = (0..self.rng.usize(1..4)).map(|_| self.next_number()).collect();
            for &number in &numbers {
                TallyEvent::Stepped { number }.on(subject).by_system().save(txn).await?;
                self.pause(4).await;
            }
            self.ledger(txn, &numbers, late).await?;
            Ok(())
        })
        .await
    }

    /// Records, then locks two rows; another writer may lock them the other way around, and one of the two is ended.
    pub(super) async fn knot(&mut self) -> Result<(), RecordError> {
        let db = self.recorder.db.clone();
        db.transact(async |txn| {
            let number = self.next_number();
            self.event(number).save(txn).await?;
            let one = self.rng.i64(RECORDERS_KNOTS);
            let other = self.rng.i64(RECORDERS_KNOTS);
            for id in [one, other] {
                sql::execute(txn, "UPDATE knots SET turns = turns + 1 WHERE id = ?", [id.into()]).await?;
                self.pause(20).await;
            }
            self.ledger(txn, &[number], false).await?;
            Ok(())
        })
        .await
    }
}
