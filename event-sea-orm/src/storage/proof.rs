//! How a missing id is proved dead, on each database.

use event_core::LogName;
use event_core::cursor::IdSet;
use event_core::storage::{Look, StorageError};
use sea_orm::DbBackend;

use super::SeaStorage;

/// What the proof that missing ids are dead remembers between two looks.
#[derive(Debug, Default)]
pub struct Proof {
    #[cfg(feature = "postgres")]
    holders: super::holders::Holders,
    #[cfg(feature = "mysql")]
    slots: super::slots::Slots,
}

impl SeaStorage {
    pub(super) async fn look_at(
        &self,
        log: &LogName,
        missing: &IdSet,
        later: &IdSet,
        proof: &mut Proof,
    ) -> Result<Look, StorageError> {
        #[cfg(not(any(feature = "postgres", feature = "mysql")))]
        let _ = (log, proof);
        #[cfg(not(feature = "postgres"))]
        let _ = later;
        match self.db.get_database_backend() {
            #[cfg(feature = "postgres")]
            DbBackend::Postgres => {
                let Some(looker) = self.connections().await?.looker else { return Ok(Look::default()) };
                let ask_drawn = !proof.holders.knows(missing, later);
                let listing = looker.list(self, log, ask_drawn).await?;
                Ok(proof.holders.look(missing, later, &listing))
            }
            #[cfg(feature = "mysql")]
            DbBackend::MySql => {
                let Some(connection) = self.connections().await?.slots else { return Ok(Look::default()) };
                self.look_at_slots(&connection, log, missing, &mut proof.slots).await
            }
            // SQLite has one writer at a time, and the log's trigger refuses an id that is not the newest: whoever could have
            // made a missing id visible had done so before the newer one was recorded.
            DbBackend::Sqlite => Ok(Look { ripe: missing.clone(), ..Look::default() }),
            // Nothing is proved.
            _ => Ok(Look::default()),
        }
    }
}
