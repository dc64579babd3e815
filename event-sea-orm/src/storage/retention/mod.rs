//! Retention: old events leave their logs, in short batches, when no inbox has use for them any more.
//!
//! Alone writes `event_retention`: the permission to delete, which a log's trigger asks for. Its row is made and removed in the
//! transaction that deletes, so that nobody else ever sees it.

mod archive;
mod batch;
mod batches;
mod hold;
mod report;
mod throttles;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use event_core::storage::StorageError;
use event_core::{Action, DomainEvent, LogName, SHARED_LOG, StoredEvent, registry};

use self::archive::Archive;
#[cfg(feature = "attachments")]
pub(crate) use self::archive::archive_of;
use super::SeaStorage;
use crate::own_table;
pub use report::{Held, LogRetention, RetentionReport};

/// How many ids a batch looks at, unless told otherwise.
const BATCH: u32 = 500;

/// The most: an id is a value of a statement, and databases take some ten thousand.
const BATCH_MAX: u32 = 10_000;

/// Old events were not removed, or not all of them. What was removed stays so; run it again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetentionError {
    /// What the database says.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The archive did not take them: none of the batch is deleted.
    #[error("events of `{log}` are kept, for the archive did not take them: {source}")]
    Archive {
        /// The log.
        log: LogName,
        /// What the archive says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Removes old events from their logs, beside whatever else goes on there.
///
/// An event is removed when it is older than asked for (by the database's clock, when it was recorded), every inbox has done it,
/// and no failure row (a retry, a dead letter) names it. An inbox that lags, is paused, or has a cursor and is not linked any more
/// holds a log back from its lowest open id on, and the report says so. The newest event of a log always stays.
///
/// ```
/// use std::time::Duration;
/// use event_sea_orm::prelude::*;
///
/// # async fn example(db: sea_orm::DatabaseConnection) -> Result<(), event_sea_orm::RetentionError> {
/// let report = Retention::older_than(Duration::from_secs(90 * 86_400)).run(&db).await?;
/// for (log, removed) in &report.logs {
///     println!("{log}: {} removed", removed.deleted);
///     for held in &removed.held {
///         println!("{log} is held back at {} by {}", held.up_to, held.inbox);
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is removed until `.run(&db)` is awaited"]
pub struct Retention {
    older_than: Duration,
    logs: BTreeSet<LogName>,
    only: Vec<Only>,
    batch: u32,
    archive: Archive,
    by_occurred_at: bool,
    batches: bool,
}

/// Actions of an enum: what is removed of its log, where others stay.
#[derive(Clone, Debug)]
struct Only {
    log: LogName,
    /// Where its log has others' events too.
    subject: Option<&'static str>,
    actions: Vec<&'static str>,
}

impl Retention {
    /// Of all linked enums' logs, what was recorded longer ago than that.
    pub fn older_than(age: Duration) -> Self {
        Self {
            older_than: age,
            logs: BTreeSet::new(),
            only: Vec::new(),
            batch: BATCH,
            archive: Archive::Nowhere,
            by_occurred_at: false,
            batches: false,
        }
    }

    /// Of this log; call it once per log. Without it, of the logs of all linked enums.
    pub fn log(mut self, log: impl Into<LogName>) -> Self {
        self.logs.insert(log.into());
        self
    }

    /// These actions of `E` and nothing else: `.only::<IssueEvent>([IssueEventAction::Viewed])`; call it once per enum.
    pub fn only<E: DomainEvent>(mut self, actions: impl IntoIterator<Item = E::Action>) -> Self {
        let event = E::descriptor();
        let log = LogName::from_static(event.log());
        let subject = own_table::of(event.log()).is_none().then(|| event.subject());
        // Under whatever name they are stored.
        let actions = actions.into_iter().flat_map(|action| action.descriptor().names()).collect();
        self.logs.insert(log.clone());
        self.only.push(Only { log, subject, actions });
        self
    }

    /// Goes by when events happened (`occurred_at`) and not by when they were recorded: imported history does not stay for another whole
    /// period. An event of long ago goes as soon as every inbox has done it, even if it was recorded a moment ago.
    ///
    /// `occurred_at` is the recorder's word, and follows no order of ids: each run reads the ids and times of the whole log, where it
    /// otherwise stops at the first batch that is too young.
    pub fn by_occurred_at(mut self) -> Self {
        self.by_occurred_at = true;
        self
    }

    /// Removes recorded batches too ([`Batch`](crate::Batch), the rows of `event_batches`) that began longer ago than asked for, have no
    /// event left in any log or archive table of the database, and no batch nested in them.
    ///
    /// The account needs DELETE on `event_batches`, and SELECT on it and on all logs and their archives.
    pub fn batches(mut self) -> Self {
        self.batches = true;
        self
    }

    /// How many ids one batch looks at: 1 to 10,000, by default 500. While a batch is deleted, whoever records waits for it on SQLite, and
    /// holes of the log stay open elsewhere.
    pub fn batch(mut self, ids: u32) -> Self {
        self.batch = ids.clamp(1, BATCH_MAX);
        self
    }

    /// Gives each batch's events away before it is deleted: to a file, an object store, another database. An error keeps the batch.
    ///
    /// At least once: after a crash between the two the same events are given again, under the same log and id.
    ///
    /// ```
    /// # use event_sea_orm::prelude::*;
    /// # async fn example(db: sea_orm::DatabaseConnection, file: &'static std::path::Path) -> Result<(), event_sea_orm::RetentionError> {
    /// Retention::older_than(std::time::Duration::from_secs(365 * 86_400))
    ///     .archive(move |events| async move {
    ///         let lines: Vec<_> = events.iter().map(|event| format!("{} {} {}", event.at, event.action, event.subject)).collect();
    ///         tokio::fs::write(file, lines.join("\n")).await
    ///     })
    ///     .run(&db)
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn archive<F, W, E>(mut self, archive: F) -> Self
    where
        F: Fn(Vec<Arc<StoredEvent>>) -> W + Send + Sync + 'static,
        W: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.archive = Archive::elsewhere(archive);
        self
    }

    /// Moves the events into the table `<log>_archive` beside the log, in the transaction that deletes them: exactly once. The table
    /// has the log's columns and none of its triggers, and is made where it is missing.
    pub fn archive_in_table(mut self) -> Self {
        self.archive = Archive::Table;
        self
    }

    /// Removes them, batch by batch, and pauses after each for as long as it took. Throttles that ended longer ago are removed too.
    ///
    /// May be called by several programs at once, be dropped at any moment, and be called again.
    ///
    /// # Errors
    /// What the database or the archive says. Batches that were finished before stay removed.
    pub async fn run(&self, db: impl Into<SeaStorage>) -> Result<RetentionReport, RetentionError> {
        let storage = db.into();
        let before = storage.before(self.older_than).await?;
        let mut report = RetentionReport::default();
        for log in self.all_logs() {
            let of_log = self.run_log(&storage, &log, before).await?;
            report.logs.insert(log, of_log);
        }
        report.throttles = storage.remove_throttles(before).await?;
        if self.batches {
            report.batches = storage.remove_batches(before).await?;
        }
        Ok(report)
    }

    fn all_logs(&self) -> BTreeSet<LogName> {
        if !self.logs.is_empty() {
            return self.logs.clone();
        }
        let linked: BTreeSet<_> = registry::events().iter().map(|event| LogName::from_static(event.log())).collect();
        if linked.is_empty() { BTreeSet::from([LogName::from_static(SHARED_LOG)]) } else { linked }
    }

    async fn run_log(
        &self,
        storage: &SeaStorage,
        log: &LogName,
        before: DateTime<Utc>,
    ) -> Result<LogRetention, RetentionError> {
        if matches!(self.archive, Archive::Table) {
            storage.make_archive(log).await?;
        }
        let mut of_log = LogRetention::default();
        let mut after = 0;
        loop {
            let begun = tokio::time::Instant::now();
            // Asked for each batch: inboxes go on meanwhile, and those whose place is known are the only ones that matter.
            let holds = storage.holds(log).await?;
            let found = storage.find_old(self, log, after, hold::bound(&holds), before).await?;
            let Some(last) = found.last else {
                of_log.held = storage.held_back(self, log, holds, before).await?;
                return Ok(of_log);
            };
            after = last;
            of_log.failing += found.failing;
            self.remove(storage, log, found.ids, &mut of_log).await?;
            tokio::time::sleep(begun.elapsed()).await;
        }
    }
}

impl SeaStorage {
    /// The time so long ago, by the database's clock.
    async fn before(&self, age: Duration) -> Result<DateTime<Utc>, StorageError> {
        let mut sql = self.sql()?;
        sql.push("SELECT ").push(&self.clock(0)?).push(" AS now");
        let rows = self.query(&self.own().await?, sql).await?;
        let now: DateTime<Utc> = match rows.first() {
            Some(row) => self.column(row, "now")?,
            None => Utc::now(),
        };
        let first = DateTime::from_timestamp(0, 0).unwrap_or_default();
        Ok(TimeDelta::from_std(age).ok().and_then(|age| now.checked_sub_signed(age)).unwrap_or(first).max(first))
    }
}
