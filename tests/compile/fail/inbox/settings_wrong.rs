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

#[inbox(concurrency = 0, timeout = "30", start = begining, ordered = true, retry(max_attempts = 0, backoff = linear, base = "0s", jitter = 1.5))]
async fn notify(_event: Event<IssueEvent>) -> InboxResult {
    handled()
}

fn main() {}
