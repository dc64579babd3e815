use event_core::DomainEvent;
use serde::{Deserialize, Serialize};

mod issue {
    pub struct Entity;
    #[allow(dead_code)]
    pub enum Column {
        Title,
    }
}

struct User;

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity), actor(User), actor(User, name = "admin"))]
enum IssueEvent {
    Created,
}

fn main() {}
