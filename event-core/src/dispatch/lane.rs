//! A lane: one inbox at work. Owns the inbox's cursors and everything about it that is not saved yet.
//!
//! The lane is one task, so nothing here is locked. Handlers that are not ready at once become tasks of their own: a slow or
//! blocking one holds up neither the lane's reads nor its saves. After any error the lane is dropped whole and a new one
//! loaded from the database: nothing that was only in memory survives, which is what makes a lost acknowledgement harmless.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::deliver::deliver;
use super::order::{Admitted, Following, Order, SubjectKey};
use super::plan::{Filter, Plan};
use super::report::Counters;
use super::shared::Shared;
use super::tail::{Page, Tail};
use super::verdict::{self, Verdict, judge};
use super::watchdog::Slot;
use crate::cursor::{CEILING_BLOCK, CEILING_BLOCK_MIN, Cursor, IdSet};
use crate::inbox::{InboxResult, LoadedEvent};
use crate::names::{EventRef, LogName};
use crate::storage::{
    Claimed, CursorSave, DueFailure, Failure, FailureChange, FailureKey, FailureState, Save, Storage, StorageError,
    StorageErrorKind,
};

/// A block of the ceiling that is used up faster than this is too short.
const PACE: Duration = Duration::from_secs(1);

/// How long a failure row waits for another delivery of its subject, in an ordered inbox.
const SUBJECT_BUSY: TimeDelta = TimeDelta::seconds(1);

/// How many due failure rows are loaded at a time.
const DUE_PAGE: u64 = 64;

/// An event that the lane took from a log and is answerable for.
pub(crate) struct Taken {
    pub(crate) log: usize,
    pub(crate) event: Arc<LoadedEvent>,
}

impl Taken {
    pub(crate) fn id(&self) -> i64 {
        self.event.stored().id()
    }

    pub(crate) fn subject_key(&self) -> SubjectKey {
        (self.log, self.event.stored().subject.clone())
    }
}

/// The end of an attempt.
pub(crate) struct Finished {
    pub(crate) taken: Taken,
    /// The failure row that stood while it ran; `None` at the first delivery.
    pub(crate) before: Option<Failure>,
    pub(crate) attempt: u32,
    pub(crate) result: InboxResult,
}

/// The lane's part in one log.
pub(crate) struct LogLane<S: Storage> {
    pub(crate) name: LogName,
    pub(crate) filter: Filter,
    pub(crate) cursor: Cursor,
    pub(crate) saves: i64,
    tail: Arc<Tail>,
    proof: S::Proof,
    page: Option<Arc<Page>>,
    at: usize,
    /// No event beyond this one, for now: where a drain's round ends, whatever handlers record meanwhile.
    until: i64,
    pub(crate) dirty: bool,
    /// How far the ceiling is raised next, and when it was raised last.
    block: i64,
    raised_at: Instant,
}

/// Why the lane took no more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fill {
    /// Everything that there is was taken.
    AtTail,
    /// As many run as may.
    Full,
    /// The lease may have run out.
    NoLease,
}

/// Where the supervisor speaks to a lane.
pub(crate) struct Orders {
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) due: watch::Receiver<Option<DateTime<Utc>>>,
}

pub(crate) struct Lane<S: Storage> {
    pub(crate) shared: Arc<Shared<S>>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) logs: Vec<LogLane<S>>,
    pub(crate) changes: Vec<FailureChange>,
    pub(crate) order: Option<Order>,
    /// Taken, and next in turn.
    pub(crate) ready: VecDeque<Taken>,
    /// Deliveries and rows worked on: a round of a drain that raises it not is the last.
    pub(crate) progress: u64,
    epoch: i64,
    /// From the supervisor; `None` in a drain.
    orders: Option<Orders>,
    counters: Arc<Counters>,
    lease: watch::Receiver<Instant>,
    running: JoinSet<Finished>,
    retries: VecDeque<DueFailure>,
    next_due: Option<DateTime<Utc>>,
    next_log: usize,
    slot: Arc<Slot>,
    last_save: Instant,
    /// Something was delivered since the last save: to be saved soon.
    pub(crate) urgent: bool,
}

impl<S: Storage> Lane<S> {
    /// The lane of an inbox just claimed.
    pub(crate) async fn load(
        shared: Arc<Shared<S>>,
        plan: Arc<Plan>,
        claimed: Claimed,
        lease: watch::Receiver<Instant>,
    ) -> Result<Self, StorageError> {
        let mut logs = Vec::new();
        for (name, filter) in &plan.logs {
            let loaded = claimed.cursors.iter().find(|cursor| cursor.log == *name);
            let (Some(loaded), Some(tail)) = (loaded, shared.tails.get(name)) else {
                return Err(no_cursor(plan.name(), name));
            };
            logs.push(LogLane {
                name: name.clone(),
                filter: filter.clone(),
                cursor: Cursor::load(loaded.cursor.clone()),
                saves: loaded.saves,
                tail: tail.clone(),
                proof: S::Proof::default(),
                page: None,
                at: 0,
                until: i64::MAX,
                dirty: false,
                block: CEILING_BLOCK_MIN,
                raised_at: Instant::now(),
            });
        }
        let order =
            if plan.descriptor.settings().ordered { Some(load_order(&shared, &plan, &logs).await?) } else { None };
        let next_due = next_due(&shared.storage, plan.name()).await?;
        let counters = shared.counters.get(plan.name()).cloned().unwrap_or_default();
        let slot = shared.watchdog.slot(plan.name());
        Ok(Self {
            shared,
            plan,
            logs,
            changes: Vec::new(),
            order,
            ready: VecDeque::new(),
            progress: 0,
            epoch: claimed.epoch,
            orders: None,
            counters,
            lease,
            running: JoinSet::new(),
            retries: VecDeque::new(),
            next_due,
            next_log: 0,
            slot,
            last_save: Instant::now(),
            urgent: false,
        })
    }

    /// Works until it is told to stop, then ends what runs, saves, and gives the inbox up.
    pub(crate) async fn run(mut self, orders: Orders) -> Result<(), StorageError> {
        self.orders = Some(orders);
        let mut tails: Vec<_> = self.logs.iter().map(|log| log.tail.generation()).collect();
        loop {
            for tail in &mut tails {
                tail.mark_unchanged();
            }
            self.advance().await?;
            if self.is_stopping() {
                return self.end().await;
            }
            let lazy_save = self.last_save + self.shared.options.save_idle_every;
            tokio::select! {
                () = any_changed(&mut tails) => {}
                () = until(&self.shared.clock, self.next_due) => {}
                told = told(&mut self.orders) => self.obey(told)?,
                () = tokio::time::sleep_until(lazy_save), if self.is_dirty() => self.save().await?,
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.orders.as_ref().is_some_and(|orders| *orders.stop.borrow())
    }

    /// Takes in what the supervisor said.
    fn obey(&mut self, told: Told) -> Result<(), StorageError> {
        match told {
            Told::Stop => Ok(()),
            Told::Due(due) => {
                self.next_due = earliest(self.next_due, due);
                Ok(())
            }
            Told::Nothing => Err(StorageError::fenced(self.plan.name())),
        }
    }

    /// The last save, with nothing in flight if all ended in time; then the inbox is free.
    pub(crate) async fn end(&mut self) -> Result<(), StorageError> {
        self.running.abort_all();
        for log in &mut self.logs {
            log.cursor.lower_ceiling();
            log.dirty = true;
        }
        self.save().await?;
        self.shared.storage.release(&self.shared.owner, self.plan.name(), self.epoch).await
    }

    /// Begins a round of a drain: to the end of each log as it is now.
    pub(crate) async fn begin_round(&mut self) -> Result<(), StorageError> {
        for log in &mut self.logs {
            log.until = self.shared.storage.newest(&log.name).await?;
        }
        self.refresh_due().await
    }

    /// Looks up anew when the next failure row is due: an operator may have retried a dead letter.
    async fn refresh_due(&mut self) -> Result<(), StorageError> {
        self.next_due = next_due(&self.shared.storage, self.plan.name()).await?;
        Ok(())
    }

    /// Delivers what there is and what is due, until nothing is left to do now. Told to stop, it only ends what runs.
    pub(crate) async fn advance(&mut self) -> Result<(), StorageError> {
        let mut tails: Vec<_> = self.logs.iter().map(|log| log.tail.generation()).collect();
        let mut give_up: Option<Instant> = None;
        loop {
            while let Some(joined) = self.running.try_join_next() {
                let finished = joined.map_err(|error| lost_task(self.plan.name(), error))?;
                self.finish(finished);
            }
            let stopping = self.is_stopping();
            if stopping && give_up.is_none() {
                give_up = Some(Instant::now() + self.shared.options.shutdown_timeout);
            }
            for tail in &mut tails {
                tail.mark_unchanged();
            }
            let fill = if stopping {
                Fill::Full
            } else if self.plan.transactional {
                self.fill_in_transactions().await?
            } else {
                self.fill().await?
            };
            if self.save_is_due() {
                self.save().await?;
            }
            if self.running.is_empty() && (stopping || fill == Fill::AtTail) {
                if self.urgent || self.orders.is_none() {
                    self.save().await?;
                }
                return Ok(());
            }
            let save_at = self.last_save + self.shared.options.save_every;
            tokio::select! {
                Some(joined) = self.running.join_next() => {
                    let finished = joined.map_err(|error| lost_task(self.plan.name(), error))?;
                    self.finish(finished);
                }
                () = any_changed(&mut tails), if fill == Fill::AtTail => {}
                () = until(&self.shared.clock, self.next_due), if fill == Fill::AtTail => {}
                () = tokio::time::sleep_until(save_at), if self.urgent => self.save().await?,
                changed = self.lease.changed(), if fill == Fill::NoLease => {
                    if changed.is_err() {
                        return Err(StorageError::fenced(self.plan.name()));
                    }
                }
                told = told(&mut self.orders) => self.obey(told)?,
                () = tokio::time::sleep_until(give_up.unwrap_or(save_at)), if give_up.is_some() => {
                    tracing::warn!(
                        inbox = self.plan.name(),
                        running = self.running.len(),
                        "handlers did not end within the shutdown's time-out; they are dropped and delivered again"
                    );
                    return Ok(());
                }
            }
        }
    }

    /// Starts as many deliveries as may run.
    async fn fill(&mut self) -> Result<Fill, StorageError> {
        let concurrency = self.plan.descriptor.settings().concurrency;
        loop {
            // Handlers that are ready at once would otherwise keep the thread for the whole backlog.
            tokio::task::coop::consume_budget().await;
            while let Some(joined) = self.running.try_join_next() {
                let finished = joined.map_err(|error| lost_task(self.plan.name(), error))?;
                self.finish(finished);
            }
            if self.running.len() >= concurrency || self.order.as_ref().is_some_and(Order::is_full) {
                return Ok(Fill::Full);
            }
            if self.is_stopping() {
                return Ok(Fill::Full);
            }
            if !self.lease_holds() {
                return Ok(Fill::NoLease);
            }
            if self.save_is_due() {
                self.save().await?;
            }
            if let Some(due) = self.next_retry().await? {
                self.retry(due).await?;
            } else if let Some(taken) = self.ready.pop_front() {
                self.start(taken).await?;
            } else if let Some(taken) = self.next_event().await? {
                self.admit(taken).await?;
            } else {
                return Ok(Fill::AtTail);
            }
        }
    }

    /// The transactional way: retries alone, events in batches, nothing beside.
    async fn fill_in_transactions(&mut self) -> Result<Fill, StorageError> {
        loop {
            tokio::task::coop::consume_budget().await;
            if self.is_stopping() {
                return Ok(Fill::Full);
            }
            if !self.lease_holds() {
                return Ok(Fill::NoLease);
            }
            if let Some(due) = self.next_retry().await? {
                self.retry(due).await?;
            } else if !self.next_batch().await? {
                return Ok(Fill::AtTail);
            }
        }
    }

    pub(crate) fn lease_holds(&self) -> bool {
        *self.lease.borrow() > Instant::now()
    }

    /// The next due failure row.
    async fn next_retry(&mut self) -> Result<Option<DueFailure>, StorageError> {
        let now = self.shared.clock.now();
        if self.retries.is_empty() && self.next_due.is_some_and(|due| due <= now) {
            // What is due may only be in memory yet.
            self.save().await?;
            self.retries = self.shared.storage.due(self.plan.name(), now, DUE_PAGE).await?.into();
            if self.retries.is_empty() {
                self.refresh_due().await?;
            }
        }
        Ok(self.retries.pop_front())
    }

    /// The next event that the inbox takes, from its logs in turn. What it does not take is passed over.
    pub(crate) async fn next_event(&mut self) -> Result<Option<Taken>, StorageError> {
        for _ in 0..self.logs.len() {
            let at = self.next_log;
            self.next_log = (self.next_log + 1) % self.logs.len();
            loop {
                if let Some(event) = self.logs[at].next_of_page() {
                    self.progress += 1;
                    return Ok(Some(Taken { log: at, event }));
                }
                // Pages of what others take are passed over here: not for ever, and not without a save now and then.
                if self.is_stopping() || !self.logs[at].turn_page(&self.shared.storage, self.plan.name()).await? {
                    break;
                }
                if self.save_is_due() {
                    self.save().await?;
                }
            }
        }
        Ok(None)
    }

    async fn admit(&mut self, taken: Taken) -> Result<(), StorageError> {
        let Some(order) = &mut self.order else { return self.start(taken).await };
        match order.admit(taken) {
            Admitted::Start(taken) => self.start(taken).await,
            Admitted::Queued => Ok(()),
            Admitted::Park(taken) => {
                self.park(&taken);
                Ok(())
            }
        }
    }

    /// Keeps an event for when an earlier one of its subject has ended; the order has counted it.
    pub(crate) fn park(&mut self, taken: &Taken) {
        let row = verdict::parked(&self.plan, taken.event.stored(), self.shared.clock.now());
        self.changes.push(FailureChange::Insert(row));
        self.close(taken);
    }

    fn close(&mut self, taken: &Taken) {
        let log = &mut self.logs[taken.log];
        log.cursor.finish(taken.id());
        log.dirty = true;
        self.urgent = true;
    }

    /// Starts an event's first delivery.
    async fn start(&mut self, taken: Taken) -> Result<(), StorageError> {
        if self.logs[taken.log].cursor.is_suspect(taken.id()) {
            return self.start_suspect(taken).await;
        }
        self.cover(&[(taken.log, taken.id())]).await?;
        self.launch(taken, None, 1).await;
        Ok(())
    }

    /// Sees to it that the stored ceilings cover these events before any of them starts.
    pub(crate) async fn cover(&mut self, events: &[(usize, i64)]) -> Result<(), StorageError> {
        let mut raised = false;
        for &(log, id) in events {
            let log = &mut self.logs[log];
            if !log.cursor.may_start(id) {
                log.raise_ceiling(id);
                raised = true;
            }
        }
        if raised { self.save().await } else { Ok(()) }
    }

    /// An event that may have been started before the inbox was taken over: its attempt is counted in the database first, and
    /// it runs alone, so that one which ends the process is found out and becomes a dead letter.
    pub(crate) async fn start_suspect(&mut self, taken: Taken) -> Result<(), StorageError> {
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

    async fn wait_for_running(&mut self) -> Result<(), StorageError> {
        while let Some(joined) = self.running.join_next().await {
            let finished = joined.map_err(|error| lost_task(self.plan.name(), error))?;
            self.finish(finished);
        }
        Ok(())
    }

    /// Starts a due failure row's next attempt, counted in the database first.
    async fn retry(&mut self, due: DueFailure) -> Result<(), StorageError> {
        self.progress += 1;
        let now = self.shared.clock.now();
        let before = due.failure;
        let Some(log) = self.logs.iter().position(|log| log.name == before.key.event.log) else {
            // It would be due for ever, and the lane would do nothing else.
            self.give_up_row(&before, verdict::no_longer_taken(&before, now));
            return Ok(());
        };
        let interrupted = before.started_at.is_some();
        let exhausted = interrupted && before.attempts >= self.plan.descriptor.settings().retry.max_attempts;
        let Some(event) = due.event.filter(|_| !exhausted) else {
            let row = if exhausted { verdict::exhausted(&before, now) } else { verdict::gone(&before, now) };
            self.bury(log, &before, row);
            return Ok(());
        };
        let taken = Taken { log, event: Arc::new(LoadedEvent::from_read(event)) };
        let key = taken.subject_key();
        if self.order.as_mut().is_some_and(|order| !order.begin_row(&key, taken.id())) {
            self.postpone(before, now);
            return Ok(());
        }
        let begun = verdict::begun(&self.plan, taken.event.stored(), Some(&before), now);
        self.changes.push(FailureChange::Update { failure: begun.clone(), attempts: before.attempts });
        if interrupted {
            self.wait_for_running().await?;
        }
        self.save().await?;
        if interrupted || self.plan.transactional {
            self.run_alone(taken, begun).await
        } else {
            let attempt = begun.attempts;
            self.launch(taken, Some(begun), attempt).await;
            Ok(())
        }
    }

    /// Leaves a row for a little later: its subject has another delivery under way.
    fn postpone(&mut self, before: Failure, now: DateTime<Utc>) {
        let attempts = before.attempts;
        let later = now + SUBJECT_BUSY;
        self.next_due = earliest(self.next_due, Some(later));
        self.changes
            .push(FailureChange::Update { failure: Failure { next_attempt_at: Some(later), ..before }, attempts });
    }

    /// Makes a row a dead letter without an attempt.
    fn bury(&mut self, log: usize, before: &Failure, row: Failure) {
        self.give_up_row(before, row);
        self.row_ended(&(log, before.subject.clone()), before);
    }

    fn give_up_row(&mut self, before: &Failure, row: Failure) {
        self.counters.count_dead();
        tracing::warn!(inbox = row.key.inbox, event = %row.key.event, error = row.error, "dead letter");
        self.changes.push(FailureChange::Update { failure: row, attempts: before.attempts });
        self.urgent = true;
    }

    /// Runs one attempt with nothing beside it, and saves its end.
    async fn run_alone(&mut self, taken: Taken, begun: Failure) -> Result<(), StorageError> {
        if self.plan.transactional {
            return self.run_alone_in_transaction(taken, begun).await;
        }
        let attempt = begun.attempts;
        self.launch(taken, Some(begun), attempt).await;
        self.wait_for_running().await?;
        self.save().await
    }

    /// Starts a handler. One that is ready at once is finished here; another goes on as a task of its own.
    async fn launch(&mut self, taken: Taken, before: Option<Failure>, attempt: u32) {
        let (shared, plan) = (self.shared.clone(), self.plan.clone());
        let event = taken.event.stored().at.clone();
        let delivery = Box::pin(async move {
            let result = deliver(&plan, &taken.event, attempt, &shared.states, None).await;
            Finished { taken, before, attempt, result }
        });
        let mut watched = self.shared.watchdog.watch(self.slot.clone(), event, delivery);
        let first = std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut watched).poll(context))).await;
        match first {
            Poll::Ready(finished) => self.finish(finished),
            Poll::Pending => {
                self.slot = self.shared.watchdog.slot(self.plan.name());
                self.running.spawn(watched);
            }
        }
    }

    /// Takes in the end of an attempt.
    pub(crate) fn finish(&mut self, finished: Finished) {
        let Finished { taken, before, attempt, result } = finished;
        let now = self.shared.clock.now();
        self.counters.count(&result);
        let verdict = judge(&self.plan, taken.event.stored(), attempt, before.as_ref(), &result, now);
        let key = taken.subject_key();
        let open = match &verdict {
            Verdict::Row(row) => row.state != FailureState::Dead,
            Verdict::Done => false,
        };
        if let Verdict::Row(row) = &verdict {
            self.next_due = earliest(self.next_due, row.next_attempt_at);
            if row.state == FailureState::Dead {
                self.counters.count_dead();
            }
            if result.is_err() {
                self.shared.report_failure(taken.event.stored(), row);
            }
        }
        self.urgent = true;
        match before {
            None => {
                if let Verdict::Row(row) = verdict {
                    self.changes.push(FailureChange::Insert(*row));
                }
                self.close(&taken);
                if let Some(order) = &mut self.order {
                    let following = order.delivered(&key, taken.id(), open);
                    self.follow(following);
                }
            }
            Some(before) => {
                let attempts = before.attempts;
                self.changes.push(match verdict {
                    Verdict::Done => FailureChange::Remove { key: before.key.clone(), attempts },
                    Verdict::Row(failure) => FailureChange::Update { failure: *failure, attempts },
                });
                match &mut self.order {
                    Some(order) if open => order.row_waits(&key),
                    _ if open => {}
                    _ => self.row_ended(&key, &before),
                }
            }
        }
    }

    fn follow(&mut self, following: Following) {
        self.ready.extend(following.start);
        for taken in &following.park {
            self.park(taken);
        }
    }

    /// A failure row ended: in an ordered inbox the subject's next parked event is due.
    fn row_ended(&mut self, key: &SubjectKey, row: &Failure) {
        let Some(order) = &mut self.order else { return };
        if let Some(next) = order.row_ended(key, row.key.event.id) {
            let due = self.shared.clock.now();
            let event = EventRef { log: row.key.event.log.clone(), id: next };
            self.changes.push(FailureChange::Unpark { key: FailureKey { event, ..row.key.clone() }, due });
            self.next_due = earliest(self.next_due, Some(due));
        }
    }

    fn is_dirty(&self) -> bool {
        !self.changes.is_empty() || self.logs.iter().any(|log| log.dirty)
    }

    fn save_is_due(&self) -> bool {
        self.urgent && self.last_save.elapsed() >= self.shared.options.save_every
            || self.is_dirty() && self.last_save.elapsed() >= self.shared.options.save_idle_every
    }

    /// What a save has to write now. Every change of a failure row goes with a cursor, whose counter fences it.
    pub(crate) fn to_save(&self) -> Save {
        let inbox = self.plan.name();
        let fenced_by_first = !self.changes.is_empty() && !self.logs.iter().any(|log| log.dirty);
        let cursors = self
            .logs
            .iter()
            .enumerate()
            .filter(|(nth, log)| log.dirty || fenced_by_first && *nth == 0)
            .map(|(_, log)| CursorSave { log: log.name.clone(), saves: log.saves, cursor: log.cursor.save() })
            .collect();
        Save { inbox, epoch: self.epoch, cursors, failures: self.changes.clone() }
    }

    /// The save was applied.
    pub(crate) fn saved(&mut self, save: &Save) {
        for saved in &save.cursors {
            if let Some(log) = self.logs.iter_mut().find(|log| log.name == saved.log) {
                log.saves += 1;
                log.dirty = false;
            }
        }
        self.changes.clear();
        self.urgent = false;
        self.last_save = Instant::now();
    }

    /// Saves what is not saved.
    pub(crate) async fn save(&mut self) -> Result<(), StorageError> {
        if self.is_dirty() {
            let save = self.to_save();
            self.shared.storage.save(&save).await?;
            self.saved(&save);
        }
        self.urgent = false;
        Ok(())
    }

    pub(crate) fn slot(&self) -> Arc<Slot> {
        self.slot.clone()
    }
}

impl<S: Storage> LogLane<S> {
    /// The next event of the page at hand that the inbox takes.
    fn next_of_page(&mut self) -> Option<Arc<LoadedEvent>> {
        let page = self.page.as_ref()?;
        while let Some(event) = page.events.get(self.at) {
            if event.stored().id() > self.until {
                return None;
            }
            self.at += 1;
            self.dirty = true;
            let id = event.stored().id();
            if self.filter.takes(event.stored()) {
                if self.cursor.take(id) {
                    return Some(event.clone());
                }
            } else {
                self.cursor.pass(id);
            }
        }
        None
    }

    /// Raises the ceiling: further each time while the last block lasted less than a second, so that a backlog costs few saves,
    /// and by little at a slow pace, so that a crash leaves few suspects.
    fn raise_ceiling(&mut self, id: i64) {
        let fast = self.raised_at.elapsed() < PACE;
        self.block = if fast { (self.block * 2).min(CEILING_BLOCK) } else { CEILING_BLOCK_MIN };
        self.raised_at = Instant::now();
        self.cursor.raise_ceiling(id, self.block);
        self.dirty = true;
    }

    /// Reads the next page; false at the end of the log.
    async fn turn_page(&mut self, storage: &S, inbox: &str) -> Result<bool, StorageError> {
        let left = self.page.as_ref().is_some_and(|page| self.at < page.events.len());
        if left || self.page.as_ref().is_some_and(|page| self.tail.is_end(page)) {
            return Ok(false);
        }
        let also = self.cursor.wanted_again();
        // Asked before the read: the read that follows decides about what was ripe then.
        let ripe = match self.cursor.missing().is_empty() {
            true => IdSet::new(),
            false => storage.ripe(&self.name, self.cursor.missing(), &mut self.proof).await?,
        };
        let page = self.tail.read(storage, self.cursor.high(), &also).await?;
        if !also.is_empty() {
            let found: IdSet = page.events.iter().map(|event| event.stored().id()).collect();
            self.close_holes(ripe, &found, inbox);
        }
        let some = !page.events.is_empty();
        self.page = Some(page);
        self.at = 0;
        Ok(some)
    }

    fn close_holes(&mut self, ripe: IdSet, found: &IdSet, inbox: &str) {
        let mut dead = ripe;
        dead.remove_all(found);
        if !dead.is_empty() {
            self.cursor.settle(&dead);
            self.dirty = true;
        }
        let mut gone = self.cursor.recovering().clone();
        gone.remove_all(found);
        if !gone.is_empty() {
            tracing::error!(inbox, log = %self.name, events = %gone, "events in flight at the takeover are gone from the log");
            self.cursor.forget(&gone);
            self.dirty = true;
        }
    }
}

fn no_cursor(inbox: &str, log: &LogName) -> StorageError {
    StorageError::new(
        StorageErrorKind::Other,
        format!("inbox `{inbox}` has no cursor in log `{log}`: it is being made anew"),
    )
}

async fn load_order<S: Storage>(shared: &Shared<S>, plan: &Plan, logs: &[LogLane<S>]) -> Result<Order, StorageError> {
    let mut order = Order::default();
    for row in shared.storage.open_failures(plan.name()).await? {
        if let Some(at) = logs.iter().position(|lane| lane.name == row.event.log) {
            order.add_row((at, row.subject), row.event.id, row.parked);
        }
    }
    Ok(order)
}

async fn next_due<S: Storage>(storage: &S, inbox: &str) -> Result<Option<DateTime<Utc>>, StorageError> {
    let due = storage.next_due(&[inbox.to_owned()]).await?;
    Ok(due.into_iter().map(|(_, due)| due).min())
}

fn earliest(one: Option<DateTime<Utc>>, other: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    [one, other].into_iter().flatten().min()
}

/// Waits until one of the tails may have something new.
async fn any_changed(tails: &mut [watch::Receiver<u64>]) {
    let changes = tails.iter_mut().map(|tail| Box::pin(tail.changed()));
    let changes: Vec<_> = changes.collect();
    if changes.is_empty() {
        return std::future::pending().await;
    }
    // The sender lives as long as the dispatcher, so that waiting can't fail.
    let _ = futures_util::future::select_all(changes).await;
}

async fn until(clock: &crate::clock::Clock, time: Option<DateTime<Utc>>) {
    match time {
        Some(time) => clock.sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// What the supervisor says to a lane.
enum Told {
    Stop,
    /// A failure row is due then, perhaps one that an operator revived.
    Due(Option<DateTime<Utc>>),
    /// It is gone, and the lane with it.
    Nothing,
}

async fn told(orders: &mut Option<Orders>) -> Told {
    let Some(orders) = orders else { return std::future::pending().await };
    tokio::select! {
        changed = orders.stop.changed() => if changed.is_ok() { Told::Stop } else { Told::Nothing },
        changed = orders.due.changed() => {
            if changed.is_ok() { Told::Due(*orders.due.borrow_and_update()) } else { Told::Nothing }
        }
    }
}

pub(crate) fn lost_task(inbox: &str, error: tokio::task::JoinError) -> StorageError {
    StorageError::new(
        StorageErrorKind::Other,
        format!("inbox `{inbox}`: a handler's task ended without an answer; reloading"),
    )
    .caused_by(error)
}
