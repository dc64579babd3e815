//! The context in which events are recorded: who acts, in which request, and what this is part of. It goes along with the task, so
//! that the code that records need not know it.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;

use crate::metadata::Metadata;
use crate::names::{ActorRef, EventRef, SHARED_LOG};
use crate::recorded::StoredEvent;
use crate::recording::By;
use crate::registry;

/// The fact under which a request's id is kept.
pub const REQUEST_ID: &str = "request_id";
/// The fact under which the client's address is kept.
pub const IP_ADDRESS: &str = "ip_address";
/// The fact under which the client's program is kept.
pub const USER_AGENT: &str = "user_agent";
/// The fact under which the trace is kept, as a W3C `traceparent`: <https://www.w3.org/TR/trace-context/#traceparent-header>.
pub const TRACEPARENT: &str = "traceparent";
/// The fact that holds what changed: see [`StoredEvent::changes`](crate::StoredEvent::changes).
pub const CHANGES: &str = "changes";
/// The fact that names the inbox whose handler recorded the event.
pub const INBOX: &str = "inbox";

tokio::task_local! {
    static SCOPE: Scope;
}

/// What the task is at.
#[derive(Clone)]
enum Scope {
    Context(Arc<EventContext>),
    /// A handler at its event; what it means is worked out only when something is recorded.
    Handling {
        at: EventRef,
        correlation_id: Option<String>,
        inbox: &'static str,
    },
    /// A handler at several events.
    HandlingBatch {
        inbox: &'static str,
    },
}

/// Who acts, in which request, and what this is part of: filled into every event recorded in [`with_context`].
///
/// What a recording says itself goes first: `.by(&user)`, `.correlation(...)`, `.context(name, value)`.
///
/// ```
/// use event_core::{ActorRef, EventContext};
///
/// let context = EventContext::new()
///     .by_ref(ActorRef::new("user", "3"))
///     .request_id("req-1")
///     .user_agent("curl/8")
///     .correlation("order-77")
///     .field("tenant", "acme");
/// # let _ = context;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it is filled in only by `with_context(...)`"]
pub struct EventContext {
    pub(crate) by: Option<By>,
    pub(crate) facts: Metadata,
    pub(crate) correlation: Option<Correlation>,
    pub(crate) causation: Option<EventRef>,
    pub(crate) batch_id: Option<String>,
}

/// What events belong together with.
#[derive(Clone, Debug)]
pub(crate) enum Correlation {
    /// As the application says, or somebody whom it asked.
    Given(String),
    /// That of an event: it may be an event's name.
    Event(String),
}

impl Correlation {
    /// That of this event; one that begins a chain gives it its own name.
    pub(crate) fn of(event: &StoredEvent) -> Self {
        Self::Event(event.correlation_id.clone().unwrap_or_else(|| event.at.to_string()))
    }

    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Given(id) | Self::Event(id) => id,
        }
    }

    pub(crate) fn into_id(self) -> String {
        match self {
            Self::Given(id) | Self::Event(id) => id,
        }
    }

    /// Whether it is the name of an event, and nothing says that it may be.
    pub(crate) fn is_reserved(&self) -> bool {
        let Self::Given(id) = self else { return false };
        let Some((log, number)) = id.rsplit_once('/') else { return false };
        let is_log = || log == SHARED_LOG || registry::events().iter().any(|event| event.log() == log);
        number.parse::<i64>().is_ok() && is_log()
    }
}

impl EventContext {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The actor of what names none.
    pub fn by_ref(mut self, actor: ActorRef) -> Self {
        self.by = Some(By::Actor(actor));
        self
    }

    /// What names no actor is done by nobody: a timer, an import.
    pub fn by_system(mut self) -> Self {
        self.by = Some(By::System);
        self
    }

    /// The request's id.
    pub fn request_id(self, id: impl Into<String>) -> Self {
        self.field(REQUEST_ID, id.into())
    }

    /// The client's address. It is personal data: see that you may keep it.
    pub fn ip_address(self, address: IpAddr) -> Self {
        self.field(IP_ADDRESS, address.to_string())
    }

    /// The client's program.
    pub fn user_agent(self, agent: impl Into<String>) -> Self {
        self.field(USER_AGENT, agent.into())
    }

    /// The trace, as a W3C `traceparent`.
    pub fn traceparent(self, traceparent: impl Into<String>) -> Self {
        self.field(TRACEPARENT, traceparent.into())
    }

    /// What the events belong together with, across logs and services; as [`Recording::correlation`](crate::Recording::correlation).
    pub fn correlation(mut self, id: impl Into<String>) -> Self {
        self.correlation = Some(Correlation::Given(id.into()));
        self
    }

    /// The tree of causes that this event belongs to; as [`Recording::correlated_with`](crate::Recording::correlated_with).
    pub fn correlated_with(mut self, event: &StoredEvent) -> Self {
        self.correlation = Some(Correlation::of(event));
        self
    }

    /// The event that caused these; a handler's events have theirs without it, unless the handler takes a batch.
    pub fn caused_by(mut self, cause: EventRef) -> Self {
        self.causation = Some(cause);
        self
    }

    /// The batch that the events are part of; the storage crate's `Batch` makes one with a description.
    pub fn batch(mut self, id: impl Into<String>) -> Self {
        self.batch_id = Some(id.into());
        self
    }

    /// The batch, if the context is in one.
    pub fn batch_id(&self) -> Option<&str> {
        self.batch_id.as_deref()
    }

    /// A fact of your own.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.facts.insert(name.into(), value.into());
        self
    }

    /// The context of the running task; empty outside of any.
    ///
    /// Hand it on where a task begins another one, which does not inherit it:
    ///
    /// ```
    /// # async fn example() {
    /// use event_core::{EventContext, with_context};
    /// tokio::spawn(with_context(EventContext::current(), async { /* ... */ }));
    /// # }
    /// ```
    pub fn current() -> Self {
        let scope = SCOPE.try_with(Clone::clone);
        match scope {
            Ok(Scope::Context(context)) => (*context).clone(),
            Ok(Scope::Handling { at, correlation_id, inbox }) => Self {
                by: None,
                facts: Metadata::new(),
                // An event that begins a chain gives it its own name.
                correlation: Some(Correlation::Event(correlation_id.unwrap_or_else(|| at.to_string()))),
                causation: Some(at),
                batch_id: None,
            }
            .field(INBOX, inbox),
            Ok(Scope::HandlingBatch { inbox }) => Self::new().field(INBOX, inbox),
            Err(_) => Self::new(),
        }
    }

    /// What this one leaves open, taken from `outer`.
    fn within(mut self, outer: Self) -> Self {
        self.by = self.by.or(outer.by);
        self.correlation = self.correlation.or(outer.correlation);
        self.causation = self.causation.or(outer.causation);
        self.batch_id = self.batch_id.or(outer.batch_id);
        for (name, value) in outer.facts {
            self.facts.entry(name).or_insert(value);
        }
        self
    }
}

/// What a model adds to the context of every event recorded on it: `project_id`, the tenant.
///
/// One method on the model, and `defaults` in the enum's attribute: `#[event(subject(issue::Entity), defaults)]`. It is asked
/// where the model is at hand, by `issue.record(...)`; `IssueEvent::Closed.on(7)` has no model to ask.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no defaults for the context of its events",
    note = "`defaults` in `#[event(...)]` asks the subject's model for them: implement `EventDefaults` for it"
)]
pub trait EventDefaults {
    /// The facts. What a recording or a scope says under the same name: the recording goes before these, these before the scope.
    fn event_defaults(&self) -> Metadata;
}

/// Runs the future in this context: every event recorded in it has it filled in. What an inner context leaves open is the outer
/// one's.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use event_core::{EventContext, with_context};
/// with_context(EventContext::new().request_id("req-1").by_system(), async {
///     // handle the request
///     # assert!(format!("{:?}", EventContext::current()).contains("req-1"));
/// })
/// .await;
/// # }
/// ```
pub fn with_context<F: Future>(context: EventContext, future: F) -> impl Future<Output = F::Output> {
    let context = match SCOPE.try_with(|_| ()) {
        Ok(()) => context.within(EventContext::current()),
        Err(_) => context,
    };
    SCOPE.scope(Scope::Context(Arc::new(context)), future)
}

/// Runs a handler's future: what it records is caused by its event. Every delivery goes through here, so that nothing is shared
/// with the event (lanes on other cores count its owners too) and, without a correlation id, nothing allocated.
pub(crate) fn handling<F: Future>(
    event: &StoredEvent,
    inbox: &'static str,
    future: F,
) -> impl Future<Output = F::Output> + use<F> {
    let scope = Scope::Handling { at: event.at.clone(), correlation_id: event.correlation_id.clone(), inbox };
    SCOPE.scope(scope, future)
}

/// Runs the future of a handler that takes a batch: what it records may be caused by any of the events, so it names none.
pub(crate) fn handling_batch<F: Future>(inbox: &'static str, future: F) -> impl Future<Output = F::Output> {
    SCOPE.scope(Scope::HandlingBatch { inbox }, future)
}

/// The context, if the task is in one.
pub(crate) fn here() -> Option<EventContext> {
    SCOPE.try_with(|_| ()).ok().map(|()| EventContext::current())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_inner_context_adds_to_the_outer_one() {
        let outer = EventContext::new().by_system().correlation("outer").field("a", 1).field("b", 1);
        let inner = EventContext::new().correlation("inner").field("b", 2);
        let seen = with_context(outer, async { with_context(inner, async { EventContext::current() }).await }).await;
        assert!(matches!(seen.by, Some(By::System)));
        assert_eq!(seen.correlation.as_ref().map(Correlation::id), Some("inner"));
        assert_eq!(Value::Object(seen.facts), serde_json::json!({"a": 1, "b": 2}));
        assert!(here().is_none());
    }
}
