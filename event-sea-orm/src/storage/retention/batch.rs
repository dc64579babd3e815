//! One batch: which events it is about, and their end.
//!
//! Nothing is held between the two, so an archive may take its time. What was found stays so: events don't change, and an id that an
//! inbox has done it has done for good. A failure row that comes all the same (an operator started an inbox anew) is asked for once
//! more by the statement that deletes.

use chrono::{DateTime, Utc};
use event_core::LogName;
use event_core::storage::StorageError;
use sea_orm::DatabaseTransaction;

use super::archive::{Archive, archive_of};
use super::{LogRetention, Retention, RetentionError};
use crate::backend::Sql;
use crate::storage::SeaStorage;

/// What a batch found.
#[derive(Default)]
pub(super) struct Found {
    /// The highest id that was looked at; `None` where there is nothing old any more.
    pub(super) last: Option<i64>,
    /// What is to go.
    pub(super) ids: Vec<i64>,
    /// How many stay because of a failure row.
    pub(super) failing: u64,
}

impl SeaStorage {
    /// The next ids above `after`, up to `bound`, but for the log's newest: from that one databases tell what they gave out.
    pub(super) async fn find_old(
        &self,
        retention: &Retention,
        log: &LogName,
        after: i64,
        bound: i64,
        before: DateTime<Utc>,
    ) -> Result<Found, StorageError> {
        let mut sql = self.sql()?;
        sql.push("SELECT id, CASE WHEN ")
            .push(retention.time())
            .push(" <= ")
            .bind(before)
            .push(" THEN 1 ELSE 0 END AS old, CASE WHEN ");
        push_wanted(&mut sql, retention, log);
        sql.push(" THEN 1 ELSE 0 END AS wanted, CASE WHEN ");
        push_failing(&mut sql, log);
        sql.push(" THEN 1 ELSE 0 END AS failing FROM ").name(log.as_str());
        sql.push(" WHERE id > ").bind(after).push(" AND id <= ").bind(bound);
        sql.push(" AND id < (SELECT max(id) FROM ").name(log.as_str()).push(") ORDER BY id LIMIT ");
        sql.bind(i64::from(retention.batch));
        let mut found = Found::default();
        for row in self.query(&self.own().await?, sql).await? {
            let is_old = self.number(&row, "old")? != 0;
            let id = self.number(&row, "id")?;
            // Ids are drawn in the order of time, or nearly: after a whole batch of younger ones nothing old is to come. They say nothing of
            // when events happened.
            if is_old || found.last.is_some() || retention.by_occurred_at {
                found.last = Some(id);
            }
            if !is_old || self.number(&row, "wanted")? == 0 {
                continue;
            }
            if self.number(&row, "failing")? != 0 {
                found.failing += 1;
            } else {
                found.ids.push(id);
            }
        }
        Ok(found)
    }

    async fn delete(
        &self,
        transaction: &DatabaseTransaction,
        retention: &Retention,
        log: &LogName,
        ids: &[i64],
    ) -> Result<u64, StorageError> {
        let Some(upto) = ids.last() else { return Ok(0) };
        let mut sql = self.sql()?;
        sql.push("INSERT INTO event_retention (log, upto) VALUES (")
            .bind(log.as_str())
            .push(", ")
            .bind(*upto)
            .push(")");
        self.execute(transaction, sql).await?;
        let these = |sql: &mut Sql<'_>| {
            sql.push(" FROM ").name(log.as_str()).push(" WHERE id IN ").set(ids.iter().copied()).push(" AND NOT ");
            push_failing(sql, log);
        };
        if matches!(retention.archive, Archive::Table) {
            let mut sql = self.sql()?;
            sql.push("INSERT INTO ").name(&archive_of(log)).push(" SELECT *");
            these(&mut sql);
            self.execute(transaction, sql).await?;
        }
        let mut sql = self.sql()?;
        sql.push("DELETE");
        these(&mut sql);
        let deleted = self.execute(transaction, sql).await?;
        let mut sql = self.sql()?;
        sql.push("DELETE FROM event_retention WHERE log = ").bind(log.as_str());
        self.execute(transaction, sql).await?;
        Ok(deleted)
    }
}

impl Retention {
    /// The column by which events are old.
    pub(super) fn time(&self) -> &'static str {
        if self.by_occurred_at { "occurred_at" } else { "created_at" }
    }

    /// The end of these events, once the archive has them.
    pub(super) async fn remove(
        &self,
        storage: &SeaStorage,
        log: &LogName,
        mut ids: Vec<i64>,
        of_log: &mut LogRetention,
    ) -> Result<(), RetentionError> {
        while !ids.is_empty() {
            let (found, mut left) = (ids.len(), Vec::new());
            if let Archive::Elsewhere(archive) = &self.archive {
                (ids, left) = archive.take(storage, log, ids).await?;
                of_log.unreadable += u64::try_from(found - ids.len() - left.len()).unwrap_or(u64::MAX);
            }
            if !ids.is_empty() {
                let transaction = storage.begin_own().await?;
                let deleted = storage.delete(transaction.connection(), self, log, &ids).await;
                of_log.deleted += storage.end(transaction, deleted).await?;
            }
            ids = left;
        }
        Ok(())
    }
}

/// Whether the event is of those that were asked for.
fn push_wanted(sql: &mut Sql<'_>, retention: &Retention, log: &LogName) {
    let of_log: Vec<_> = retention.only.iter().filter(|only| only.log == *log).collect();
    if of_log.is_empty() {
        sql.push("1 = 1");
    }
    for (index, only) in of_log.into_iter().enumerate() {
        sql.push(if index > 0 { " OR (" } else { "(" });
        if let Some(subject) = only.subject {
            sql.push("subject_type = ").bind(subject).push(" AND ");
        }
        if only.actions.is_empty() {
            sql.push("1 = 0)");
        } else {
            sql.push("action IN ").list(only.actions.iter().copied()).push(")");
        }
    }
}

/// Whether a retry or a dead letter names the event.
fn push_failing(sql: &mut Sql<'_>, log: &LogName) {
    sql.push("EXISTS (SELECT 1 FROM event_failures WHERE event_failures.log = ").bind(log.as_str());
    sql.push(" AND event_failures.event_id = ").name(log.as_str()).push(".id)");
}
