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

type Issues = Event<IssueEvent>;

#[inbox(on(Created))]
async fn notify(_event: Issues) -> InboxResult {
    handled()
}

fn main() {}
