//! Every form of inbox, without a warning.
#![deny(warnings)]
#![deny(missing_docs)]

use event_core::{
    AnyEvent, Attempt, Delivery, DomainEvent, Event, FromDelivery, Inbox, InboxError, InboxResult, Needs, State, handled,
    inbox,
};
use serde::{Deserialize, Serialize};

struct Issue;

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(Issue))]
enum IssueEvent {
    Created,
    Assigned { assignee_id: i64 },
}

#[derive(Clone)]
struct Mailer;

/// A borrowed extractor.
struct Borrowed<'a>(&'a Delivery<'a>);

impl<'a> FromDelivery<'a> for Borrowed<'a> {
    async fn from_delivery(delivery: &'a Delivery<'a>) -> Result<Self, InboxError> {
        Ok(Self(delivery))
    }

    fn declare(needs: &mut Needs) {
        State::<Mailer>::declare(needs);
    }
}

/// Docs stay on the function.
#[inbox]
pub(crate) async fn plain(event: Event<IssueEvent>) -> InboxResult {
    let _ = event.id();
    handled()
}

#[inbox(
    on(Created, IssueEvent::Assigned),
    when(is_urgent, filters::always),
    name = "stored_name",
    concurrency = 2,
    timeout = "500ms",
    retry(max_attempts = 8, backoff = exponential, base = "1s", max_wait = "1h", jitter = 0.2),
    start = beginning,
    ordered,
    pause(after = 3),
)]
async fn everything(
    State(mailer): State<Mailer>,
    mut event: event_core::Event<IssueEvent>,
    _attempt: Attempt,
    borrowed: Borrowed<'_>,
) -> Result<event_core::Outcome, InboxError> {
    event = event.clone();
    let _ = (mailer, event.id(), borrowed.0.inbox());
    std::future::ready(()).await;
    handled()
}

fn is_urgent(event: &Event<IssueEvent>) -> bool {
    event.id() > 1
}

mod filters {
    /// Shared between inboxes of different enums.
    pub fn always<E>(_: &event_core::Event<E>) -> bool {
        true
    }
}

#[inbox(on(IssueEvent::Created), retry(never), pause(never))]
async fn any(_event: AnyEvent) -> InboxResult {
    handled()
}

type Issues = Event<IssueEvent>;

#[inbox(on(IssueEvent::Created), when = is_urgent)]
async fn alias(_event: Issues) -> InboxResult {
    handled()
}

#[inbox(on(Created), when = is_urgent, batch = 100)]
async fn together(events: Vec<Event<IssueEvent>>) -> InboxResult {
    let _ = events.iter().map(|event| event.id()).max();
    handled()
}

#[inbox(on(IssueEvent::Created), batch = 100)]
async fn any_together(_events: std::vec::Vec<AnyEvent>) -> InboxResult {
    handled()
}

type Several = Vec<Event<IssueEvent>>;

#[inbox(batch = 100)]
async fn alias_together(_events: Several) -> InboxResult {
    handled()
}

#[inbox(crate = "::event_core")]
#[cfg(any())]
async fn absent(_event: NoSuchType) -> InboxResult {
    handled()
}

#[cfg(any())]
#[inbox]
async fn absent_too(_event: NoSuchType) -> InboxResult {
    handled()
}

#[inbox]
async fn r#try(_event: AnyEvent) -> InboxResult {
    handled()
}

mod handlers {
    use super::*;

    pub(crate) struct Webhooks;

    #[inbox(when = Self::wanted, on(Created))]
    impl Webhooks {
        const LEAST: i64 = 1;

        async fn handle(event: Event<IssueEvent>, _: State<Mailer>) -> InboxResult {
            Self::help(&event);
            handled()
        }

        fn wanted(event: &Event<IssueEvent>) -> bool {
            event.id() > Self::LEAST
        }

        fn help(_: &Event<IssueEvent>) {}
    }
}

struct Elsewhere;

mod beside {
    #[event_core::inbox(when = super::Elsewhere::always)]
    impl super::Elsewhere {
        async fn handle(_event: event_core::AnyEvent) -> event_core::InboxResult {
            event_core::handled()
        }

        pub(super) fn always(_: &event_core::AnyEvent) -> bool {
            true
        }
    }
}

fn main() {
    let names: Vec<_> = event_core::registry::inboxes().iter().map(|inbox| inbox.name()).collect();
    assert_eq!(names, [
        "alias", "alias_together", "any", "any_together", "elsewhere", "from_macro", "macro_impl", "plain", "stored_name",
        "together", "try", "webhooks",
    ]);
    assert_eq!(together::descriptor().settings().batch, Some(100));
    assert_eq!(everything::descriptor().settings().concurrency, 2);
    assert_eq!(handlers::Webhooks::descriptor().name(), "webhooks");
    assert_eq!(r#try::descriptor().location().line, {
        let text = include_str!("inboxes.rs");
        1 + text.lines().position(|line| line.contains("fn r#try")).unwrap() as u32
    });
}

/// Tokens that a macro passes on.
mod through_a_macro {
    use super::*;

    macro_rules! inboxes {
        ($name:ident, $argument:ty, $filter:path, $type:ident, $action:ident) => {
            #[inbox(on($action), when = $filter)]
            async fn $name(event: $argument, _: State<Mailer>) -> InboxResult {
                let _ = event;
                handled()
            }

            struct $type;

            #[inbox(on(IssueEvent::$action), when($filter, Self::wanted), name = "macro_impl")]
            impl $type {
                async fn handle(_event: $argument) -> InboxResult {
                    handled()
                }

                fn wanted(_: &$argument) -> bool {
                    true
                }
            }
        };
    }
    inboxes!(from_macro, Event<IssueEvent>, super::is_urgent, FromMacro, Created);
}
