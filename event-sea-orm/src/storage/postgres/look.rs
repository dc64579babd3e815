//! Listing who records: `pg_locks`, by the lock that an INSERT holds on its table.
//!
//! An INSERT takes `RowExclusiveLock` on the table before it draws an id, and keeps it until its transaction ends, or its
//! savepoint is rolled back, and then the id is dead. Locks fall after what was written is visible.
//! <https://www.postgresql.org/docs/15/explicit-locking.html>, <https://www.postgresql.org/docs/15/view-pg-locks.html>

use std::collections::BTreeMap;

use event_core::LogName;
use event_core::storage::{StorageError, StorageErrorKind};

use super::Looker;
use crate::migration::postgres::sequence;
use crate::storage::SeaStorage;
use crate::storage::holders::Listing;

/// How often a listing is begun anew because its connection was replaced in the middle.
const TRIES: usize = 3;

impl Looker {
    /// The highest id drawn, and after it the holders of the lock, on one connection.
    pub(in crate::storage) async fn list(&self, storage: &SeaStorage, log: &LogName) -> Result<Listing, StorageError> {
        for _ in 0..TRIES {
            let before = self.connects();
            let drawn = self.drawn(storage, log).await?;
            let (backend, holders) = self.holders(storage, log).await?;
            // The first listing of all makes the connection itself.
            if before == 0 || before == self.connects() {
                let session = format!("{} {backend}", self.connects());
                return Ok(Listing { session, drawn, holders });
            }
        }
        Err(StorageError::new(StorageErrorKind::Unreachable, "the database's connections do not last"))
    }

    async fn drawn(&self, storage: &SeaStorage, log: &LogName) -> Result<i64, StorageError> {
        let mut sql = storage.sql()?;
        sql.push("SELECT last_value AS drawn FROM ").name(&sequence(log.as_str())).push(" WHERE is_called");
        match storage.query(&self.db, sql).await?.first() {
            Some(row) => storage.number(row, "drawn"),
            None => Ok(0),
        }
    }

    /// The holders, and which backend of which server tells of them: behind a pooler the connection itself may outlive both.
    async fn holders(
        &self,
        storage: &SeaStorage,
        log: &LogName,
    ) -> Result<(String, BTreeMap<String, String>), StorageError> {
        let mut sql = storage.sql()?;
        let table = storage.known_dialect()?.quoted(log.as_str());
        sql.push("SELECT pg_backend_pid() || ' ' || pg_postmaster_start_time() AS backend, held.holder, held.pid FROM (VALUES (1)) AS one");
        sql.push(" LEFT JOIN (SELECT virtualtransaction AS holder, coalesce(pid, 0) AS pid FROM pg_catalog.pg_locks");
        sql.push(" WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted AND database = ");
        sql.push(
            "(SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) AND relation IN (SELECT ",
        );
        sql.bind(table.as_str()).push("::text::regclass::oid UNION ALL SELECT relid FROM pg_partition_tree(");
        sql.bind(table.as_str()).push("::text::regclass))) AS held ON true");
        let mut backend = String::new();
        let mut holders = BTreeMap::new();
        for row in storage.query(&self.db, sql).await? {
            backend = storage.text(&row, "backend")?;
            let holder: Option<String> = row.try_get("", "holder").map_err(|error| storage.error(error))?;
            if let Some(holder) = holder {
                let name = match storage.number(&row, "pid")? {
                    0 => format!("a prepared transaction ({holder})"),
                    pid => format!("backend {pid} (virtual transaction {holder})"),
                };
                holders.insert(holder, name);
            }
        }
        Ok((backend, holders))
    }
}
