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
#[serde(try_from = "String")]
enum IssueEvent {
    Created,
}

impl TryFrom<String> for IssueEvent {
    type Error = &'static str;

    fn try_from(_: String) -> Result<Self, Self::Error> {
        Ok(Self::Created)
    }
}

fn main() {}
