//! An inbox's description: its name, what it takes, its settings, and how its function is called.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use super::{Delivery, InboxError, InboxResult, Needs};
use crate::names::{Location, LogName};

/// The marker that `#[inbox]` puts beside a function: names the inbox for the test kit and the registry.
///
/// Implemented by the macro only.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no inbox",
    label = "not an inbox",
    note = "put `#[inbox]` on the function, or on the `impl` block, that handles the events"
)]
pub trait Inbox: 'static {
    /// The inbox's description.
    fn descriptor() -> &'static InboxDescriptor;
}

/// An action that an inbox takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionRef {
    /// The log.
    pub log: &'static str,
    /// The subject's name.
    pub subject: &'static str,
    /// The action's stored name.
    pub action: &'static str,
    /// The names it was stored under in the past.
    pub aliases: &'static [&'static str],
}

impl ActionRef {
    /// The reference to an action of an enum.
    pub fn new<A: crate::event::Action>(action: A) -> Self {
        let event = <A::Event as crate::event::DomainEvent>::descriptor();
        let aliases = action.descriptor().aliases();
        Self { log: event.log(), subject: event.subject(), action: action.name(), aliases }
    }
}

/// How the wait between attempts grows.
///
/// `wait(n)` after attempt `n` failed, before jitter and the maximum:
/// polynomial is `base * n^4` (Rails' `:polynomially_longer`, Sidekiq's default), exponential is `base * 2^(n - 1)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backoff {
    /// `base * n^4`.
    Polynomial,
    /// `base * 2^(n - 1)`.
    Exponential,
}

/// How often and when a failed delivery is tried again.
///
/// ```
/// use event_core::RetryPolicy;
/// use std::time::Duration;
/// let policy = RetryPolicy::DEFAULT;
/// let third = policy.wait(3, 0.0);
/// assert_eq!(third, Duration::from_secs(81));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Attempts in all, the first one included; at least 1.
    pub max_attempts: u32,
    /// How the wait grows.
    pub backoff: Backoff,
    /// The wait's unit.
    pub base: Duration,
    /// The longest wait.
    pub max_wait: Duration,
    /// How much of the wait may be added at random, from 0 to 1: so that what failed together does not come back together.
    pub jitter: f64,
}

impl RetryPolicy {
    /// Twelve attempts over about eleven hours: polynomial, from one second to at most a day, 15 % jitter.
    pub const DEFAULT: Self = Self {
        max_attempts: 12,
        backoff: Backoff::Polynomial,
        base: Duration::from_secs(1),
        max_wait: Duration::from_secs(24 * 60 * 60),
        jitter: 0.15,
    };

    /// The wait after attempt `attempt` (from 1) failed; `random` is from 0 to 1 and scales the jitter.
    pub fn wait(&self, attempt: u32, random: f64) -> Duration {
        let attempt = f64::from(attempt.max(1));
        let factor = match self.backoff {
            Backoff::Polynomial => attempt.powi(4),
            Backoff::Exponential => (attempt - 1.0).exp2(),
        };
        let longest = self.max_wait.as_secs_f64();
        let wait = (self.base.as_secs_f64() * factor).min(longest);
        let jittered = wait * (1.0 + self.jitter.clamp(0.0, 1.0) * random.clamp(0.0, 1.0));
        Duration::try_from_secs_f64(jittered.min(longest)).unwrap_or(self.max_wait)
    }
}

/// Where a new inbox starts in a log that has events already. Stored at first sight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With what is recorded from now on; a new mailer must not mail history.
    #[default]
    Now,
    /// With the first event ever.
    Beginning,
}

/// An inbox's own settings.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// Deliveries at the same time; at least 1. A transactional inbox runs its events one after another, one that takes a
    /// batch its batches.
    pub concurrency: usize,
    /// How long a handler may take. It acts at an await: a handler that blocks its thread is reported, not stopped.
    pub timeout: Duration,
    /// When a failed delivery is tried again.
    pub retry: RetryPolicy,
    /// Where a new inbox starts.
    pub start: Start,
    /// One subject's events one after another, those behind a failed one parked until it ends.
    pub ordered: bool,
    /// Deliveries of how many different subjects have to fail in a row for the inbox to pause; at least 1, `None` for never.
    ///
    /// Only errors that may be retried count, and time-outs and panics. A success begins the row anew; what says nothing about
    /// the inbox (skipped, snoozed, discarded, undecodable, an error not worth a retry) is left out.
    pub pause_after: Option<u32>,
    /// The most events of one call, in an inbox that takes a batch; at least 1, `None` for the dispatcher's
    /// [`batch`](crate::dispatch::Builder::batch).
    pub batch: Option<usize>,
}

impl Settings {
    /// What `#[inbox]` without settings means: 8 at a time, 30 seconds each, the default retries, from now on, unordered, paused
    /// after failures in a row of 10 different subjects.
    pub const DEFAULT: Self = Self {
        concurrency: 8,
        timeout: Duration::from_secs(30),
        retry: RetryPolicy::DEFAULT,
        start: Start::Now,
        ordered: false,
        pause_after: Some(10),
        batch: None,
    };
}

type Filter = fn(&Delivery<'_>) -> Result<bool, InboxError>;
type Handler = for<'a> fn(&'a Delivery<'a>) -> Pin<Box<dyn Future<Output = InboxResult> + Send + 'a>>;

/// What the macro hands over. Not part of the public face: its fields change with the macro.
#[doc(hidden)]
pub struct InboxParts {
    pub name: &'static str,
    pub location: Location,
    pub settings: Settings,
    pub needs: fn(&mut Needs),
    /// The actions of `on(...)`; empty for every action of the event argument.
    pub on: fn() -> Vec<ActionRef>,
    /// The filters of `when`, in order.
    pub when: &'static [Filter],
    pub call: Handler,
}

/// Everything known of an inbox at run time.
pub struct InboxDescriptor {
    pub(crate) parts: InboxParts,
}

impl InboxDescriptor {
    #[doc(hidden)]
    pub const fn from_parts(parts: InboxParts) -> Self {
        Self { parts }
    }

    /// The stored name.
    pub fn name(&self) -> &'static str {
        self.parts.name
    }

    /// Where the function stands in the source.
    pub fn location(&self) -> Location {
        self.parts.location
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.parts.settings
    }

    /// The logs that it reads, of those of the linked enums.
    pub fn logs(&'static self) -> Vec<LogName> {
        crate::dispatch::logs_of(self)
    }
}

impl fmt::Debug for InboxDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxDescriptor")
            .field("name", &self.parts.name)
            .field("location", &self.parts.location)
            .finish_non_exhaustive()
    }
}
