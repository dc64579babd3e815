use event_core::{DomainEvent, Event, InboxResult, handled, inbox};
use serde::{Deserialize, Serialize};

struct Issue;

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(Issue))]
enum IssueEvent {
    Created,
    Assigned { assignee_id: i64 },
    Closed,
}

#[inbox(batch = 100)]
async fn notify(_event: Event<IssueEvent>) -> InboxResult {
    handled()
}

#[inbox(batch = 0)]
async fn none(_events: Vec<Event<IssueEvent>>) -> InboxResult {
    handled()
}

#[inbox(batch)]
async fn unsaid(_events: Vec<Event<IssueEvent>>) -> InboxResult {
    handled()
}

fn main() {}
