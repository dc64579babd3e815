use event_core::DomainEvent;
use serde::{Deserialize, Serialize};

mod issue {
    pub struct Entity;
    #[allow(dead_code)]
    pub enum Column {
        Title,
    }
}

#[derive(Clone, Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity))]
#[serde(from = "String", into = "String")]
enum IssueEvent {
    Created,
}

impl From<String> for IssueEvent {
    fn from(_: String) -> Self {
        Self::Created
    }
}

impl From<IssueEvent> for String {
    fn from(_: IssueEvent) -> Self {
        String::new()
    }
}

fn main() {}
