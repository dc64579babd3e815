use event_core::DomainEvent;
use serde::{Deserialize, Serialize};

mod issue {
    pub struct Entity;
    #[allow(dead_code)]
    pub enum Column {
        Title,
    }
}

use issue::Entity;

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(Entity))]
enum IssueEvent {
    Created,
}

fn main() {}
