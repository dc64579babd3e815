use event_core::{DomainEvent, Event, inbox};
use serde::{Deserialize, Serialize};

struct Issue;

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(Issue))]
enum IssueEvent {
    Created,
    Assigned { assignee_id: i64 },
    Closed,
}

struct Notify;

#[inbox]
impl Default for Notify {
    fn default() -> Self {
        Self
    }
}

fn uses(_: Event<IssueEvent>) {}

fn main() {}
