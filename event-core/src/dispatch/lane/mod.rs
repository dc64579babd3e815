//! A lane: one inbox at work. Owns the inbox's cursors and everything about it that is not saved yet.
//!
//! The lane is one task, so nothing here is locked. Handlers that are not ready at once become tasks of their own: a slow or
//! blocking one holds up neither the lane's reads nor its saves. After any error the lane is dropped whole and a new one
//! loaded from the database: nothing that was only in memory survives, which is what makes a lost acknowledgement harmless.

mod attempt;
mod batch;
mod breaker;
mod log;
mod order;
mod orders;
mod probe;
mod retries;
mod saving;
mod signs;
mod time;
mod together;
mod transaction;
mod waiting;

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::company::Member;
use super::filter::Interest;
use super::plan::Plan;
use super::report::Counters;
use super::shared::Shared;
use super::verdict::later;
use super::watchdog::Slot;
use crate::inbox::{InboxResult, LoadedEvent};
use crate::names::LogName;
use crate::storage::{Claimed, DueFailure, Failure, FailureChange, Pause, Storage, StorageError, StorageErrorKind};
use crate::wake::Recorded;
use batch::BatchSize;
use breaker::{Breaker, BreakerSettings};
use log::LogLane;
use order::{Admitted, Order, SubjectKey};
use orders::{Told, told};
use time::RecentTime;

pub(crate) use orders::Orders;

/// An event that the lane took from a log and is answerable for.
pub(crate) struct Taken {
    pub(crate) log: usize,
    pub(crate) event: Arc<LoadedEvent>,
    /// Whether this program knows it: what is unknown is kept waiting when its turn comes.
    pub(crate) known: bool,
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
    pub(crate) before: Option<Box<Failure>>,
    pub(crate) attempt: u32,
    pub(crate) result: InboxResult,
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
    /// The inbox is paused, and its next probe not due.
    Paused,
    /// Another lane's delivery has to run alone.
    Alone,
}

pub(crate) struct Lane<S: Storage> {
    shared: Arc<Shared<S>>,
    pub(crate) plan: Arc<Plan>,
    /// Both, for deliveries: a counter of this lane's own, which no other processor writes to.
    work: Arc<(Arc<Shared<S>>, Arc<Plan>)>,
    logs: Vec<LogLane<S>>,
    changes: Vec<FailureChange>,
    order: Option<Order>,
    breaker: Breaker,
    /// Of a serial inbox.
    batch: BatchSize,
    /// Taken, and next in turn.
    ready: VecDeque<Taken>,
    /// Taken by a pause that looked for other subjects; next in turn behind `ready`, in the order of the logs.
    aside: VecDeque<Taken>,
    asides_turn: bool,
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
    rows_turn: bool,
    /// While it delivers beside other lanes.
    member: Option<Member>,
    slot: Arc<Slot>,
    /// The logs in which the handlers of the open transaction recorded.
    recorded: Recorded,
    last_save: Instant,
    time: RecentTime,
    /// Something was delivered since the last save: to be saved soon.
    urgent: bool,
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
            let vitals = shared.vitals.log(plan.name(), name);
            logs.push(LogLane::new(loaded, filter.clone(), tail.clone(), vitals, shared.clock.clone()));
        }
        let order =
            if plan.descriptor.settings().ordered { Some(load_order(&shared, &plan, &logs).await?) } else { None };
        waiting::wake_known(&shared, &plan, &logs).await?;
        let now = shared.clock.now();
        let policy = plan.descriptor.settings().retry;
        let latest = move |attempts| later(now, policy.wait(attempts, 1.0));
        shared.storage.bound_retries(plan.name(), now, &latest).await?;
        let next_due = next_due(&shared.storage, plan.name()).await?;
        let settings = BreakerSettings {
            after: plan.descriptor.settings().pause_after,
            first: shared.options.pause_first,
            longest: shared.options.pause_longest,
        };
        let breaker = Breaker::new(settings, claimed.pause, shared.clock.now());
        shared.vitals.pauses(plan.name(), breaker.pause());
        shared.vitals.runs(plan.name());
        let counters = shared.counters.get(plan.name()).cloned().unwrap_or_default();
        let slot = shared.watchdog.slot(plan.name());
        Ok(Self {
            work: Arc::new((shared.clone(), plan.clone())),
            batch: BatchSize::new(plan.descriptor.settings().batch.unwrap_or(shared.options.batch)),
            shared,
            plan,
            logs,
            changes: Vec::new(),
            order,
            breaker,
            ready: VecDeque::new(),
            aside: VecDeque::new(),
            asides_turn: false,
            progress: 0,
            epoch: claimed.epoch,
            orders: None,
            counters,
            lease,
            running: JoinSet::new(),
            retries: VecDeque::new(),
            next_due,
            next_log: 0,
            rows_turn: false,
            member: None,
            slot,
            recorded: Recorded::new(),
            last_save: Instant::now(),
            time: RecentTime::new(),
            urgent: false,
        })
    }

    /// Works until it is told to stop, then ends what runs, saves, and gives the inbox up.
    pub(crate) async fn run(mut self, orders: Orders) -> Result<(), StorageError> {
        self.orders = Some(orders);
        let mut tails: Vec<_> = self.logs.iter().map(|log| log.generation()).collect();
        loop {
            for tail in &mut tails {
                tail.mark_unchanged();
            }
            self.advance().await?;
            if self.is_stopping() {
                return self.end().await;
            }
            let lazy_save = self.last_save + self.shared.options.save_idle_every;
            // A paused inbox takes nothing before its next probe. If that is due already there was nothing to try it on.
            let paused_until = self.breaker.looks_at().filter(|&until| until > self.shared.clock.now());
            tokio::select! {
                () = any_changed(&mut tails), if paused_until.is_none() => {}
                () = until(&self.shared.clock, paused_until.or(self.next_due)) => {}
                told = told(&mut self.orders) => self.obey(told)?,
                () = tokio::time::sleep_until(lazy_save), if self.is_dirty() => self.save().await?,
            }
        }
    }

    /// Whether it works for a drain, and for no supervisor.
    fn drains(&self) -> bool {
        self.orders.is_none()
    }

    /// The inbox's pause, if it is paused.
    pub(crate) fn pause(&self) -> Option<&Pause> {
        self.breaker.pause()
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
            self.shared.vitals.knows_newest(&log.name, log.until);
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
        let mut tails: Vec<_> = self.logs.iter().map(|log| log.generation()).collect();
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
            let fill = if stopping { Fill::Full } else { self.fill().await? };
            if self.save_is_due() {
                self.save().await?;
            }
            if self.running.is_empty() {
                self.member = None;
            }
            if self.running.is_empty() && (stopping || matches!(fill, Fill::AtTail | Fill::Paused)) {
                if self.urgent || self.drains() {
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
                () = until(&self.shared.clock, self.breaker.looks_at()), if fill == Fill::Paused && !self.drains() => {}
                () = tokio::time::sleep_until(save_at), if self.urgent => self.save().await?,
                changed = self.lease.changed(), if fill == Fill::NoLease => {
                    if changed.is_err() {
                        return Err(StorageError::fenced(self.plan.name()));
                    }
                }
                () = self.shared.company.may_join(), if fill == Fill::Alone => {}
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

    /// Starts what may run now, in the inbox's own way.
    async fn fill(&mut self) -> Result<Fill, StorageError> {
        loop {
            let paused = self.breaker.is_paused();
            let fill = if paused {
                self.fill_paused().await?
            } else if self.plan.is_serial() {
                self.fill_serially().await?
            } else {
                self.fill_beside().await?
            };
            if self.breaker.is_paused() == paused {
                return Ok(fill);
            }
        }
    }

    /// Whether this lane may deliver beside the others; false while one has to be alone.
    fn joins(&mut self) -> bool {
        let company = &self.shared.company;
        if company.must_leave() {
            return false;
        }
        if self.member.is_none() {
            self.member = company.join();
        }
        self.member.is_some()
    }

    /// As many deliveries beside each other as may run.
    async fn fill_beside(&mut self) -> Result<Fill, StorageError> {
        let concurrency = self.plan.descriptor.settings().concurrency;
        self.time.passed();
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
            if self.breaker.is_paused() {
                return Ok(Fill::Paused);
            }
            if self.is_stopping() {
                return Ok(Fill::Full);
            }
            if !self.joins() {
                return Ok(Fill::Alone);
            }
            let now = self.time.get(&self.slot);
            if !self.lease_holds_at(now) {
                return Ok(Fill::NoLease);
            }
            if self.save_is_due_at(now) {
                self.save().await?;
            }
            if self.take_turn() && self.has_rows() && self.retry_next().await? {
                self.time.passed();
                continue;
            }
            if let Some(taken) = self.ready.pop_front() {
                self.start(taken).await?;
            } else if let Some(taken) = self.next_event().await? {
                self.admit(taken).await?;
            } else if !self.retry_next().await? {
                return Ok(Fill::AtTail);
            }
        }
    }

    /// Whether it is the failure rows' turn. They and the events take turns: what always fails, and is due again and again, must
    /// neither delay what is new nor, being all that is tried for a while, have the inbox paused.
    fn take_turn(&mut self) -> bool {
        self.rows_turn = !self.rows_turn;
        self.rows_turn
    }

    pub(crate) fn lease_holds(&self) -> bool {
        *self.lease.borrow() > Instant::now()
    }

    /// The same by a clock that may be a little behind.
    fn lease_holds_at(&mut self, recent: Instant) -> bool {
        // Not borrowed for longer: a second borrow waits for a supervisor that waits for the first.
        let until = *self.lease.borrow();
        until > recent + RecentTime::AGE || {
            self.time.passed();
            until > Instant::now()
        }
    }

    /// The next event that the inbox takes. What a pause set aside and what is read now take turns: those set aside are of
    /// subjects that failed, and would pause the inbox again. An ordered inbox keeps the order of the logs.
    pub(crate) async fn next_event(&mut self) -> Result<Option<Taken>, StorageError> {
        self.asides_turn = !self.asides_turn || self.order.is_some();
        if self.asides_turn || self.aside.is_empty() {
            return match self.aside.pop_front() {
                Some(taken) => Ok(Some(taken)),
                None => self.next_read().await,
            };
        }
        Ok(self.next_read().await?.or_else(|| self.aside.pop_front()))
    }

    /// The next event that the inbox takes, from its logs in turn. What it does not take is passed over.
    async fn next_read(&mut self) -> Result<Option<Taken>, StorageError> {
        for _ in 0..self.logs.len() {
            let at = self.next_log;
            self.next_log = (self.next_log + 1) % self.logs.len();
            loop {
                if let Some((event, interest)) = self.logs[at].next_of_page() {
                    self.progress += 1;
                    return Ok(Some(Taken { log: at, event, known: interest != Interest::Unknown }));
                }
                // Pages of what others take are passed over here: not for ever, and not without a save now and then.
                self.time.passed();
                if self.is_stopping() || !self.logs[at].turn_page(&self.shared, self.plan.name()).await? {
                    break;
                }
                if self.save_is_due() {
                    self.save().await?;
                }
            }
        }
        Ok(None)
    }

    /// Starts an event's first delivery unless it has to wait for an earlier one of its subject; false if so.
    async fn admit(&mut self, taken: Taken) -> Result<bool, StorageError> {
        let admitted = match &mut self.order {
            Some(order) => order.admit(taken),
            None => Admitted::Start(taken),
        };
        match admitted {
            Admitted::Start(taken) => self.start(taken).await,
            Admitted::Queued => Ok(false),
            Admitted::Park(taken) => {
                self.park(&taken);
                Ok(false)
            }
        }
    }

    /// Starts an event's first delivery; false if this program does not know the event and keeps it waiting.
    async fn start(&mut self, taken: Taken) -> Result<bool, StorageError> {
        if !taken.known {
            self.keep_waiting(&taken);
            return Ok(false);
        }
        if self.logs[taken.log].cursor.is_suspect(taken.id()) {
            self.start_suspect(taken).await?;
        } else {
            self.cover(&[(taken.log, taken.id())]).await?;
            self.launch(taken, None, 1).await;
        }
        Ok(true)
    }

    async fn wait_for_running(&mut self) -> Result<(), StorageError> {
        while let Some(joined) = self.running.join_next().await {
            let finished = joined.map_err(|error| lost_task(self.plan.name(), error))?;
            self.finish(finished);
        }
        Ok(())
    }

    pub(crate) fn slot(&self) -> Arc<Slot> {
        self.slot.clone()
    }
}

fn no_cursor(inbox: &str, log: &LogName) -> StorageError {
    StorageError::new(
        StorageErrorKind::Other,
        format!("inbox `{inbox}` has no cursor in log `{log}`: it is being made anew"),
    )
}

async fn load_order<S: Storage>(shared: &Shared<S>, plan: &Plan, logs: &[LogLane<S>]) -> Result<Order, StorageError> {
    let mut order = Order::new(shared.options.page_bytes);
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

pub(crate) fn lost_task(inbox: &str, error: tokio::task::JoinError) -> StorageError {
    StorageError::new(
        StorageErrorKind::Other,
        format!("inbox `{inbox}`: a handler's task ended without an answer; reloading"),
    )
    .caused_by(error)
}
