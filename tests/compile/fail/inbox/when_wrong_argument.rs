use event_core::{AnyEvent, DomainEvent, Event, InboxResult, handled, inbox};
use serde::{Deserialize, Serialize};

struct Issue;

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(Issue))]
enum IssueEvent {
    Created,
    Assigned { assignee_id: i64 },
    Closed,
}

#[inbox(when = is_urgent)]
async fn notify(_event: Event<IssueEvent>) -> InboxResult {
    handled()
}

fn is_urgent(_: &AnyEvent) -> bool {
    true
}

fn main() {}
