use event_core::DomainEvent;
use serde::{Deserialize, Serialize};

mod issue {
    pub struct Entity;
    #[allow(dead_code)]
    pub enum Column {
        Title,
    }
}

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, label = titel), table = "x", sumary = "y")]
#[serde(tag = "type")]
enum IssueEvent {
    Update,
    #[event(summary = "{actor} changed {form}", throttle = "5m")]
    Changed { from: i64, subject: i64 },
    Pair(i64, i64),
}

// The implementations are there all the same: no second wave of errors.
fn uses(event: &IssueEvent) -> IssueEventAction {
    event.action()
}

fn main() {}
