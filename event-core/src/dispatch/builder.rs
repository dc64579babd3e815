//! Building a dispatcher: settings, state, and the check of everything together.

use std::sync::Arc;
use std::time::Duration;

use super::Dispatcher;
use super::filter::Overrides;
use super::plan::{BuildErrors, plan};
use super::shared::{BlockedHook, FailedDelivery, FailureHook, Options, Shared, UnknownNames, guarded, warn_blocked};
use super::tail::Tail;
use super::vitals::Vitals;
use super::watchdog::{Blocked, Watchdog};
use crate::clock::Clock;
use crate::inbox::States;
use crate::registry;
use crate::storage::Storage;

/// Settings of a dispatcher to be.
#[must_use = "a builder does nothing until `.build()?`"]
pub struct Builder<S> {
    storage: S,
    states: States,
    clock: Clock,
    options: Options,
    expected: Vec<String>,
    only: Option<Vec<String>>,
    overrides: Overrides,
    on_failure: Option<FailureHook>,
    on_blocked: Option<BlockedHook>,
}

impl<S: Storage> Builder<S> {
    pub(crate) fn new(storage: S) -> Self {
        Self {
            storage,
            states: States::default(),
            clock: Clock::system(),
            options: Options::default(),
            expected: Vec::new(),
            only: None,
            overrides: Overrides::default(),
            on_failure: None,
            on_blocked: None,
        }
    }

    /// A value that handlers take by `State<T>`; one per type, a later one replaces it.
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.states.insert(value);
        self
    }

    /// Inboxes that have to be linked, by stored name: the check against a crate that the linker left out.
    pub fn expect<N: Into<String>>(mut self, inboxes: impl IntoIterator<Item = N>) -> Self {
        self.expected.extend(inboxes.into_iter().map(Into::into));
        self
    }

    /// Runs these inboxes only, by stored name; each has to be linked. Others are left to other workers.
    pub fn only<N: Into<String>>(mut self, inboxes: impl IntoIterator<Item = N>) -> Self {
        let inboxes: Vec<String> = inboxes.into_iter().map(Into::into).collect();
        self.expected.extend(inboxes.iter().cloned());
        self.only.get_or_insert_default().extend(inboxes);
        self
    }

    /// Names subjects whose events other programs handle: inboxes of this one pass over them.
    ///
    /// Needed only where programs with different enums share a log. An event whose subject no linked enum has may be one that the
    /// next version of this program takes, so that every inbox of the log keeps it waiting; see the guide, "Deployments".
    ///
    /// ```
    /// # fn example<S: event_core::storage::Storage>(builder: event_core::dispatch::Builder<S>) {
    /// let builder = builder.foreign_subjects(["invoice", "payout"]);
    /// # }
    /// ```
    pub fn foreign_subjects<N: Into<String>>(mut self, subjects: impl IntoIterator<Item = N>) -> Self {
        self.overrides.foreign.extend(subjects.into_iter().map(Into::into));
        self
    }

    /// Treats an action as if no linked enum had it: tests simulate an older program.
    #[doc(hidden)]
    pub fn forget_action(mut self, subject: &str, action: &str) -> Self {
        self.overrides.forgotten.push((subject.to_owned(), action.to_owned()));
        self
    }

    /// The clock that retries and snoozes go by; tests give one that they move.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    pub(crate) fn its_clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn storage_mut(&mut self) -> &mut S {
        &mut self.storage
    }

    /// How long an inbox stays with a worker that says nothing any more. 10 seconds by default, 100 ms at least.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.options.lease = lease.max(Duration::from_millis(100));
        self
    }

    /// How often an idle dispatcher looks for events that nobody told it of: from `fastest`, right after something happened,
    /// slowing down to `slowest`. 20 ms and 1 s by default.
    pub fn poll(mut self, fastest: Duration, slowest: Duration) -> Self {
        self.options.poll_min = fastest.max(Duration::from_millis(1));
        self.options.poll_max = slowest.max(self.options.poll_min);
        self
    }

    /// How many events are read at a time at most: 1,000 by default, and fewer where they are large
    /// ([`page_bytes`](Self::page_bytes)).
    pub fn page(mut self, events: u32) -> Self {
        self.options.page = u64::from(events.max(1));
        self
    }

    /// About how many bytes of memory the events that are read at a time may take: 4 MiB by default, 64 KiB at least. A read ends
    /// with the event that reaches it, so that a page of large events has few of them, and always one.
    ///
    /// A worker holds a few such pages for each log, and as many bytes for each inbox whose handlers take batches or that is
    /// `ordered`.
    pub fn page_bytes(mut self, bytes: usize) -> Self {
        self.options.page_bytes = bytes.max(64 << 10);
        self
    }

    /// The bounds of a batch, in events (256 by default) and in time (250 ms by default): of a transactional inbox, or of one that
    /// takes `Vec<Event<_>>`, where the time-out takes the place of the time. Batches grow to it from 64 events while handlers
    /// succeed; one in which a handler failed is run again, event by event, at most 64 of them at a time.
    pub fn batch(mut self, events: usize, time: Duration) -> Self {
        self.options.batch = events.max(1);
        self.options.batch_time = time;
        self
    }

    /// How long running handlers have to end at a shutdown; then they are dropped, and delivered again later. 30 s by default.
    ///
    /// For the last saves there is as long again, one second at least and five at most. Then `run` returns, also while the
    /// database does not answer: what was not saved is delivered again by the next owner.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.options.shutdown_timeout = timeout;
        self
    }

    /// How many rounds a drain makes while handlers keep recording events. 10,000 by default.
    pub fn drain_rounds(mut self, rounds: usize) -> Self {
        self.options.drain_rounds = rounds.max(1);
        self
    }

    /// How long an inbox whose deliveries all fail is paused before one of them is tried again: `first`, then twice as long each
    /// time, up to `longest`. 1 s and 5 min by default. After failures of how many subjects is the inbox's own setting, `pause(after = 10)`.
    pub fn pause(mut self, first: Duration, longest: Duration) -> Self {
        self.options.pause_first = first.max(Duration::from_millis(1));
        self.options.pause_longest = longest.max(self.options.pause_first);
        self
    }

    /// Called for every failed delivery, in every inbox: the one place for an error tracker. It must not block.
    pub fn on_failure(mut self, hook: impl Fn(&FailedDelivery<'_>) + Send + Sync + 'static) -> Self {
        self.on_failure = Some(Arc::new(hook));
        self
    }

    /// Called when a handler has blocked its thread for longer than `after`, beside an error in the log.
    pub fn on_blocked(mut self, after: Duration, hook: impl Fn(&Blocked) + Send + Sync + 'static) -> Self {
        self.options.blocked_after = after;
        self.on_blocked = Some(Arc::new(hook));
        self
    }

    /// Finds every linked inbox, checks everything, and builds the dispatcher.
    ///
    /// # Errors
    /// Everything that is wrong, at once, each with its place in the source: two inboxes of one name, two enums with one
    /// subject and action, state that nobody provided, an expected inbox that is not linked, and the like.
    pub fn build(mut self) -> Result<Dispatcher<S>, BuildErrors> {
        let mut inboxes = registry::inboxes().to_vec();
        if let Some(only) = &self.only {
            inboxes.retain(|inbox| only.iter().any(|name| name == inbox.name()));
        }
        self.storage.provide(&mut self.states);
        let plans =
            plan(&inboxes, registry::inboxes(), registry::events(), &self.expected, &self.states, &self.overrides)?;
        let (plans, idle): (Vec<_>, Vec<_>) = plans.into_iter().partition(|plan| !plan.logs.is_empty());
        for plan in idle {
            tracing::warn!(inbox = plan.name(), "no event that this inbox takes is linked: it has nothing to do");
        }
        if plans.is_empty() {
            tracing::warn!("no inbox is linked: the dispatcher has nothing to do");
        }
        let logs = plans.iter().flat_map(|plan| plan.logs.iter().map(|(log, _)| log.clone()));
        let tails = logs
            .map(|log| (log.clone(), Arc::new(Tail::new(log, self.options.page, self.options.page_bytes))))
            .collect();
        let counters = plans.iter().map(|plan| (plan.name(), Arc::default())).collect();
        let hook = self.on_blocked;
        let watchdog = Watchdog::start(self.options.blocked_after, move |blocked| {
            warn_blocked(&blocked);
            if let Some(hook) = &hook {
                guarded("on_blocked", || hook(&blocked));
            }
        });
        let vitals = Vitals::new(plans.iter());
        let shared = Shared {
            storage: self.storage,
            plans: plans.into_iter().map(Arc::new).collect(),
            tails,
            counters,
            states: self.states,
            clock: self.clock,
            options: self.options,
            on_failure: self.on_failure,
            watchdog,
            vitals,
            unknown: UnknownNames::default(),
            company: Arc::default(),
            working: tokio::sync::Mutex::default(),
            owner: format!("{}-{:016x}", std::process::id(), fastrand::u64(..)),
        };
        Ok(Dispatcher { shared: Arc::new(shared) })
    }
}
