//! The sweep: what nobody attached, and what belonged to events that are gone.
//!
//! A row is claimed first, by an UPDATE that is committed: from then on nobody can attach it. Then its object is deleted, then the
//! row. What is cut short in between is a claimed row, with which the next sweep goes on.

use std::time::Duration;

use event_core::{AttachmentId, LogName};
use futures_util::{StreamExt as _, stream};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult};

use super::{AttachmentError, Attachments};
use crate::backend::{Dialect, Sql, Trouble, dialect};
use crate::storage::archive_of;
use crate::transact;

/// So many rows are claimed, and so many removed, in one transaction.
const BATCH: i64 = 100;

/// So many objects are deleted at once.
const AT_ONCE: usize = 8;

/// So many failures are told in their own words.
const TOLD: usize = 100;

/// A hundred years: what every database can subtract from its time.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// What a sweep did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Swept {
    /// How many attachments it removed.
    pub removed: u64,
    /// How many bytes they had; of an upload that was cut short nobody knows.
    pub bytes: u64,
    /// How many it could not remove. The next sweep tries them again.
    pub failed: u64,
    /// Why: the first hundred failures.
    pub failures: Vec<AttachmentError>,
}

impl Swept {
    fn fail(&mut self, failure: AttachmentError) {
        self.failed += 1;
        if self.failures.len() < TOLD {
            self.failures.push(failure);
        }
    }
}

impl Attachments {
    /// Removes what nobody attached within this time, by the database's clock, and what belonged to events that are gone from their
    /// logs and the archives beside them. One that a transaction is just attaching is left alone, however old it is.
    ///
    /// The time has to be longer than the longest upload and the transaction after it: an upload that is swept away in the middle
    /// is [`AttachmentError::SweptAway`]. Call it once in a while, from as many programs as like; what one did not end the next
    /// one does.
    ///
    /// # Errors
    /// What the database says. What the store says of a single object stands in the report, and the others are removed.
    pub async fn sweep(&self, older_than: Duration) -> Result<Swept, AttachmentError> {
        let sweep = Sweep { attachments: self, dialect: dialect(self.db.get_database_backend())? };
        let mut swept = Swept::default();
        while sweep.claim_unattached(older_than.min(LONGEST)).await? {}
        for log in sweep.logs().await? {
            if let Err(source) = sweep.claim_orphans(&log).await {
                swept.fail(AttachmentError::Log { log, source: source.into() });
            }
        }
        sweep.remove_claimed(&mut swept).await?;
        Ok(swept)
    }
}

struct Sweep<'a> {
    attachments: &'a Attachments,
    dialect: &'static dyn Dialect,
}

/// A row that is claimed.
struct Claimed {
    id: AttachmentId,
    size: Option<i64>,
}

impl Sweep<'_> {
    /// Claims some of what nobody attached; false if there is none.
    ///
    /// What another transaction has locked is left out: it is being attached, or claimed by another sweep.
    async fn claim_unattached(&self, older_than: Duration) -> Result<bool, AttachmentError> {
        let db = &self.attachments.db;
        let transaction = transact::begin(db, transact::options_for_handlers(db)).await;
        let transaction = transaction.map_err(|error| self.failed(error))?;
        match self.claim_some(&transaction, older_than).await {
            Ok(claimed) => {
                transact::commit(transaction).await.map_err(|error| self.failed(error))?;
                Ok(claimed)
            }
            Err(error) => {
                // The first error says more.
                let _ = transact::roll_back(transaction).await;
                Err(self.failed(error))
            }
        }
    }

    async fn claim_some(&self, transaction: &DatabaseTransaction, older_than: Duration) -> Result<bool, DbErr> {
        let mut sql = self.sql();
        sql.push("SELECT id FROM event_attachments WHERE event_id IS NULL AND state <> 'removing' AND created_at <= ");
        sql.push(&self.dialect.ago(older_than.as_millis())).push(" ORDER BY created_at, id LIMIT ").bind(BATCH);
        sql.push(self.dialect.lock_rows(false));
        let rows = transaction.query_all_raw(sql.statement(transaction.get_database_backend())).await?;
        let ids = ids(&rows)?;
        if ids.is_empty() {
            return Ok(false);
        }
        let mut sql = self.sql();
        sql.push("UPDATE event_attachments SET state = 'removing' WHERE event_id IS NULL AND id IN ").set(ids);
        transaction.execute_raw(sql.statement(transaction.get_database_backend())).await?;
        Ok(true)
    }

    /// The logs whose events have attachments.
    async fn logs(&self) -> Result<Vec<String>, AttachmentError> {
        let mut sql = self.sql();
        sql.push("SELECT DISTINCT log FROM event_attachments WHERE event_id IS NOT NULL");
        let rows = self.query(sql).await.map_err(|error| self.failed(error))?;
        let logs: Result<Vec<_>, _> = rows.iter().map(|row| row.try_get("", "log")).collect();
        logs.map_err(|error| self.failed(error))
    }

    /// Claims all whose events are gone from this log, and from the archive beside it. An id is never given out again, so that what is
    /// gone stays gone; and an event is seen with what it has, in one place or the other: one statement is one snapshot.
    ///
    /// An archive stands before events go there. So where there is none after the orphans were found, none of them is in one.
    ///
    /// An event that a policy hides from this role would be taken for one that is gone: there the statement fails.
    async fn claim_orphans(&self, log: &str) -> Result<(), DbErr> {
        let archive = archive_of(&LogName::from(log.to_owned()));
        let mut places = vec![log];
        let mut from = 0_i64;
        loop {
            let found = self.orphans(log, &places, from).await?;
            let Some(last) = found.last() else { return Ok(()) };
            if places.len() == 1 && self.is_there(&archive).await? {
                places.push(&archive);
                continue;
            }
            from = last.1;
            let mut sql = self.sql();
            sql.push("UPDATE event_attachments SET state = 'removing' WHERE state = 'stored' AND log = ").bind(log);
            sql.push(" AND id IN ").set(found.into_iter().map(|(id, _)| id));
            let db = &self.attachments.db;
            db.execute_raw(sql.statement(db.get_database_backend())).await?;
        }
    }

    /// Attachments, with their events' ids, whose events are in none of these places.
    async fn orphans(&self, log: &str, places: &[&str], from: i64) -> Result<Vec<(String, i64)>, DbErr> {
        let mut sql = self.sql();
        sql.push("SELECT file.id, file.event_id FROM event_attachments AS file WHERE file.log = ").bind(log);
        sql.push(" AND file.event_id >= ").bind(from).push(" AND file.state = 'stored'");
        for place in places {
            sql.push(" AND NOT EXISTS (SELECT 1 FROM ").name(place).push(" AS log WHERE log.id = file.event_id)");
        }
        sql.push(" ORDER BY file.event_id LIMIT ").bind(BATCH);
        let rows = match self.dialect.see_all_rows() {
            None => self.query(sql).await?,
            Some(see_all_rows) => {
                let db = &self.attachments.db;
                let transaction = transact::begin(db, transact::options()).await?;
                transaction.execute_unprepared(see_all_rows).await?;
                let rows = transaction.query_all_raw(sql.statement(db.get_database_backend())).await?;
                transact::commit(transaction).await?;
                rows
            }
        };
        rows.iter().map(|row| Ok((row.try_get("", "id")?, row.try_get("", "event_id")?))).collect()
    }

    /// Whether there is a table of that name. Asked of itself: catalogues leave out what an account may not read.
    async fn is_there(&self, table: &str) -> Result<bool, DbErr> {
        let mut sql = self.sql();
        sql.push("SELECT id FROM ").name(table).push(" WHERE 1 = 0");
        match self.query(sql).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(self.dialect.trouble(&error), Some(Trouble::NoTable(_))) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes all that is claimed, by this sweep or an earlier one: the object, then the row.
    async fn remove_claimed(&self, swept: &mut Swept) -> Result<(), AttachmentError> {
        let mut after = String::new();
        loop {
            let claimed = self.claimed(&after).await.map_err(|error| self.failed(error))?;
            let Some(last) = claimed.last() else { return Ok(()) };
            after = last.id.to_string();
            let deleted = stream::iter(claimed).map(|claimed| async move {
                let deleted = self.attachments.objects.delete(&claimed.id).await;
                deleted.map(|()| claimed)
            });
            let deleted: Vec<_> = deleted.buffer_unordered(AT_ONCE).collect().await;
            let mut gone = Vec::new();
            for deleted in deleted {
                match deleted {
                    Ok(claimed) => gone.push(claimed),
                    Err(failure) => swept.fail(failure),
                }
            }
            self.delete_rows(&gone, swept).await.map_err(|error| self.failed(error))?;
        }
    }

    /// Before this place stand those that could not be removed, which are few. Found by their state: by the id MariaDB would walk
    /// all attachments there are.
    async fn claimed(&self, after: &str) -> Result<Vec<Claimed>, DbErr> {
        let mut sql = self.sql();
        sql.push("SELECT id, size FROM event_attachments WHERE state = 'removing' AND ");
        sql.push(&self.dialect.without_index("id")).push(" > ").bind(after);
        sql.push(" ORDER BY id LIMIT ").bind(BATCH);
        let rows = self.query(sql).await?;
        let claimed = |row: &QueryResult| {
            let id: String = row.try_get("", "id")?;
            Ok(Claimed { id: id.into(), size: row.try_get("", "size")? })
        };
        rows.iter().map(claimed).collect()
    }

    /// Each by itself, so that of two sweeps at once each tells what it removed itself.
    async fn delete_rows(&self, gone: &[Claimed], swept: &mut Swept) -> Result<(), DbErr> {
        let transaction = transact::begin(&self.attachments.db, transact::options()).await?;
        let (mut removed, mut bytes) = (0, 0);
        for claimed in gone {
            let mut sql = self.sql();
            sql.push("DELETE FROM event_attachments WHERE state = 'removing' AND id = ").bind(claimed.id.as_str());
            let done = transaction.execute_raw(sql.statement(transaction.get_database_backend())).await?;
            removed += done.rows_affected();
            bytes += done.rows_affected() * claimed.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        }
        transact::commit(transaction).await?;
        swept.removed += removed;
        swept.bytes += bytes;
        Ok(())
    }

    fn sql(&self) -> Sql<'static> {
        Sql::new(self.dialect)
    }

    async fn query(&self, sql: Sql<'_>) -> Result<Vec<QueryResult>, DbErr> {
        let db = &self.attachments.db;
        db.query_all_raw(sql.statement(db.get_database_backend())).await
    }

    fn failed(&self, error: DbErr) -> AttachmentError {
        AttachmentError::of(self.dialect, error)
    }
}

fn ids(rows: &[QueryResult]) -> Result<Vec<String>, DbErr> {
    rows.iter().map(|row| row.try_get("", "id")).collect()
}
