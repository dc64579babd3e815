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
    Update,
    DoThing,
    CreateIssue,
    StatusChange,
    Sending,
    SignUp,
    Need,
    Payment,
    #[event(name = "cancel")]
    Cancelled,
    #[event(allow(tense))]
    Heartbeat,
}

fn main() {}
