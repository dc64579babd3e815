//! The workers' storage: the real one, whose acknowledgements get lost, or which is wrong on purpose.
//!
//! A dispatcher reloads after every error. This storage now and then makes one that does not: after a lost acknowledgement
//! the next claim gives what the worker had in memory, save counters included, as if the work were repeated from there. The
//! fence by the save counter has to refuse it. The variant `epoch-only` does the same, with the counters as they are now.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use event_core::cursor::{IdSet, SavedCursor};
use event_core::storage::{
    Claimed, DeadLetter, DeadLetterQuery, DueFailure, Ears, FailureKey, LoadedCursor, Look, OpenFailure, Read,
    ReadPage, Save, Storage, StorageError, StorageErrorKind, WaitingEvents, Wish,
};
use event_core::{LogName, States};
use event_sea_orm::{InboxTransaction, SeaStorage};
use tokio::task::Id;

use super::faults::Faults;
use crate::options::Wrong;
use crate::sql;

pub(super) struct Tortured {
    inner: SeaStorage,
    faults: Faults,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    /// What the worker believes of each inbox.
    inboxes: HashMap<String, Belief>,
    /// The save at the end of the transaction that a lane's task has open.
    open: HashMap<Option<Id>, Save>,
}

struct Belief {
    epoch: i64,
    cursors: Vec<LoadedCursor>,
    /// Whether a save went without an acknowledgement.
    unsure: bool,
}

/// Cursors by inbox and log.
type Cursors = HashMap<(String, LogName), SavedCursor>;

impl Tortured {
    pub(super) fn new(inner: SeaStorage, faults: Faults) -> Self {
        Self { inner, faults, memory: Mutex::default() }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the log what the storage said; the dispatcher tells it once, and without its source.
    fn seen<T>(&self, call: &'static str, result: Result<T, StorageError>) -> Result<T, StorageError> {
        if let Err(error) = &result {
            tracing::info!(call, kind = ?error.kind(), source = ?error.source(), "the storage failed");
        }
        result
    }

    /// The end of a save as the lane learns of it.
    fn acknowledge(&self, save: Option<&Save>, done: Result<(), StorageError>) -> Result<(), StorageError> {
        let lost = done.is_ok() && self.faults.loses();
        if let Some(save) = save
            && let Some(belief) = self.memory().inboxes.get_mut(save.inbox)
        {
            belief.learn(save, done.is_ok() && !lost);
        }
        if lost {
            return Err(StorageError::new(StorageErrorKind::Unreachable, "the acknowledgement got lost on purpose"));
        }
        done
    }

    /// What the lane is told of a claim.
    fn remember(&self, claimed: &mut Claimed) {
        let mut memory = self.memory();
        let before = memory.inboxes.remove(&claimed.inbox);
        // Nobody else had it in between.
        let before = before.filter(|before| before.unsure && before.epoch + 1 == claimed.epoch);
        if let Some(before) = before {
            let epoch_only = self.faults.wrong == Some(Wrong::EpochOnly);
            if epoch_only || self.faults.toss() {
                for cursor in &mut claimed.cursors {
                    if let Some(old) = before.cursors.iter().find(|old| old.log == cursor.log) {
                        cursor.cursor = old.cursor.clone();
                        cursor.saves = if epoch_only { cursor.saves } else { old.saves };
                    }
                }
                tracing::info!(inbox = claimed.inbox, "repeats from memory");
            }
        }
        let belief = Belief { epoch: claimed.epoch, cursors: claimed.cursors.clone(), unsure: false };
        memory.inboxes.insert(claimed.inbox.clone(), belief);
    }

    async fn load(&self) -> Result<Cursors, StorageError> {
        let failed = |error: sea_orm::DbErr| StorageError::new(StorageErrorKind::Other, error.to_string());
        let text = "SELECT inbox, log, high, ceiling, missing, in_flight FROM event_cursors";
        let mut cursors = Cursors::new();
        for row in sql::query(self.inner.db(), text, []).await.map_err(failed)? {
            let ids = |column: &str| -> Result<IdSet, StorageError> {
                row.try_get::<String>("", column)
                    .map_err(failed)?
                    .parse()
                    .map_err(|error| StorageError::new(StorageErrorKind::Corrupt, "no set of ids").caused_by(error))
            };
            let cursor = SavedCursor {
                high: row.try_get("", "high").map_err(failed)?,
                ceiling: row.try_get("", "ceiling").map_err(failed)?,
                missing: ids("missing")?,
                in_flight: ids("in_flight")?,
            };
            let (inbox, log) =
                (row.try_get("", "inbox").map_err(failed)?, row.try_get::<String>("", "log").map_err(failed)?);
            cursors.insert((inbox, log.into()), cursor);
        }
        Ok(cursors)
    }
}

impl Belief {
    fn learn(&mut self, save: &Save, acknowledged: bool) {
        if !acknowledged {
            self.unsure = true;
            return;
        }
        for saved in &save.cursors {
            if let Some(cursor) = self.cursors.iter_mut().find(|cursor| cursor.log == saved.log) {
                cursor.saves = saved.saves + 1;
                saved.apply(&mut cursor.cursor);
            }
        }
    }
}

impl Storage for Tortured {
    type Transaction = InboxTransaction;
    type Proof = <SeaStorage as Storage>::Proof;

    fn provide(&self, states: &mut States) {
        self.inner.provide(states);
    }

    async fn check(&self, logs: &[LogName]) -> Result<(), StorageError> {
        if self.faults.wrong == Some(Wrong::SequenceCache) {
            return Ok(());
        }
        self.seen("check", self.inner.check(logs).await)
    }

    async fn place(&self, wishes: &[Wish]) -> Result<(), StorageError> {
        self.seen("place", self.inner.place(wishes).await)
    }

    async fn claim(
        &self,
        owner: &str,
        lease: Duration,
        wishes: &[Wish],
        now: DateTime<Utc>,
    ) -> Result<Vec<Claimed>, StorageError> {
        let mut loaded = None;
        if self.faults.wrong == Some(Wrong::LoadThenBump) {
            loaded = Some(self.load().await?);
            tokio::time::sleep(self.faults.between()).await;
        }
        let mut claimed = self.seen("claim", self.inner.claim(owner, lease, wishes, now).await)?;
        for claimed in &mut claimed {
            self.remember(claimed);
            for cursor in &mut claimed.cursors {
                let key = (claimed.inbox.clone(), cursor.log.clone());
                if let Some(before) = loaded.as_ref().and_then(|loaded| loaded.get(&key)) {
                    cursor.cursor = before.clone();
                }
            }
        }
        Ok(claimed)
    }

    async fn renew(&self, owner: &str, lease: Duration, held: &[(String, i64)]) -> Result<Vec<String>, StorageError> {
        self.seen("renew", self.inner.renew(owner, lease, held).await)
    }

    async fn release(&self, owner: &str, inbox: &str, epoch: i64) -> Result<(), StorageError> {
        self.seen("release", self.inner.release(owner, inbox, epoch).await)
    }

    async fn known_inboxes(&self) -> Result<Vec<String>, StorageError> {
        self.seen("known_inboxes", self.inner.known_inboxes().await)
    }

    async fn read(&self, read: Read<'_>) -> Result<ReadPage, StorageError> {
        self.seen("read", self.inner.read(read).await)
    }

    async fn newest(&self, log: &LogName) -> Result<i64, StorageError> {
        self.seen("newest", self.inner.newest(log).await)
    }

    async fn look(
        &self,
        log: &LogName,
        missing: &IdSet,
        later: &IdSet,
        proof: &mut Self::Proof,
    ) -> Result<Look, StorageError> {
        if self.faults.wrong == Some(Wrong::BareId) {
            return Ok(Look { ripe: missing.clone(), ..Look::default() });
        }
        self.seen("look", self.inner.look(log, missing, later, proof).await)
    }

    async fn listen(&self, owner: &str, logs: &[LogName], ears: Ears) {
        self.inner.listen(owner, logs, ears).await;
    }

    async fn save(&self, save: &Save) -> Result<(), StorageError> {
        let done = self.seen("save", self.inner.save(save).await);
        self.acknowledge(Some(save), done)
    }

    async fn begin(&self) -> Result<InboxTransaction, StorageError> {
        self.seen("begin", self.inner.begin().await)
    }

    async fn savepoint(&self, transaction: &InboxTransaction, name: &'static str) -> Result<(), StorageError> {
        self.seen("savepoint", self.inner.savepoint(transaction, name).await)
    }

    async fn keep(&self, transaction: &InboxTransaction, name: &'static str) -> Result<(), StorageError> {
        self.seen("keep", self.inner.keep(transaction, name).await)
    }

    async fn undo(&self, transaction: &InboxTransaction, name: &'static str) -> Result<(), StorageError> {
        self.seen("undo", self.inner.undo(transaction, name).await)
    }

    fn is_doubtful(&self, transaction: &InboxTransaction) -> bool {
        self.inner.is_doubtful(transaction)
    }

    async fn rollback(&self, transaction: InboxTransaction) -> Result<(), StorageError> {
        self.seen("rollback", self.inner.rollback(transaction).await)
    }

    async fn save_in(&self, transaction: &InboxTransaction, save: &Save) -> Result<(), StorageError> {
        self.memory().open.insert(tokio::task::try_id(), save.clone());
        self.seen("save_in", self.inner.save_in(transaction, save).await)
    }

    async fn commit(&self, transaction: InboxTransaction) -> Result<(), StorageError> {
        // A lane is a task of its own, with one transaction at a time.
        let save = self.memory().open.remove(&tokio::task::try_id());
        let done = self.seen("commit", self.inner.commit(transaction).await);
        self.acknowledge(save.as_ref(), done)
    }

    async fn due(&self, inbox: &str, now: DateTime<Utc>, limit: u64) -> Result<Vec<DueFailure>, StorageError> {
        self.seen("due", self.inner.due(inbox, now, limit).await)
    }

    async fn bound_retries(
        &self,
        inbox: &str,
        now: DateTime<Utc>,
        latest: &(dyn Fn(u32) -> DateTime<Utc> + Sync),
    ) -> Result<(), StorageError> {
        self.seen("bound_retries", self.inner.bound_retries(inbox, now, latest).await)
    }

    async fn next_due(&self, inboxes: &[String]) -> Result<Vec<(String, DateTime<Utc>)>, StorageError> {
        self.seen("next_due", self.inner.next_due(inboxes).await)
    }

    async fn open_failures(&self, inbox: &str) -> Result<Vec<OpenFailure>, StorageError> {
        self.seen("open_failures", self.inner.open_failures(inbox).await)
    }

    async fn waiting(&self, inbox: &str) -> Result<Vec<WaitingEvents>, StorageError> {
        self.seen("waiting", self.inner.waiting(inbox).await)
    }

    async fn wake(&self, inbox: &str, waiting: &WaitingEvents, now: DateTime<Utc>) -> Result<(), StorageError> {
        self.seen("wake", self.inner.wake(inbox, waiting, now).await)
    }

    async fn dead_letters(&self, query: &DeadLetterQuery) -> Result<Vec<DeadLetter>, StorageError> {
        self.seen("dead_letters", self.inner.dead_letters(query).await)
    }

    async fn retry_dead(&self, key: &FailureKey, attempts: u32, now: DateTime<Utc>) -> Result<bool, StorageError> {
        self.seen("retry_dead", self.inner.retry_dead(key, attempts, now).await)
    }

    async fn discard_dead(&self, key: &FailureKey, attempts: u32) -> Result<bool, StorageError> {
        self.seen("discard_dead", self.inner.discard_dead(key, attempts).await)
    }
}
