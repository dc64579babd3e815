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

struct Notify<T>(T);

#[inbox]
impl Notify<i64> {
    async fn handle(_event: Event<IssueEvent>) -> InboxResult {
        handled()
    }
}

fn main() {}
