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
    #[event(summary = "{actor} closed {subject")]
    Closed,
    #[event(summary = "{} opened subject}")]
    Opened,
    #[event(summary = "{actor:?} {{moved}} {subject}")]
    Moved,
}

fn main() {}
