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

#[inbox(throttle = "5m", priority = 1, enabled = false, feature = "x", rate_limit = "10/m", quiet_hours)]
async fn notify(_event: Event<IssueEvent>) -> InboxResult {
    handled()
}

fn main() {}
