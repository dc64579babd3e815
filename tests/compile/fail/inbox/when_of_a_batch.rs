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

// A filter is asked about one event.
#[inbox(when = are_urgent)]
async fn notify(_events: Vec<Event<IssueEvent>>) -> InboxResult {
    handled()
}

fn are_urgent(_: &Vec<Event<IssueEvent>>) -> bool {
    true
}

fn main() {}
