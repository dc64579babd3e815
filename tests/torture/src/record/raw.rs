//! Events written by SQL of the recorder's own: many by one statement, the log's insert deep within a larger one.

use event_core::{DomainEvent as _, RecordOn as _};
use event_sea_orm::{RecordError, SaveRecording as _, Transact as _};
use sea_orm::{ConnectionTrait as _, DbBackend};

use super::Writer;
use crate::events::TallyEvent;
use crate::sql;

impl Writer {
    pub(super) async fn raw(&mut self) -> Result<(), RecordError> {
        let db = self.recorder.db.clone();
        let numbers: Vec<_> = (0..self.rng.usize(1..8)).map(|_| self.next_number()).collect();
        db.transact(async |txn| {
            match (txn.get_database_backend(), self.rng.bool()) {
                // Ledger and log by one statement.
                (DbBackend::Postgres, true) => {
                    let rows = vec!["(?::bigint)"; numbers.len()].join(", ");
                    let text = format!(
                        "WITH fresh (number) AS (VALUES {rows}),
                            noted AS (INSERT INTO ledger SELECT number, 0 FROM fresh RETURNING number)
                        INSERT INTO events (subject_type, subject_id, action, version, metadata, occurred_at)
                        SELECT '{subject}', 'raw', 'counted', 1, json_build_object('number', number)::jsonb, now() FROM noted",
                        subject = TallyEvent::descriptor().subject(),
                    );
                    sql::execute(txn, &text, numbers.iter().map(|&number| number.into())).await?;
                }
                // The log's rows out of the ledger's.
                (backend, _) => {
                    self.ledger(txn, &numbers, false).await?;
                    let (json, now) = match backend {
                        DbBackend::Postgres => ("json_build_object('number', number)::jsonb", "now()"),
                        DbBackend::MySql => ("json_object('number', number)", "utc_timestamp(6)"),
                        _ => ("json_object('number', number)", "strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now')"),
                    };
                    let list = vec!["?"; numbers.len()].join(", ");
                    let text = format!(
                        "INSERT INTO events (subject_type, subject_id, action, version, metadata, occurred_at)
                        SELECT '{subject}', 'raw', 'counted', 1, {json}, {now} FROM ledger WHERE number IN ({list})",
                        subject = TallyEvent::descriptor().subject(),
                    );
                    sql::execute(txn, &text, numbers.iter().map(|&number| number.into())).await?;
                }
            }
            self.pause(5).await;
            if self.rng.u32(0..8) == 0 {
                let number = self.next_number();
                TallyEvent::Counted { number }.on("raw").by_system().save(txn).await?;
                return Err(super::undone());
            }
            Ok(())
        })
        .await
    }
}
