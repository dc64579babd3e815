//! Looking at the slots: which of them nobody holds.
//!
//! The statement tries to lock every row and leaves out those that somebody holds. It is committed at once, and so takes nothing
//! from recorders but the moment in which they wait for it. What it found free was free at some time while it ran: after the
//! caller saw the ids missing, and before any read that is begun when it has ended.
//!
//! InnoDB makes what a transaction wrote visible before it lets go of its locks, so that a slot seen free leaves nothing to come
//! of whoever was in it.

use event_core::LogName;
use event_core::cursor::IdSet;
use event_core::storage::{Look, StorageError};
use sea_orm::DatabaseConnection;

use crate::backend::mysql::visible;
use crate::migration::mysql::slots;
use crate::storage::SeaStorage;
use crate::storage::slots::{Set, Slots};

impl SeaStorage {
    pub(in crate::storage) async fn look_at_slots(
        &self,
        connection: &DatabaseConnection,
        log: &LogName,
        missing: &IdSet,
        slots: &mut Slots,
    ) -> Result<Look, StorageError> {
        let held = self.held(connection, log).await?;
        let verdict = slots.look(missing, &held);
        // Nobody knows whose slot is whose, so that held slots don't say that a recorder is still at it. But what is not visible
        // now was not visible to any read before.
        let still = verdict.same && verdict.ripe.is_empty() && !self.is_any_visible(log, missing).await?;
        Ok(Look { ripe: verdict.ripe, still, holder: holder(&verdict.waits_for), ..Look::default() })
    }

    async fn held(&self, connection: &DatabaseConnection, log: &LogName) -> Result<Set, StorageError> {
        let mut sql = self.sql()?;
        sql.push("SELECT id FROM ").name(&slots(log.as_str())).push(" FORCE INDEX (PRIMARY) FOR UPDATE SKIP LOCKED");
        let rows = self.query(connection, sql).await?;
        let free: Vec<_> = rows.iter().map(|row| self.number(row, "id")).collect::<Result<_, _>>()?;
        Ok(Set::all_but(free.into_iter().filter_map(|slot| usize::try_from(slot).ok())))
    }

    async fn is_any_visible(&self, log: &LogName, missing: &IdSet) -> Result<bool, StorageError> {
        let mut sql = self.sql()?;
        sql.push("SELECT 1 AS visible");
        visible(&mut sql, log, missing);
        sql.push(" LIMIT 1");
        Ok(!self.query(&self.own().await?, sql).await?.is_empty())
    }
}

/// Whom people may look for: a slot's number, modulo 64, is that of the connection.
fn holder(slots: &[usize]) -> Option<String> {
    match slots {
        [] => None,
        [slot] => Some(format!("a transaction of a connection whose id is {} modulo 64", slot % 64)),
        slots => Some(format!("transactions in {} of 256 slots", slots.len())),
    }
}
