//! Cursors and leases: the rows of `event_cursors`. A lease covers all of an inbox's rows; they are written together.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use event_core::LogName;
use event_core::Start;
use event_core::cursor::{IdSet, SavedCursor};
use event_core::storage::{Claimed, LoadedCursor, Pause, StorageError, StorageErrorKind, Wish};
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult};

use super::SeaStorage;
use crate::backend::Sql;
use crate::row::integer;

/// By how much the database's clock may be set back before leases that were given earlier count as over. A smaller step only
/// lengthens them by itself.
const CLOCK_STEP: Duration = Duration::from_secs(10);

/// How many logs are asked about in one statement; SQLite takes 500 parts of a UNION.
const LOGS_AT_ONCE: usize = 100;

impl SeaStorage {
    /// Makes the cursors that are missing; writes nothing if none is.
    pub(super) async fn place_cursors(&self, wishes: &[Wish]) -> Result<(), StorageError> {
        let mut sql = self.sql()?;
        sql.push("SELECT inbox, log FROM event_cursors");
        let mut known = Vec::new();
        for row in self.query(&self.own().await?, sql).await? {
            known.push((self.text(&row, "inbox")?, self.text(&row, "log")?));
        }
        let pairs = wishes.iter().flat_map(|wish| wish.logs.iter().map(move |log| (wish, log)));
        let missing: Vec<_> =
            pairs.filter(|(wish, log)| !known.iter().any(|(i, l)| i == wish.inbox && l == log.as_str())).collect();
        let mut nows: BTreeMap<&LogName, SavedCursor> = BTreeMap::new();
        for (wish, log) in missing {
            let start = match wish.start {
                Start::Beginning => SavedCursor::default(),
                _ => match nows.entry(log) {
                    Entry::Occupied(now) => now.get().clone(),
                    Entry::Vacant(now) => now.insert(self.now_of(log).await?).clone(),
                },
            };
            self.make_cursor(wish.inbox, log, &start).await?;
        }
        Ok(())
    }

    async fn make_cursor(&self, inbox: &str, log: &LogName, start: &SavedCursor) -> Result<(), StorageError> {
        let (insert, unless_there) = self.known_dialect()?.insert_unless_there();
        let mut sql = self.sql()?;
        sql.push(insert);
        sql.push(" event_cursors (inbox, log, high, ceiling, missing, in_flight, epoch, saves, updated_at) VALUES (");
        sql.bind(inbox).push(", ").bind(log.as_str()).push(", ").bind(start.high).push(", ").bind(start.ceiling);
        sql.push(", ").bind(start.missing.to_string()).push(", '', 0, 0, ").push(&self.clock(0)?).push(")");
        sql.push(unless_there);
        self.execute(&self.own().await?, sql).await.map(drop)
    }

    /// All of an inbox's rows or none, in one transaction: the epoch is raised first, and only then the cursors are loaded.
    pub(super) async fn claim_inboxes(
        &self,
        owner: &str,
        lease: Duration,
        wishes: &[Wish],
        now: DateTime<Utc>,
    ) -> Result<Vec<Claimed>, StorageError> {
        let free = self.free_of(owner, wishes).await?;
        if free.is_empty() {
            return Ok(Vec::new());
        }
        let transaction = self.begin_own().await?;
        let claimed = self.claim_in(transaction.connection(), owner, lease, &free, now).await;
        self.end(transaction, claimed).await
    }

    /// The inboxes that no other worker held at the time of this read, which locks no row and begins no transaction.
    ///
    /// A worker that holds nothing asks once a second. If it locked rows to find out who holds them, the saves and renewals of the
    /// worker that holds them would wait for it. The read decides nothing: an inbox that it shows as free is checked again under the
    /// lock, and one that becomes free later is claimed at the next call.
    async fn free_of<'w>(&self, owner: &str, wishes: &'w [Wish]) -> Result<Vec<&'w Wish>, StorageError> {
        let mut sql = self.sql()?;
        sql.push("SELECT inbox, max(CASE WHEN ");
        self.push_held(&mut sql, owner)?;
        // All inboxes' rows: a list of names would be another statement for each number of them.
        sql.push(" THEN 1 ELSE 0 END) AS held FROM event_cursors GROUP BY inbox");
        let mut free = BTreeSet::new();
        for row in self.query(&self.own().await?, sql).await? {
            if self.number(&row, "held")? == 0 {
                free.insert(self.text(&row, "inbox")?);
            }
        }
        Ok(wishes.iter().filter(|wish| free.contains(wish.inbox)).collect())
    }

    async fn claim_in(
        &self,
        transaction: &DatabaseTransaction,
        owner: &str,
        lease: Duration,
        wishes: &[&Wish],
        now: DateTime<Utc>,
    ) -> Result<Vec<Claimed>, StorageError> {
        let mut claimed = Vec::new();
        for wish in wishes {
            if self.raise_epoch(transaction, owner, lease, wish.inbox).await? {
                let claim = self.load(transaction, wish.inbox).await?;
                for cursor in &claim.cursors {
                    if wish.logs.contains(&cursor.log) {
                        self.refuse_reset(transaction, wish.inbox, cursor).await?;
                    }
                }
                self.reopen_interrupted(transaction, wish.inbox, now).await?;
                claimed.push(claim);
            }
        }
        Ok(claimed)
    }

    /// Whether the inbox is ours now. It is held as long as any of its rows is: by a lease, or by the lock of a save under way.
    async fn raise_epoch(
        &self,
        transaction: &DatabaseTransaction,
        owner: &str,
        lease: Duration,
        inbox: &str,
    ) -> Result<bool, StorageError> {
        let mut sql = self.sql()?;
        sql.push("SELECT epoch, CASE WHEN ");
        self.push_held(&mut sql, owner)?;
        sql.push(" THEN 1 ELSE 0 END AS held FROM event_cursors WHERE inbox = ").bind(inbox).push(" ORDER BY log");
        sql.push(self.known_dialect()?.lock_rows(false));
        let free = self.query(transaction, sql).await?;
        let mut sql = self.sql()?;
        sql.push("SELECT count(*) AS n FROM event_cursors WHERE inbox = ").bind(inbox);
        let all = self.query(transaction, sql).await?;
        let all = all.first().map(|row| self.number(row, "n")).transpose()?;
        if free.is_empty() || all != i64::try_from(free.len()).ok() {
            return Ok(false);
        }
        let mut epoch = 0;
        for row in &free {
            if self.number(row, "held")? != 0 {
                return Ok(false);
            }
            epoch = epoch.max(self.number(row, "epoch")?);
        }
        let mut sql = self.sql()?;
        sql.push("UPDATE event_cursors SET epoch = ").bind(epoch + 1).push(", owner = ").bind(owner);
        sql.push(", lease_until = ").push(&self.clock(lease.as_millis())?);
        sql.push(", leased_at = ").push(&self.clock(0)?).push(" WHERE inbox = ").bind(inbox);
        Ok(self.execute(transaction, sql).await? > 0)
    }

    /// Pushes the condition that another owner holds the row: its lease is not over.
    ///
    /// A lease that was given in the future is over too: the database's clock was set back since, and the lease would last for as
    /// long as the jump. A living owner notices at its next renewal or save, as after any takeover.
    fn push_held(&self, sql: &mut Sql<'_>, owner: &str) -> Result<(), StorageError> {
        sql.push("owner <> ").bind(owner).push(" AND lease_until > ").push(&self.clock(0)?);
        sql.push(" AND (leased_at IS NULL OR leased_at <= ").push(&self.clock(CLOCK_STEP.as_millis())?).push(")");
        Ok(())
    }

    async fn load(&self, transaction: &DatabaseTransaction, inbox: &str) -> Result<Claimed, StorageError> {
        let mut sql = self.sql()?;
        sql.push(
            "SELECT log, high, ceiling, missing, in_flight, epoch, saves, paused_at, paused_until, paused_why, probes",
        );
        sql.push(" FROM event_cursors WHERE inbox = ").bind(inbox).push(" ORDER BY log");
        let mut claimed = Claimed { inbox: inbox.to_owned(), epoch: 0, cursors: Vec::new(), pause: None };
        for row in self.query(transaction, sql).await? {
            let log = LogName::from(self.text(&row, "log")?);
            claimed.epoch = self.number(&row, "epoch")?;
            let cursor = SavedCursor {
                high: self.number(&row, "high")?,
                ceiling: self.number(&row, "ceiling")?,
                missing: self.ids(&row, "missing", inbox, &log)?,
                in_flight: self.ids(&row, "in_flight", inbox, &log)?,
            };
            claimed.cursors.push(LoadedCursor { saves: self.number(&row, "saves")?, cursor, log });
            // The same on every row, but for one that was made meanwhile.
            claimed.pause = claimed.pause.or(self.pause(&row)?);
        }
        Ok(claimed)
    }

    fn pause(&self, row: &QueryResult) -> Result<Option<Pause>, StorageError> {
        let (Some(since), Some(until)) = (self.column(row, "paused_at")?, self.column(row, "paused_until")?) else {
            return Ok(None);
        };
        let why: Option<String> = self.column(row, "paused_why")?;
        let probes = u32::try_from(self.number(row, "probes")?).unwrap_or(u32::MAX);
        Ok(Some(Pause { since, until, why: why.unwrap_or_default(), probes }))
    }

    async fn refuse_reset(
        &self,
        transaction: &DatabaseTransaction,
        inbox: &str,
        cursor: &LoadedCursor,
    ) -> Result<(), StorageError> {
        let newest = self.newest_id(transaction, &cursor.log).await?;
        if cursor.cursor.high <= newest {
            return Ok(());
        }
        Err(StorageError::new(
            StorageErrorKind::Reset,
            format!(
                "inbox `{inbox}` has read the log `{log}` up to {high}, and the log only ever gave out {newest}: it was emptied, \
                 replaced or restored. Restore it, or start the inbox anew: DELETE FROM event_cursors WHERE log = '{log}' (and \
                 its rows in event_failures)",
                log = cursor.log,
                high = cursor.cursor.high,
            ),
        ))
    }

    /// Attempts that a crash cut short are due again; that they were started stays known, so that they run alone.
    async fn reopen_interrupted(
        &self,
        transaction: &DatabaseTransaction,
        inbox: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StorageError> {
        let mut sql = self.sql()?;
        sql.push("UPDATE event_failures SET next_attempt_at = ").bind(now).push(" WHERE inbox = ").bind(inbox);
        sql.push(" AND state = 'retrying' AND started_at IS NOT NULL AND next_attempt_at IS NULL");
        self.execute(transaction, sql).await?;
        Ok(())
    }

    /// Rows are locked in the order in which saves lock them, so that a renewal and a save never wait for each other.
    pub(super) async fn renew_leases(
        &self,
        owner: &str,
        lease: Duration,
        held: &[(String, i64)],
    ) -> Result<Vec<String>, StorageError> {
        if held.is_empty() {
            return Ok(Vec::new());
        }
        let transaction = self.begin_own().await?;
        let renewed = self.renew_in(transaction.connection(), owner, lease, held).await;
        self.end(transaction, renewed).await
    }

    async fn renew_in(
        &self,
        transaction: &DatabaseTransaction,
        owner: &str,
        lease: Duration,
        held: &[(String, i64)],
    ) -> Result<Vec<String>, StorageError> {
        let ours = |sql: &mut Sql<'_>| {
            sql.push(" WHERE owner = ").bind(owner).push(" AND inbox IN ");
            sql.set(held.iter().map(|(inbox, _)| inbox.as_str()));
        };
        let mut sql = self.sql()?;
        sql.push("SELECT inbox, epoch FROM event_cursors");
        ours(&mut sql);
        sql.push(" ORDER BY inbox, log").push(self.known_dialect()?.lock_rows(true));
        let mut still = Vec::new();
        for row in self.query(transaction, sql).await? {
            let renewed = (self.text(&row, "inbox")?, self.number(&row, "epoch")?);
            if held.contains(&renewed) && !still.contains(&renewed.0) {
                still.push(renewed.0);
            }
        }
        let mut sql = self.sql()?;
        sql.push("UPDATE event_cursors SET lease_until = ").push(&self.clock(lease.as_millis())?);
        sql.push(", leased_at = ").push(&self.clock(0)?);
        ours(&mut sql);
        self.execute(transaction, sql).await?;
        Ok(still)
    }

    pub(super) async fn release_lease(&self, owner: &str, inbox: &str, epoch: i64) -> Result<(), StorageError> {
        let mut sql = self.sql()?;
        sql.push("UPDATE event_cursors SET owner = NULL, lease_until = NULL, leased_at = NULL WHERE inbox = ")
            .bind(inbox);
        sql.push(" AND owner = ").bind(owner).push(" AND epoch = ").bind(epoch);
        self.execute(&self.own().await?, sql).await?;
        Ok(())
    }

    /// The highest id that the log ever gave out.
    pub(super) async fn newest_id<C: ConnectionTrait>(&self, conn: &C, log: &LogName) -> Result<i64, StorageError> {
        let statement = self.known_dialect()?.newest_id(log);
        match self.answer(conn.query_all_raw(statement)).await?.first() {
            Some(row) => self.number(row, "newest"),
            None => Ok(0),
        }
    }

    /// The highest visible id of each log, by one statement for many of them.
    pub(super) async fn newest_visible_ids(&self, logs: &[LogName]) -> Result<Vec<i64>, StorageError> {
        let db = self.own().await?;
        let dialect = self.known_dialect()?;
        let mut newest = vec![0; logs.len()];
        for (nth, logs) in logs.chunks(LOGS_AT_ONCE).enumerate() {
            let mut sql = self.sql()?;
            for (place, log) in logs.iter().enumerate() {
                sql.push(if place > 0 { " UNION ALL SELECT " } else { "SELECT " });
                sql.push(&(nth * LOGS_AT_ONCE + place).to_string())
                    .push(" AS place, max(id) AS newest FROM ")
                    .name(log.as_str())
                    .push(" WHERE ");
                // One with an id of its own, which no read returns, would stay the newest for ever.
                dialect.drawn_only(&mut sql, log.as_str());
            }
            for row in self.query(&db, sql).await? {
                let place = usize::try_from(self.number(&row, "place")?).unwrap_or(usize::MAX);
                let id: Option<i64> = self.column(&row, "newest")?;
                if let Some(newest) = newest.get_mut(place) {
                    *newest = id.unwrap_or(0);
                }
            }
        }
        Ok(newest)
    }

    /// An expression for the database's time, so many milliseconds from now.
    pub(super) fn clock(&self, milliseconds: u128) -> Result<String, StorageError> {
        Ok(self.known_dialect()?.clock(milliseconds))
    }

    pub(super) fn text(&self, row: &QueryResult, column: &str) -> Result<String, StorageError> {
        row.try_get("", column).map_err(|error| self.error(error))
    }

    pub(super) fn number(&self, row: &QueryResult, column: &str) -> Result<i64, StorageError> {
        integer(row, column).map_err(|error| self.error(error))
    }

    pub(super) fn ids(
        &self,
        row: &QueryResult,
        column: &str,
        inbox: &str,
        log: &LogName,
    ) -> Result<IdSet, StorageError> {
        self.text(row, column)?.parse().map_err(|error| {
            let what = format!("the cursor of inbox `{inbox}` in log `{log}`: column `{column}` can't be read");
            StorageError::new(StorageErrorKind::Corrupt, format!("{what}: {error}")).caused_by(error)
        })
    }
}
