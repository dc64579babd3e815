//! What the macros' output does at run time.
#![allow(missing_docs, clippy::unwrap_used)]

use event_core::{Action, AnyEvent, DomainEvent, Event, InboxResult, State, handled, inbox};
use serde::{Deserialize, Serialize};

mod issue {
    pub(crate) struct Entity;
    pub(crate) enum Column {
        Title,
    }
}
mod user {
    pub(crate) struct Entity;
    pub(crate) enum Column {
        Name,
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, label = title), actor(user::Entity, label = name))]
enum IssueEvent {
    #[event(summary = "{actor} opened {subject}")]
    Created,
    Assigned {
        assignee_id: i64,
    },
    #[event(summary = "{actor} changed {subject} from {from_state} to {to}")]
    #[serde(rename_all = "camelCase")]
    StatusChanged {
        from_state: String,
        to: String,
        #[serde(default)]
        reason: Option<String>,
    },
}

#[derive(Clone)]
struct Mailer;

#[inbox(on(Assigned, StatusChanged), when = loud, retry(max_attempts = 3, backoff = exponential, jitter = 0.5))]
async fn email_notifications(event: Event<IssueEvent>, State(_mailer): State<Mailer>) -> InboxResult {
    let _ = event.id();
    handled()
}

fn loud(event: &Event<IssueEvent>) -> bool {
    event.id() > 1
}

#[inbox(on(IssueEvent::Created))]
async fn audit(_event: AnyEvent) -> InboxResult {
    handled()
}

struct Webhooks;

#[inbox(when(Self::wanted), name = "hooks", timeout = "5s", ordered, start = beginning, concurrency = 2)]
impl Webhooks {
    async fn handle(event: Event<IssueEvent>) -> InboxResult {
        let _ = Self::wanted(&event);
        handled()
    }

    fn wanted(_: &Event<IssueEvent>) -> bool {
        true
    }
}

#[test]
fn first() {
    assert_eq!(IssueEvent::Created.action().name(), "created");
    assert_eq!(event_core::registry::inboxes().len(), 3);
    println!("{:#}", event_core::registry::schemas());
    println!("{:?}", IssueEvent::descriptor().actions()[2].summary());
}
