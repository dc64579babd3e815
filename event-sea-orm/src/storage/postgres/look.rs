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
use crate::storage::holders::{Holder, Listing};
use crate::storage::{SeaStorage, error};

/// How often a listing is begun anew because its connection was replaced in the middle.
const TRIES: usize = 3;

impl Looker {
    /// The highest id drawn, if that is wanted, and after it the holders of the lock, on one connection.
    pub(in crate::storage) async fn list(
        &self,
        storage: &SeaStorage,
        log: &LogName,
        ask_drawn: bool,
    ) -> Result<Listing, StorageError> {
        for _ in 0..TRIES {
            let before = self.connects();
            let drawn = if ask_drawn { self.drawn(storage, log).await? } else { 0 };
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
    ///
    /// With them come their transactions' numbers and this statement's snapshot, which is older than the listing: what a
    /// transaction wrote that is under way in the snapshot was visible to nobody before. One without a number is not known to
    /// have written nothing: it may have let go of its number's lock while the listing went on.
    async fn holders(
        &self,
        storage: &SeaStorage,
        log: &LogName,
    ) -> Result<(String, BTreeMap<String, Holder>), StorageError> {
        let mut sql = storage.sql()?;
        let table = storage.known_dialect()?.quoted(log.as_str());
        sql.push("SELECT pg_backend_pid() || ' ' || pg_postmaster_start_time() AS backend, pg_current_snapshot()::text AS snapshot,");
        // Where a pooler undid the session's `row_security = off`, this notices a policy that hides events.
        sql.push(" CASE WHEN row_security_active(").bind(table.as_str()).push("::text) THEN 1 ELSE 0 END AS filtered,");
        sql.push(
            " held.holder, held.pid, held.xid FROM (VALUES (1)) AS one LEFT JOIN (SELECT virtualtransaction AS holder,",
        );
        sql.push(
            " coalesce(pid, 0) AS pid, transactionid::text::bigint AS xid FROM pg_catalog.pg_locks WHERE granted AND (",
        );
        sql.push("locktype = 'transactionid' AND mode = 'ExclusiveLock' OR ");
        sql.push("locktype = 'relation' AND mode = 'RowExclusiveLock' AND database = ");
        sql.push(
            "(SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) AND relation IN (SELECT ",
        );
        sql.bind(table.as_str()).push("::text::regclass::oid UNION ALL SELECT relid FROM pg_partition_tree(");
        sql.bind(table.as_str()).push("::text::regclass)))) AS held ON true");
        let (mut backend, mut snapshot) = (String::new(), String::new());
        let mut holders = BTreeMap::new();
        let mut xids: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for row in storage.query(&self.db, sql).await? {
            if storage.number(&row, "filtered")? != 0 {
                return Err(error::row_security(log.as_str(), None));
            }
            backend = storage.text(&row, "backend")?;
            snapshot = storage.text(&row, "snapshot")?;
            let get = |error| storage.error(error);
            let Some(holder) = row.try_get::<Option<String>>("", "holder").map_err(get)? else { continue };
            match row.try_get::<Option<i64>>("", "xid").map_err(get)? {
                Some(xid) => xids.entry(holder).or_default().extend(u32::try_from(xid)),
                None => {
                    let name = match storage.number(&row, "pid")? {
                        0 => format!("a prepared transaction ({holder})"),
                        pid => format!("backend {pid} (virtual transaction {holder})"),
                    };
                    holders.insert(holder, Holder { name, unseen: false });
                }
            }
        }
        if let Some(snapshot) = Snapshot::parse(&snapshot) {
            for (holder, held) in &mut holders {
                // Those of its savepoints are later than its own, and never in the list of a snapshot.
                let own = xids.get(holder).and_then(|xids| snapshot.oldest(xids));
                held.unseen = own.is_some_and(|own| snapshot.is_under_way(own));
            }
        }
        Ok((backend, holders))
    }
}

/// What a statement sees. <https://www.postgresql.org/docs/15/functions-info.html#FUNCTIONS-PG-SNAPSHOT-PARTS>
struct Snapshot {
    xmax: u64,
    under_way: Vec<u64>,
}

impl Snapshot {
    /// `xmin:xmax:xip,xip`
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':').skip(1);
        let xmax = parts.next()?.parse().ok()?;
        let under_way = parts.next()?.split(',').filter(|xid| !xid.is_empty()).map(str::parse);
        Some(Self { xmax, under_way: under_way.collect::<Result<_, _>>().ok()? })
    }

    /// A lock's number is the lower half of the transaction's: of those with that half the one nearest to this snapshot.
    fn widen(&self, xid: u32) -> u64 {
        let ahead = i64::from((xid.wrapping_sub(self.xmax as u32)).cast_signed());
        self.xmax.saturating_add_signed(ahead)
    }

    fn oldest(&self, xids: &[u32]) -> Option<u64> {
        xids.iter().map(|&xid| self.widen(xid)).min()
    }

    fn is_under_way(&self, xid: u64) -> bool {
        xid >= self.xmax || self.under_way.contains(&xid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_tells_who_is_under_way() {
        let snapshot = Snapshot::parse("100:110:100,105").unwrap();
        let under_way = |xid| snapshot.is_under_way(snapshot.widen(xid));
        assert!(under_way(100) && under_way(105) && under_way(110) && under_way(4_000));
        assert!(!under_way(99) && !under_way(101) && !under_way(109));
        assert_eq!(snapshot.oldest(&[107, 105]), Some(105));
        assert!(Snapshot::parse("7:7:").unwrap().under_way.is_empty());
    }

    #[test]
    fn numbers_go_round() {
        let snapshot = Snapshot::parse("4294967290:4294967300:4294967295").unwrap();
        assert_eq!(snapshot.widen(u32::MAX), 4_294_967_295);
        assert_eq!(snapshot.widen(3), 4_294_967_299);
        assert!(snapshot.is_under_way(snapshot.widen(4)) && !snapshot.is_under_way(snapshot.widen(3)));
    }
}
