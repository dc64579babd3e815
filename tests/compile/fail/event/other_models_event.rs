use event_core::DomainEvent;
use serde::{Deserialize, Serialize};

mod issue {
    pub struct Entity;
    #[allow(dead_code)]
    pub enum Column {
        Title,
    }
}

mod project {
    pub struct Entity;
}

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity))]
enum IssueEvent {
    Created,
}

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(project::Entity))]
enum ProjectEvent {
    Created,
}

fn record<E: event_core::EventOf<issue::Entity>>(_: E) {}

fn uses() {
    record(IssueEvent::Created);
    record(ProjectEvent::Created);
}

fn main() {}
