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
    Moved {
        #[serde(rename(serialize = "origin"))]
        from: i64,
        #[serde(skip_serializing)]
        to: i64,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        steps: Vec<i64>,
    },
}

fn main() {}
