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
    Viewed,
    #[event(alias = "opened")]
    Created,
    #[event(upcast = from_v1)]
    Closed,
}

fn main() {}
