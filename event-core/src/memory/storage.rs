//! The storage trait over the in-memory log.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::MemoryLog;
use super::state::{CursorRow, Lease};
use crate::cursor::{IdSet, SavedCursor};
use crate::inbox::Start;
use crate::names::LogName;
use crate::storage::{
    Claimed, DeadLetter, DeadLetterQuery, DueFailure, Failure, FailureKey, FailureState, LoadedCursor, Look,
    OpenFailure, PageBuilder, Read, ReadPage, Save, Storage, StorageError, StorageErrorKind, WaitingEvents, Wish,
};

/// A save that waits for its commit. Handlers can't write in memory, so that there is nothing else to undo.
#[derive(Debug, Default)]
pub struct MemoryTransaction {
    staged: Mutex<Option<Save>>,
}

impl Storage for MemoryLog {
    type Transaction = MemoryTransaction;
    type Proof = ();

    async fn check(&self, _logs: &[LogName]) -> Result<(), StorageError> {
        Ok(())
    }

    async fn place(&self, wishes: &[Wish]) -> Result<(), StorageError> {
        let mut state = self.lock();
        for wish in wishes {
            for log in &wish.logs {
                let high = match wish.start {
                    Start::Now => state.events(log).last().map_or(0, |event| event.id()),
                    Start::Beginning => 0,
                };
                let start = SavedCursor { high, ceiling: high, ..SavedCursor::default() };
                let key = (wish.inbox.to_owned(), log.clone());
                state.cursors.entry(key).or_insert_with(|| CursorRow { cursor: start, ..CursorRow::default() });
            }
        }
        Ok(())
    }

    async fn claim(
        &self,
        owner: &str,
        lease: Duration,
        wishes: &[Wish],
        now: DateTime<Utc>,
    ) -> Result<Vec<Claimed>, StorageError> {
        let mut state = self.lock();
        let mut claimed = Vec::new();
        for wish in wishes {
            let held =
                state.leases.get(wish.inbox).is_some_and(|held| held.owner != owner && held.until > Instant::now());
            if held {
                continue;
            }
            // One epoch for all its cursors, also for one that was placed later than the others.
            let rows = state.cursors.iter().filter(|((inbox, _), _)| inbox == wish.inbox);
            let epoch = rows.map(|(_, row)| row.epoch).max().unwrap_or(0) + 1;
            let until = Instant::now() + lease;
            state.leases.insert(wish.inbox.to_owned(), Lease { owner: owner.to_owned(), epoch, until });
            let mut cursors = Vec::new();
            for ((inbox, log), row) in &mut state.cursors {
                if inbox == wish.inbox {
                    row.epoch = epoch;
                    cursors.push(LoadedCursor { log: log.clone(), saves: row.saves, cursor: row.cursor.clone() });
                }
            }
            for cursor in &cursors {
                let newest = state.events(&cursor.log).last().map_or(0, |event| event.id());
                if cursor.cursor.high > newest {
                    return Err(StorageError::new(StorageErrorKind::Reset, format!("log `{}` was reset", cursor.log)));
                }
            }
            for row in state.failures.values_mut() {
                if row.key.inbox == wish.inbox && row.started_at.is_some() && row.state == FailureState::Retrying {
                    row.next_attempt_at = Some(now);
                }
            }
            let pause = state.pauses.get(wish.inbox).cloned();
            claimed.push(Claimed { inbox: wish.inbox.to_owned(), epoch, cursors, pause });
        }
        Ok(claimed)
    }

    async fn renew(&self, owner: &str, lease: Duration, held: &[(String, i64)]) -> Result<Vec<String>, StorageError> {
        let mut state = self.lock();
        let mut still = Vec::new();
        for (inbox, epoch) in held {
            let ours = |known: &&mut Lease| known.owner == owner && known.epoch == *epoch;
            if let Some(known) = state.leases.get_mut(inbox).filter(ours) {
                known.until = Instant::now() + lease;
                still.push(inbox.clone());
            }
        }
        Ok(still)
    }

    async fn release(&self, owner: &str, inbox: &str, epoch: i64) -> Result<(), StorageError> {
        let mut state = self.lock();
        if state.leases.get(inbox).is_some_and(|held| held.owner == owner && held.epoch == epoch) {
            state.leases.remove(inbox);
        }
        Ok(())
    }

    async fn known_inboxes(&self) -> Result<Vec<String>, StorageError> {
        let mut names: Vec<_> = self.lock().cursors.keys().map(|(inbox, _)| inbox.clone()).collect();
        names.dedup();
        Ok(names)
    }

    async fn read(&self, read: Read<'_>) -> Result<ReadPage, StorageError> {
        let state = self.lock();
        let events = state.events(read.log);
        let again = events
            .iter()
            .filter(|event| read.also.contains(event.id()) && read.after.is_none_or(|after| event.id() <= after));
        let new = events.iter().filter(|event| read.after.is_some_and(|after| event.id() > after));
        let mut page = PageBuilder::new(&read);
        for event in again.chain(new) {
            page.push(Ok(event.clone()));
            if page.is_full() {
                break;
            }
        }
        Ok(page.finish())
    }

    async fn newest(&self, log: &LogName) -> Result<i64, StorageError> {
        Ok(self.lock().events(log).last().map_or(0, |event| event.id()))
    }

    async fn newest_visible(&self, logs: &[LogName]) -> Result<Option<Vec<i64>>, StorageError> {
        let state = self.lock();
        Ok(Some(logs.iter().map(|log| state.events(log).last().map_or(0, |event| event.id())).collect()))
    }

    async fn look(
        &self,
        _log: &LogName,
        missing: &IdSet,
        _later: &IdSet,
        _proof: &mut (),
    ) -> Result<Look, StorageError> {
        // Ids are given out and made visible in one step.
        Ok(Look { ripe: missing.clone(), ..Look::default() })
    }

    async fn save(&self, save: &Save) -> Result<(), StorageError> {
        self.lock().apply(save)
    }

    async fn begin(&self) -> Result<MemoryTransaction, StorageError> {
        Ok(MemoryTransaction::default())
    }

    async fn savepoint(&self, _transaction: &MemoryTransaction, _name: &'static str) -> Result<(), StorageError> {
        Ok(())
    }

    async fn keep(&self, _transaction: &MemoryTransaction, _name: &'static str) -> Result<(), StorageError> {
        Ok(())
    }

    async fn undo(&self, _transaction: &MemoryTransaction, _name: &'static str) -> Result<(), StorageError> {
        Ok(())
    }

    fn is_doubtful(&self, _transaction: &MemoryTransaction) -> bool {
        false
    }

    async fn rollback(&self, _transaction: MemoryTransaction) -> Result<(), StorageError> {
        Ok(())
    }

    async fn save_in(&self, transaction: &MemoryTransaction, save: &Save) -> Result<(), StorageError> {
        *transaction.staged.lock().unwrap_or_else(PoisonError::into_inner) = Some(save.clone());
        Ok(())
    }

    async fn commit(&self, transaction: MemoryTransaction) -> Result<(), StorageError> {
        match transaction.staged.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(save) => self.lock().apply(&save),
            None => Ok(()),
        }
    }

    async fn due(&self, inbox: &str, now: DateTime<Utc>, limit: u64) -> Result<Vec<DueFailure>, StorageError> {
        let state = self.lock();
        let mut rows: Vec<_> = state
            .failures
            .values()
            .filter(|row| row.key.inbox == inbox && row.next_attempt_at.is_some_and(|due| due <= now))
            .cloned()
            .collect();
        rows.sort_by_key(|row| (row.next_attempt_at, row.key.clone()));
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let event = |row: &Failure| -> Option<Arc<_>> {
            state.events(&row.key.event.log).iter().find(|event| event.id() == row.key.event.id).cloned()
        };
        Ok(rows.into_iter().map(|failure| DueFailure { event: event(&failure).map(Ok), failure }).collect())
    }

    async fn bound_retries(
        &self,
        inbox: &str,
        now: DateTime<Utc>,
        latest: &(dyn Fn(u32) -> DateTime<Utc> + Sync),
    ) -> Result<(), StorageError> {
        for row in self.lock().failures.values_mut() {
            if row.key.inbox == inbox && row.state == FailureState::Retrying && row.last_failed_at > now {
                row.next_attempt_at = row.next_attempt_at.map(|due| due.min(latest(row.attempts)));
            }
        }
        Ok(())
    }

    async fn next_due(&self, inboxes: &[String]) -> Result<Vec<(String, DateTime<Utc>)>, StorageError> {
        let state = self.lock();
        let due = |inbox: &String| {
            let rows = state.failures.values().filter(|row| row.key.inbox == *inbox);
            rows.filter_map(|row| row.next_attempt_at).min().map(|due| (inbox.clone(), due))
        };
        Ok(inboxes.iter().filter_map(due).collect())
    }

    async fn open_failures(&self, inbox: &str) -> Result<Vec<OpenFailure>, StorageError> {
        let state = self.lock();
        let open = state.failures.values().filter(|row| row.key.inbox == inbox && row.state != FailureState::Dead);
        let short = |row: &Failure| OpenFailure {
            event: row.key.event.clone(),
            subject: row.subject.clone(),
            parked: row.state == FailureState::Parked,
        };
        Ok(open.map(short).collect())
    }

    async fn waiting(&self, inbox: &str) -> Result<Vec<WaitingEvents>, StorageError> {
        let state = self.lock();
        let mut groups: Vec<WaitingEvents> = Vec::new();
        for row in state.failures.values().filter(|row| row.key.inbox == inbox && row.state == FailureState::Waiting) {
            match groups.iter_mut().find(|group| group.covers(row)) {
                Some(group) => {
                    group.events += 1;
                    group.since = group.since.min(row.first_failed_at);
                }
                None => groups.push(WaitingEvents::of(row)),
            }
        }
        Ok(groups)
    }

    async fn wake(&self, inbox: &str, waiting: &WaitingEvents, now: DateTime<Utc>) -> Result<(), StorageError> {
        for row in self.lock().failures.values_mut() {
            if row.key.inbox == inbox && row.state == FailureState::Waiting && waiting.covers(row) {
                row.next_attempt_at = Some(now);
            }
        }
        Ok(())
    }

    async fn dead_letters(&self, query: &DeadLetterQuery) -> Result<Vec<DeadLetter>, StorageError> {
        let state = self.lock();
        let mut dead: Vec<_> = state
            .failures
            .values()
            .filter(|row| {
                row.state == FailureState::Dead && query.inbox.as_ref().is_none_or(|inbox| *inbox == row.key.inbox)
            })
            .filter(|row| query.after.as_ref().is_none_or(|after| (row.last_failed_at, &row.key) < (after.0, &after.1)))
            .cloned()
            .collect();
        dead.sort_by(|a, b| (b.last_failed_at, &b.key).cmp(&(a.last_failed_at, &a.key)));
        dead.truncate(usize::try_from(query.limit).unwrap_or(usize::MAX));
        Ok(dead.into_iter().map(|failure| DeadLetter { failure }).collect())
    }

    async fn retry_dead(&self, key: &FailureKey, attempts: u32, now: DateTime<Utc>) -> Result<bool, StorageError> {
        let mut state = self.lock();
        let row = state.failures.get_mut(key).filter(|row| row.state == FailureState::Dead && row.attempts == attempts);
        Ok(row
            .map(|row| {
                row.state = FailureState::Retrying;
                row.attempts = 0;
                row.interrupted = 0;
                row.next_attempt_at = Some(now);
            })
            .is_some())
    }

    async fn discard_dead(&self, key: &FailureKey, attempts: u32) -> Result<bool, StorageError> {
        let mut state = self.lock();
        let there =
            state.failures.get(key).is_some_and(|row| row.state == FailureState::Dead && row.attempts == attempts);
        Ok(there && state.failures.remove(key).is_some())
    }
}
