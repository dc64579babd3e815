//! The vital signs of a dispatcher at work: told by its supervisor and its lanes, at page turns and saves and never for a
//! single event, and read by [`health`](super::Dispatcher::health), which so needs no database.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::health::{OldestHole, Reloading, Trouble};
use super::plan::Plan;
use crate::cursor::IdSet;
use crate::names::LogName;
use crate::storage::{Pause, StorageError};

pub(crate) struct Vitals {
    pub(super) worker: Mutex<Worker>,
    pub(super) inboxes: HashMap<&'static str, Arc<InboxVitals>>,
    /// The newest id that each log is known to have given out.
    newest: HashMap<LogName, AtomicI64>,
    /// The lowest id of each log that the log did not give out; none of a log that is not in it.
    foreign: Mutex<HashMap<LogName, i64>>,
}

/// What is known of the dispatcher as a whole.
#[derive(Default)]
pub(super) struct Worker {
    pub(super) since: Option<DateTime<Utc>>,
    pub(super) reached: Option<DateTime<Utc>>,
    pub(super) failing: Option<Trouble>,
    /// Since when an answer to the regular questions is waited for.
    pub(super) asks: Option<(Instant, DateTime<Utc>)>,
}

/// What is known of one inbox.
pub(crate) struct InboxVitals {
    pub(super) state: Mutex<LaneState>,
    pub(super) pause: Mutex<Option<Pause>>,
    pub(super) logs: Vec<(LogName, Arc<LogVitals>)>,
}

#[derive(Clone, Default)]
pub(super) enum LaneState {
    #[default]
    NotRunning,
    HeldElsewhere,
    Running,
    Reloading(Reloading),
}

/// What is known of an inbox in one log; nothing before it was loaded.
#[derive(Default)]
pub(crate) struct LogVitals(Mutex<Option<LogSigns>>);

#[derive(Clone, Default)]
pub(crate) struct LogSigns {
    pub(crate) last_read: Option<DateTime<Utc>>,
    pub(crate) last_save: Option<DateTime<Utc>>,
    pub(crate) high: i64,
    /// A copy that costs nothing; whoever asks for their number counts them.
    pub(crate) missing: IdSet,
    pub(crate) in_flight: u64,
    /// When the oldest event that is known and not done was recorded.
    pub(crate) oldest: Option<DateTime<Utc>>,
    pub(crate) hole: Option<OldestHole>,
}

impl Vitals {
    pub(crate) fn new<'a>(plans: impl Iterator<Item = &'a Plan> + Clone) -> Self {
        let logs = |plan: &Plan| plan.logs.iter().map(|(log, _)| (log.clone(), Arc::default())).collect();
        let inbox = |plan: &Plan| InboxVitals { state: Mutex::default(), pause: Mutex::default(), logs: logs(plan) };
        Self {
            worker: Mutex::default(),
            foreign: Mutex::default(),
            newest: plans
                .clone()
                .flat_map(|plan| &plan.logs)
                .map(|(log, _)| (log.clone(), AtomicI64::new(0)))
                .collect(),
            inboxes: plans.map(|plan| (plan.name(), Arc::new(inbox(plan)))).collect(),
        }
    }

    pub(crate) fn started(&self, now: DateTime<Utc>) {
        *locked(&self.worker) = Worker { since: Some(now), ..Worker::default() };
    }

    pub(crate) fn stopped(&self) {
        let mut worker = locked(&self.worker);
        (worker.since, worker.failing, worker.asks) = (None, None, None);
        for inbox in self.inboxes.values() {
            *locked(&inbox.state) = LaneState::NotRunning;
        }
    }

    /// The database is asked what it is asked regularly.
    pub(crate) fn asks(&self, now: DateTime<Utc>) {
        locked(&self.worker).asks = Some((Instant::now(), now));
    }

    /// What came of it.
    pub(crate) fn answered(&self, answer: Result<(), &StorageError>, now: DateTime<Utc>) {
        let mut worker = locked(&self.worker);
        worker.asks = None;
        match answer {
            Ok(()) => {
                worker.reached = Some(now);
                worker.failing = None;
            }
            Err(error) => {
                let since = worker.failing.as_ref().map_or(now, |failing| failing.since);
                worker.failing = Some(Trouble::new(since, error));
            }
        }
    }

    pub(crate) fn knows_newest(&self, log: &LogName, id: i64) {
        if let Some(newest) = self.newest.get(log) {
            newest.store(id, Relaxed);
        }
    }

    /// Whether that is news.
    pub(crate) fn knows_foreign_id(&self, log: &LogName, id: Option<i64>) -> bool {
        let mut foreign = locked(&self.foreign);
        match id {
            Some(id) => foreign.insert(log.clone(), id) != Some(id),
            None => foreign.remove(log).is_some(),
        }
    }

    pub(super) fn foreign_id(&self, log: &LogName) -> Option<i64> {
        locked(&self.foreign).get(log).copied()
    }

    pub(super) fn newest(&self, log: &LogName) -> i64 {
        self.newest.get(log).map_or(0, |newest| newest.load(Relaxed))
    }

    /// Another worker has the inbox: what is known of its place is no longer so.
    pub(crate) fn held_elsewhere(&self, inbox: &str) {
        if let Some(inbox) = self.inboxes.get(inbox) {
            *locked(&inbox.state) = LaneState::HeldElsewhere;
            for (_, log) in &inbox.logs {
                *locked(&log.0) = None;
            }
        }
    }

    pub(crate) fn reloads(&self, inbox: &str, reloading: Reloading) {
        if let Some(inbox) = self.inboxes.get(inbox) {
            *locked(&inbox.state) = LaneState::Reloading(reloading);
        }
    }

    pub(crate) fn runs(&self, inbox: &str) {
        if let Some(inbox) = self.inboxes.get(inbox) {
            *locked(&inbox.state) = LaneState::Running;
        }
    }

    pub(crate) fn pauses(&self, inbox: &str, pause: Option<&Pause>) {
        if let Some(inbox) = self.inboxes.get(inbox) {
            *locked(&inbox.pause) = pause.cloned();
        }
    }

    pub(crate) fn log(&self, inbox: &str, log: &LogName) -> Arc<LogVitals> {
        let logs = self.inboxes.get(inbox).map(|inbox| &inbox.logs);
        let known = logs.and_then(|logs| logs.iter().find(|(name, _)| name == log));
        known.map(|(_, log)| log.clone()).unwrap_or_default()
    }
}

impl LogVitals {
    pub(crate) fn tell(&self, change: impl FnOnce(&mut LogSigns)) {
        change(locked(&self.0).get_or_insert_default());
    }

    pub(super) fn signs(&self) -> Option<LogSigns> {
        locked(&self.0).clone()
    }
}

/// Nothing that is held here while locked can panic half-way.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
