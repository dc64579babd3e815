use event_core::{DomainEvent, InboxResult, handled, inbox};
use serde::{Deserialize, Serialize};

struct Issue;

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(Issue))]
enum IssueEvent {
    Created,
    Assigned { assignee_id: i64 },
    Closed,
}

#[inbox(when = always)]
async fn notify(_attempt: event_core::Attempt) -> InboxResult {
    handled()
}

fn always(_: &event_core::Attempt) -> bool {
    true
}

fn main() {}
