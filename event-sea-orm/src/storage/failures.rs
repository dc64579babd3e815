//! Failure rows: what is due, what stands open, and the dead letters.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use event_core::cursor::IdSet;
use event_core::storage::{
    DeadLetter, DeadLetterQuery, DueFailure, Failure, FailureKey, FailureState, OpenFailure, Read, ReadEvent, ReadPage,
    StorageError, StorageErrorKind, WaitingEvents,
};
use event_core::{EventRef, LogName, SubjectRef};
use sea_orm::{QueryResult, TryGetable};

use super::SeaStorage;
use crate::backend::Sql;

const COLUMNS: &str = "inbox, log, event_id, subject_type, subject_id, action, state, attempts, next_attempt_at, kind, \
     error, started_at, first_failed_at, last_failed_at, interrupted";

impl Sql<'_> {
    /// ` WHERE` the row is the one of this delivery.
    pub(super) fn row_of(&mut self, key: &FailureKey) -> &mut Self {
        self.push(" WHERE inbox = ").bind(key.inbox.as_str()).push(" AND log = ").bind(key.event.log.as_str());
        self.push(" AND event_id = ").bind(key.event.id)
    }
}

/// About how many bytes of memory the events of due failure rows may take in one log.
const DUE_BYTES: usize = 4 << 20;

impl SeaStorage {
    pub(super) async fn due_failures(
        &self,
        inbox: &str,
        now: DateTime<Utc>,
        limit: u64,
    ) -> Result<Vec<DueFailure>, StorageError> {
        let mut sql = self.sql()?;
        sql.push("SELECT ").push(COLUMNS).push(" FROM event_failures WHERE inbox = ").bind(inbox);
        sql.push(" AND state IN ('retrying', 'snoozed', 'waiting') AND next_attempt_at <= ").bind(now);
        sql.push(" ORDER BY next_attempt_at, log, event_id LIMIT ").bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = self.query(&self.own().await?, sql).await?;
        let mut failures: Vec<_> = rows.iter().map(|row| self.failure(row)).collect::<Result<_, _>>()?;
        let mut events = self.events_of(&mut failures).await?;
        Ok(failures
            .into_iter()
            .map(|failure| DueFailure { event: events.remove(&failure.key.event), failure })
            .collect())
    }

    /// The events of these rows: one read per log, bounded by bytes. Rows whose events it did not come to are left out: they stay
    /// due.
    async fn events_of(&self, failures: &mut Vec<Failure>) -> Result<BTreeMap<EventRef, ReadEvent>, StorageError> {
        let mut logs: BTreeMap<LogName, IdSet> = BTreeMap::new();
        for failure in &*failures {
            logs.entry(failure.key.event.log.clone()).or_default().insert(failure.key.event.id);
        }
        let mut events = BTreeMap::new();
        for (log, also) in logs {
            let read = Read { log: &log, after: None, also: &also, limit: u64::MAX, max_bytes: DUE_BYTES };
            let read = match self.read_log(&read).await {
                // The log of an enum that is no longer linked may be gone, table and all; so are its events.
                Err(error) if error.kind() == StorageErrorKind::NotMigrated => ReadPage::empty(),
                read => read?,
            };
            if let Some(cut) = read.cut_after {
                failures.retain(|failure| failure.key.event.log != log || failure.key.event.id <= cut);
            }
            for event in read.events {
                let at = match &event {
                    Ok(event) => event.at.clone(),
                    Err(broken) => broken.event.at.clone(),
                };
                events.insert(at, event);
            }
        }
        Ok(events)
    }

    pub(super) async fn bound_due_times(
        &self,
        inbox: &str,
        now: DateTime<Utc>,
        latest: &(dyn Fn(u32) -> DateTime<Utc> + Sync),
    ) -> Result<(), StorageError> {
        let from_the_future = |sql: &mut Sql<'_>| {
            sql.push(" WHERE inbox = ").bind(inbox).push(" AND state = 'retrying' AND last_failed_at > ").bind(now);
        };
        let mut sql = self.sql()?;
        sql.push("SELECT DISTINCT attempts FROM event_failures");
        from_the_future(&mut sql);
        for row in self.query(&self.own().await?, sql).await? {
            let attempts = self.number(&row, "attempts")?;
            let due = latest(u32::try_from(attempts).unwrap_or(u32::MAX));
            let mut sql = self.sql()?;
            sql.push("UPDATE event_failures SET next_attempt_at = ").bind(due);
            from_the_future(&mut sql);
            sql.push(" AND attempts = ").bind(attempts).push(" AND next_attempt_at > ").bind(due);
            self.execute(&self.own().await?, sql).await?;
        }
        Ok(())
    }

    pub(super) async fn next_due_times(
        &self,
        inboxes: &[String],
    ) -> Result<Vec<(String, DateTime<Utc>)>, StorageError> {
        if inboxes.is_empty() {
            return Ok(Vec::new());
        }
        let mut sql = self.sql()?;
        sql.push("SELECT inbox, min(next_attempt_at) AS due FROM event_failures WHERE inbox IN ");
        sql.set(inboxes.iter().map(String::as_str));
        sql.push(" AND state IN ('retrying', 'snoozed', 'waiting') AND next_attempt_at IS NOT NULL GROUP BY inbox");
        let rows = self.query(&self.own().await?, sql).await?;
        rows.iter().map(|row| Ok((self.text(row, "inbox")?, self.column(row, "due")?))).collect()
    }

    pub(super) async fn open_rows(&self, inbox: &str) -> Result<Vec<OpenFailure>, StorageError> {
        let mut sql = self.sql()?;
        sql.push("SELECT log, event_id, subject_type, subject_id, state FROM event_failures WHERE inbox = ")
            .bind(inbox);
        sql.push(" AND state <> 'dead'");
        let rows = self.query(&self.own().await?, sql).await?;
        let open = |row| {
            let subject =
                SubjectRef { kind: self.text(row, "subject_type")?.into(), id: self.text(row, "subject_id")? };
            let event = EventRef::new(self.text(row, "log")?, self.number(row, "event_id")?);
            Ok(OpenFailure { event, subject, parked: self.text(row, "state")? == FailureState::Parked.as_str() })
        };
        rows.iter().map(open).collect()
    }

    pub(super) async fn waiting_rows(&self, inbox: &str) -> Result<Vec<WaitingEvents>, StorageError> {
        let mut sql = self.sql()?;
        sql.push("SELECT log, subject_type, action, count(*) AS n, min(first_failed_at) AS since FROM event_failures");
        sql.push(" WHERE inbox = ").bind(inbox).push(" AND state = 'waiting' GROUP BY log, subject_type, action");
        let rows = self.query(&self.own().await?, sql).await?;
        let waiting = |row| {
            Ok(WaitingEvents {
                log: LogName::from(self.text(row, "log")?),
                subject: self.text(row, "subject_type")?,
                action: self.text(row, "action")?,
                events: self.number(row, "n")?.unsigned_abs(),
                since: self.column(row, "since")?,
            })
        };
        rows.iter().map(waiting).collect()
    }

    pub(super) async fn wake_waiting(
        &self,
        inbox: &str,
        waiting: &WaitingEvents,
        now: DateTime<Utc>,
    ) -> Result<(), StorageError> {
        let mut sql = self.sql()?;
        sql.push("UPDATE event_failures SET next_attempt_at = ").bind(now).push(" WHERE inbox = ").bind(inbox);
        sql.push(" AND state = 'waiting' AND log = ").bind(waiting.log.as_str()).push(" AND subject_type = ");
        sql.bind(waiting.subject.as_str()).push(" AND action = ").bind(waiting.action.as_str());
        self.execute(&self.own().await?, sql).await.map(drop)
    }

    pub(super) async fn list_dead_letters(&self, query: &DeadLetterQuery) -> Result<Vec<DeadLetter>, StorageError> {
        let mut sql = self.sql()?;
        sql.push("SELECT ").push(COLUMNS).push(" FROM event_failures WHERE state = 'dead'");
        if let Some(inbox) = &query.inbox {
            sql.push(" AND inbox = ").bind(inbox.as_str());
        }
        if let Some((time, key)) = &query.after {
            sql.push(" AND (last_failed_at, inbox, log, event_id) < (").bind(*time).push(", ").bind(key.inbox.as_str());
            sql.push(", ").bind(key.event.log.as_str()).push(", ").bind(key.event.id).push(")");
        }
        sql.push(" ORDER BY last_failed_at DESC, inbox DESC, log DESC, event_id DESC LIMIT ");
        sql.bind(i64::try_from(query.limit).unwrap_or(i64::MAX));
        let rows = self.query(&self.own().await?, sql).await?;
        rows.iter().map(|row| Ok(DeadLetter { failure: self.failure(row)? })).collect()
    }

    pub(super) async fn revive(
        &self,
        key: &FailureKey,
        attempts: u32,
        now: DateTime<Utc>,
    ) -> Result<bool, StorageError> {
        let mut sql = self.sql()?;
        sql.push("UPDATE event_failures SET state = 'retrying', attempts = 0, interrupted = 0, next_attempt_at = ")
            .bind(now);
        sql.row_of(key).push(" AND state = 'dead' AND attempts = ").bind(i64::from(attempts));
        Ok(self.execute(&self.own().await?, sql).await? == 1)
    }

    pub(super) async fn remove_dead(&self, key: &FailureKey, attempts: u32) -> Result<bool, StorageError> {
        let mut sql = self.sql()?;
        sql.push("DELETE FROM event_failures").row_of(key).push(" AND state = 'dead' AND attempts = ");
        sql.bind(i64::from(attempts));
        Ok(self.execute(&self.own().await?, sql).await? == 1)
    }

    fn failure(&self, row: &QueryResult) -> Result<Failure, StorageError> {
        let state = self.text(row, "state")?;
        let state = FailureState::from_word(&state).ok_or_else(|| {
            let message = format!("a row of event_failures has the state `{state}`, which this version does not know");
            StorageError::new(StorageErrorKind::Corrupt, message)
        })?;
        Ok(Failure {
            key: FailureKey {
                inbox: self.text(row, "inbox")?,
                event: EventRef::new(self.text(row, "log")?, self.number(row, "event_id")?),
            },
            subject: SubjectRef { kind: self.text(row, "subject_type")?.into(), id: self.text(row, "subject_id")? },
            action: self.text(row, "action")?,
            state,
            attempts: u32::try_from(self.number(row, "attempts")?).unwrap_or(u32::MAX),
            interrupted: u32::try_from(self.number(row, "interrupted")?).unwrap_or(u32::MAX),
            next_attempt_at: self.column(row, "next_attempt_at")?,
            kind: self.text(row, "kind")?,
            error: self.text(row, "error")?,
            started_at: self.column(row, "started_at")?,
            first_failed_at: self.column(row, "first_failed_at")?,
            last_failed_at: self.column(row, "last_failed_at")?,
        })
    }

    pub(super) fn column<T: TryGetable>(&self, row: &QueryResult, column: &str) -> Result<T, StorageError> {
        row.try_get("", column).map_err(|error| self.error(error))
    }
}
