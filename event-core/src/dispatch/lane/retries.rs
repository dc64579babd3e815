//! A lane's failure rows and suspects: attempts that are counted in the database before they run.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Lane, Taken, earliest};
use crate::dispatch::company::Alone;
use crate::dispatch::filter::Interest;
use crate::dispatch::verdict;
use crate::inbox::LoadedEvent;
use crate::storage::{DueFailure, Failure, FailureChange, FailureState, Storage, StorageError};

/// How many due failure rows are loaded at a time.
const DUE_PAGE: u64 = 64;

/// How long a failure row waits for another delivery of its subject, in an ordered inbox.
const SUBJECT_BUSY: TimeDelta = TimeDelta::seconds(1);

impl<S: Storage> Lane<S> {
    /// The next due failure row.
    pub(super) async fn next_retry(&mut self) -> Result<Option<DueFailure>, StorageError> {
        let next_due = if self.retries.is_empty() { self.next_due } else { None };
        // Asked at every event: without a failure row it costs no look at the clock.
        if let Some(due) = next_due
            && let now = self.shared.clock.now()
            && due <= now
        {
            // What is due may only be in memory yet.
            self.save().await?;
            self.retries = self.shared.storage.due(self.plan.name(), now, DUE_PAGE).await?.into();
            if self.retries.is_empty() {
                self.refresh_due().await?;
            }
        }
        Ok(self.retries.pop_front())
    }

    /// Whether there are failure rows that are due, or will be.
    pub(super) fn has_rows(&self) -> bool {
        self.next_due.is_some() || !self.retries.is_empty()
    }

    /// Tries the next due failure row; false if none is due.
    pub(super) async fn retry_next(&mut self) -> Result<bool, StorageError> {
        let Some(due) = self.next_retry().await? else { return Ok(false) };
        self.retry(due).await?;
        Ok(true)
    }

    /// An event that may have been started before the inbox was taken over: its attempt is counted in the database first, and
    /// it runs alone, so that one which ends the process is found out and becomes a dead letter.
    pub(super) async fn start_suspect(&mut self, taken: Taken) -> Result<(), StorageError> {
        self.wait_for_running().await?;
        let begun = verdict::begun(&self.plan, taken.event.stored(), None, self.shared.clock.now());
        self.changes.push(FailureChange::Insert(begun.clone()));
        self.close(&taken);
        if let Some(order) = &mut self.order {
            // From now on it is a failure row; those behind it wait as behind any other.
            let key = taken.subject_key();
            let following = order.delivered(&key, taken.id(), true);
            self.follow(following);
        }
        self.save().await?;
        self.run_alone(taken, begun).await
    }

    /// Starts a due failure row's next attempt, counted in the database first; false if it came to none.
    pub(super) async fn retry(&mut self, due: DueFailure) -> Result<bool, StorageError> {
        self.progress += 1;
        let now = self.shared.clock.now();
        let before = due.failure;
        let Some(log) = self.logs.iter().position(|log| log.name == before.key.event.log) else {
            // It would be due for ever, and the lane would do nothing else.
            self.give_up_row(&before, verdict::no_longer_taken(&before, now));
            return Ok(false);
        };
        let interrupted = before.started_at.is_some();
        let evident = interrupted && verdict::runs_alone(&before);
        let exhausted = evident && before.attempts >= self.plan.descriptor.settings().retry.max_attempts;
        let Some(event) = due.event.filter(|_| !exhausted) else {
            let row = if exhausted { verdict::exhausted(&before, now) } else { verdict::gone(&before, now) };
            self.bury(log, &before, row);
            return Ok(false);
        };
        let event = Arc::new(LoadedEvent::from_read(event));
        let interest = self.logs[log].filter.interest(event.stored());
        let taken = Taken { log, event, known: interest != Interest::Unknown };
        if !taken.known {
            self.let_wait(&taken, &before);
            return Ok(false);
        }
        if before.state == FailureState::Waiting && interest == Interest::Passes {
            self.pass_waiting(&taken, &before);
            return Ok(false);
        }
        let resumed = if interrupted { verdict::interrupted(&before) } else { before.clone() };
        // Before the attempt is begun in the database: a death while it waits must not count as one while it ran.
        let alone = if verdict::runs_alone(&resumed) { Some(self.be_alone().await?) } else { None };
        if alone.is_some() && (!self.lease_holds() || self.is_stopping()) {
            return Ok(false);
        }
        let key = taken.subject_key();
        if self.order.as_mut().is_some_and(|order| !order.begin_row(&key, taken.id())) {
            self.postpone(before, now);
            return Ok(false);
        }
        let begun = verdict::begun(&self.plan, taken.event.stored(), Some(&resumed), now);
        self.changes.push(FailureChange::Update { failure: begun.clone(), attempts: before.attempts });
        if interrupted {
            self.wait_for_running().await?;
        }
        self.save().await?;
        if interrupted || self.plan.is_serial() {
            self.run_alone(taken, begun).await?;
        } else {
            let attempt = begun.attempts;
            self.launch(taken, Some(Box::new(begun)), attempt).await;
        }
        Ok(true)
    }

    /// Waits until nothing else is delivered in this worker, and keeps it so.
    async fn be_alone(&mut self) -> Result<Alone, StorageError> {
        self.wait_for_running().await?;
        // It may take as long as the others' handlers do.
        self.save().await?;
        self.member = None;
        let alone = self.shared.company.alone().await;
        self.time.passed();
        Ok(alone)
    }

    /// Leaves a row for a little later: its subject has another delivery under way.
    pub(super) fn postpone(&mut self, before: Failure, now: DateTime<Utc>) {
        let attempts = before.attempts;
        let later = now + SUBJECT_BUSY;
        self.next_due = earliest(self.next_due, Some(later));
        self.changes
            .push(FailureChange::Update { failure: Failure { next_attempt_at: Some(later), ..before }, attempts });
    }

    /// Makes a row a dead letter without an attempt.
    pub(super) fn bury(&mut self, log: usize, before: &Failure, row: Failure) {
        self.give_up_row(before, row);
        self.row_ended(&(log, before.subject.clone()), before);
    }

    pub(super) fn give_up_row(&mut self, before: &Failure, row: Failure) {
        self.counters.count_dead();
        tracing::warn!(inbox = row.key.inbox, event = %row.key.event, error = row.error, "dead letter");
        self.changes.push(FailureChange::Update { failure: row, attempts: before.attempts });
        self.urgent = true;
    }

    /// Runs one attempt with nothing beside it, and saves its end.
    pub(super) async fn run_alone(&mut self, taken: Taken, begun: Failure) -> Result<(), StorageError> {
        if self.plan.transactional {
            return self.run_alone_in_transaction(taken, begun).await;
        }
        let attempt = begun.attempts;
        self.launch(taken, Some(Box::new(begun)), attempt).await;
        self.wait_for_running().await?;
        self.save().await
    }
}
