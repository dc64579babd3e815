//! What all lanes of a dispatcher share.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::company::Company;
use super::plan::Plan;
use super::report::Counters;
use super::tail::Tail;
use super::vitals::{Vitals, locked};
use super::watchdog::{Blocked, Watchdog};
use crate::clock::Clock;
use crate::inbox::States;
use crate::names::LogName;
use crate::recorded::StoredEvent;
use crate::storage::{Failure, FailureState, Storage};
use crate::wake::What;

/// A delivery that failed, as the failure hook is told.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FailedDelivery<'a> {
    /// The event; its metadata may hold personal data.
    pub event: &'a StoredEvent,
    /// The failure row: inbox, attempts, error, next attempt.
    pub failure: &'a Failure,
}

impl FailedDelivery<'_> {
    /// Whether it is a dead letter now.
    pub fn is_dead(&self) -> bool {
        self.failure.state == FailureState::Dead
    }
}

pub(crate) type FailureHook = Arc<dyn Fn(&FailedDelivery<'_>) + Send + Sync>;
pub(crate) type BlockedHook = Arc<dyn Fn(&Blocked) + Send + Sync>;

/// The dispatcher's own settings.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) lease: Duration,
    pub(crate) poll_min: Duration,
    pub(crate) poll_max: Duration,
    pub(crate) page: u64,
    pub(crate) page_bytes: usize,
    pub(crate) batch: usize,
    pub(crate) batch_time: Duration,
    pub(crate) save_every: Duration,
    pub(crate) save_idle_every: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) blocked_after: Duration,
    pub(crate) drain_rounds: usize,
    pub(crate) pause_first: Duration,
    pub(crate) pause_longest: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            poll_min: Duration::from_millis(20),
            poll_max: Duration::from_secs(1),
            page: 1_000,
            page_bytes: 4 << 20,
            batch: 256,
            batch_time: Duration::from_millis(250),
            save_every: Duration::from_millis(100),
            save_idle_every: Duration::from_secs(5),
            shutdown_timeout: Duration::from_secs(30),
            blocked_after: Duration::from_secs(1),
            drain_rounds: 10_000,
            pause_first: Duration::from_secs(1),
            pause_longest: Duration::from_secs(5 * 60),
        }
    }
}

pub(crate) struct Shared<S: Storage> {
    pub(crate) storage: S,
    pub(crate) plans: Vec<Arc<Plan>>,
    pub(crate) tails: HashMap<LogName, Arc<Tail>>,
    pub(crate) counters: HashMap<&'static str, Arc<Counters>>,
    pub(crate) states: States,
    pub(crate) clock: Clock,
    pub(crate) options: Options,
    pub(crate) on_failure: Option<FailureHook>,
    pub(crate) watchdog: Watchdog,
    pub(crate) vitals: Vitals,
    pub(crate) unknown: UnknownNames,
    pub(crate) company: Arc<Company>,
    /// Names this dispatcher in leases; never the same twice.
    pub(crate) owner: String,
    /// Held while it runs or drains: its clones share one owner, and would take each other's inboxes for their own.
    pub(crate) working: tokio::sync::Mutex<()>,
}

impl<S: Storage> Shared<S> {
    /// There may be something new in any log.
    pub(crate) fn bump(&self) {
        for tail in self.tails.values() {
            tail.bump();
        }
    }

    /// There may be something new in these logs.
    pub(crate) fn bump_some(&self, what: &What) {
        if what.is_everything {
            return self.bump();
        }
        for tail in what.logs.iter().filter_map(|log| self.tails.get(log)) {
            tail.bump();
        }
    }

    /// Forgets what the tails hold.
    pub(crate) async fn forget_pages(&self) {
        for tail in self.tails.values() {
            tail.forget().await;
        }
    }

    /// Warns once of each action that an inbox of this program reads and no linked enum has.
    pub(crate) fn warn_unknown(&self, inbox: &'static str, log: &LogName, subject: &str, action: &str) {
        if self.unknown.is_new(inbox, log, subject, action) {
            tracing::warn!(
                inbox,
                log = %log,
                subject,
                action,
                "this program does not know this action, or not in the version that was recorded: its events wait, without an \
                 attempt, for a program that does. Deploy the version that records it. If the crate of its enum is not linked, write \
                 `use that_crate as _;`. If another program's inboxes handle the subject, name it by `foreign_subjects` of the \
                 dispatcher's builder"
            );
        }
    }

    /// Tells the log and the hook of a failed delivery. The metadata stays out of the log: it may be personal.
    pub(crate) fn report_failure(&self, event: &StoredEvent, failure: &Failure) {
        let dead = failure.state == FailureState::Dead;
        tracing::warn!(
            inbox = failure.key.inbox,
            event = %failure.key.event,
            action = failure.action,
            attempts = failure.attempts,
            kind = failure.kind,
            dead,
            "delivery failed"
        );
        if let Some(hook) = &self.on_failure {
            guarded("on_failure", || hook(&FailedDelivery { event, failure }));
        }
    }
}

/// The unknown actions that were warned of, by inbox.
#[derive(Default)]
pub(crate) struct UnknownNames(Mutex<HashSet<(&'static str, LogName, String, String)>>);

impl UnknownNames {
    /// How many are remembered: rows of strange programs may have any name.
    const MOST: usize = 1_000;

    fn is_new(&self, inbox: &'static str, log: &LogName, subject: &str, action: &str) -> bool {
        let mut names = locked(&self.0);
        names.len() < Self::MOST && names.insert((inbox, log.clone(), subject.to_owned(), action.to_owned()))
    }
}

/// Runs a hook of the user's: its panic must not end the lane, or the watchdog, that tells it something.
pub(crate) fn guarded(name: &'static str, hook: impl FnOnce()) {
    if let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(hook)) {
        tracing::error!(hook = name, "the dispatcher's hook panicked");
        drop_guarded(panic);
    }
}

/// Drops what is the user's: a panic of its destructor must not end the lane.
pub(crate) fn drop_guarded<T>(value: T) {
    if let Err(second) = std::panic::catch_unwind(AssertUnwindSafe(|| drop(value))) {
        tracing::error!("a destructor of a handler's value panicked");
        // Its destructor may panic as well, and so on for ever.
        std::mem::forget(second);
    }
}

/// The watchdog's report, without a hook of the user's.
pub(crate) fn warn_blocked(blocked: &Blocked) {
    tracing::error!(
        inbox = blocked.inbox,
        event = blocked.event.as_ref().map(tracing::field::display),
        blocked_for = ?blocked.blocked_for,
        "a handler blocks its thread: move what blocks into `tokio::task::spawn_blocking`"
    );
}
