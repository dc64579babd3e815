//! Saving: cursors and failure rows in one transaction, each cursor fenced by epoch and save counter.

use event_core::storage::{CursorSave, Failure, FailureChange, Pause, PauseChange, Save, StorageError};
use sea_orm::ConnectionTrait;

use super::SeaStorage;

impl SeaStorage {
    pub(super) async fn save_alone(&self, save: &Save) -> Result<(), StorageError> {
        // The usual save is one statement, and a transaction by itself.
        if let ([cursor], [], PauseChange::Unchanged) = (&save.cursors[..], &save.failures[..], &save.pause) {
            return self.save_cursor(&self.own().await?, save, cursor).await;
        }
        let transaction = self.begin_own().await?;
        let saved = self.save_on(transaction.connection(), save).await;
        self.end(transaction, saved).await
    }

    pub(super) async fn save_on<C: ConnectionTrait>(&self, conn: &C, save: &Save) -> Result<(), StorageError> {
        // First, since it locks all of the inbox's rows.
        match &save.pause {
            PauseChange::Unchanged => {}
            PauseChange::Paused(pause) => self.save_pause(conn, save, Some(pause)).await?,
            PauseChange::Ended => self.save_pause(conn, save, None).await?,
        }
        for cursor in &save.cursors {
            self.save_cursor(conn, save, cursor).await?;
        }
        for change in &save.failures {
            self.change_failure(conn, save, change).await?;
        }
        Ok(())
    }

    /// On all of the inbox's rows; what fences it are the cursors behind.
    async fn save_pause<C: ConnectionTrait>(
        &self,
        conn: &C,
        save: &Save,
        pause: Option<&Pause>,
    ) -> Result<(), StorageError> {
        let lock = self.known_dialect()?.lock_rows(true);
        if !lock.is_empty() {
            // In the order in which claims, renewals and saves do.
            let mut sql = self.sql()?;
            sql.push("SELECT log FROM event_cursors WHERE inbox = ").bind(save.inbox).push(" ORDER BY log").push(lock);
            self.query(conn, sql).await?;
        }
        let mut sql = self.sql()?;
        sql.push("UPDATE event_cursors SET paused_at = ").bind(pause.map(|pause| pause.since));
        sql.push(", paused_until = ").bind(pause.map(|pause| pause.until));
        sql.push(", paused_why = ").bind(pause.map(|pause| pause.why.as_str()));
        sql.push(", probes = ").bind(pause.map_or(0, |pause| i64::from(pause.probes)));
        sql.push(" WHERE inbox = ").bind(save.inbox).push(" AND epoch = ").bind(save.epoch);
        self.execute(conn, sql).await.map(drop)
    }

    /// The epoch alone would not do: after a commit whose acknowledgement was lost, the same save repeated from memory would
    /// be applied twice. With the counter the second one is refused.
    async fn save_cursor<C: ConnectionTrait>(
        &self,
        conn: &C,
        save: &Save,
        cursor: &CursorSave,
    ) -> Result<(), StorageError> {
        let mut sql = self.sql()?;
        sql.push("UPDATE event_cursors SET high = ").bind(cursor.high).push(", ceiling = ").bind(cursor.ceiling);
        if let Some(missing) = &cursor.missing {
            sql.push(", missing = ").bind(missing.to_string());
        }
        if let Some(in_flight) = &cursor.in_flight {
            sql.push(", in_flight = ").bind(in_flight.to_string());
        }
        sql.push(", saves = saves + 1, updated_at = ").push(&self.clock(0)?);
        sql.push(" WHERE inbox = ").bind(save.inbox).push(" AND log = ").bind(cursor.log.as_str());
        sql.push(" AND epoch = ").bind(save.epoch).push(" AND saves = ").bind(cursor.saves);
        self.one_row(conn, save, sql).await
    }

    async fn change_failure<C: ConnectionTrait>(
        &self,
        conn: &C,
        save: &Save,
        change: &FailureChange,
    ) -> Result<(), StorageError> {
        let mut sql = self.sql()?;
        match change {
            FailureChange::Insert(failure) => {
                // A dead letter of it is replaced: the cursor was set back by hand, and the event failed again.
                let mut dead = self.sql()?;
                dead.push("DELETE FROM event_failures").row_of(&failure.key).push(" AND state = 'dead'");
                self.execute(conn, dead).await?;
                sql.push(
                    "INSERT INTO event_failures (inbox, log, event_id, subject_type, subject_id, action, state, attempts, \
                     next_attempt_at, kind, error, started_at, first_failed_at, last_failed_at, interrupted) VALUES ",
                );
                sql.list(failure_values(failure));
            }
            FailureChange::Update { failure, attempts } => {
                sql.push("UPDATE event_failures SET state = ").bind(failure.state.as_str());
                sql.push(", attempts = ").bind(i64::from(failure.attempts));
                sql.push(", interrupted = ").bind(i64::from(failure.interrupted));
                sql.push(", next_attempt_at = ").bind(failure.next_attempt_at);
                sql.push(", kind = ").bind(failure.kind.as_str()).push(", error = ").bind(failure.error.as_str());
                sql.push(", started_at = ")
                    .bind(failure.started_at)
                    .push(", last_failed_at = ")
                    .bind(failure.last_failed_at);
                sql.row_of(&failure.key).push(" AND attempts = ").bind(i64::from(*attempts));
            }
            FailureChange::Remove { key, attempts } => {
                sql.push("DELETE FROM event_failures").row_of(key).push(" AND attempts = ").bind(i64::from(*attempts));
            }
            FailureChange::Unpark { key, due } => {
                sql.push("UPDATE event_failures SET state = 'retrying', next_attempt_at = ").bind(*due);
                sql.row_of(key).push(" AND state = 'parked'");
            }
            // The enum may grow in event-core; the two crates are released together.
            other => {
                let message = format!("this version of event-sea-orm does not know the change {other:?}");
                return Err(StorageError::new(event_core::storage::StorageErrorKind::Unsupported, message));
            }
        }
        self.one_row(conn, save, sql).await
    }

    async fn one_row<C: ConnectionTrait>(
        &self,
        conn: &C,
        save: &Save,
        sql: crate::backend::Sql<'_>,
    ) -> Result<(), StorageError> {
        match self.execute(conn, sql).await? {
            1 => Ok(()),
            _ => Err(StorageError::fenced(save.inbox)),
        }
    }
}

fn failure_values(failure: &Failure) -> [sea_orm::Value; 15] {
    [
        failure.key.inbox.as_str().into(),
        failure.key.event.log.as_str().into(),
        failure.key.event.id.into(),
        failure.subject.kind.as_ref().into(),
        failure.subject.id.as_str().into(),
        failure.action.as_str().into(),
        failure.state.as_str().into(),
        i64::from(failure.attempts).into(),
        failure.next_attempt_at.into(),
        failure.kind.as_str().into(),
        failure.error.as_str().into(),
        failure.started_at.into(),
        failure.first_failed_at.into(),
        failure.last_failed_at.into(),
        i64::from(failure.interrupted).into(),
    ]
}
