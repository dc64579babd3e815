use event_core::{AnyEvent, DomainEvent, InboxResult, handled, inbox};
use serde::{Deserialize, Serialize};

struct Issue;

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(Issue))]
enum IssueEvent {
    Created,
    Assigned { assignee_id: i64 },
    Closed,
}

#[inbox(on(Created))]
async fn notify(_event: AnyEvent) -> InboxResult {
    handled()
}

fn main() {}
