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
#[event(subject(issue::Entity))]
enum IssueEvent {
    #[event(summary = "{actor} moved {subject} from {form} to {to.name}")]
    Moved { from: i64, to: i64 },
    #[event(summary = "{actor} closed {subject} because of {reason}")]
    Closed,
}

fn main() {}
