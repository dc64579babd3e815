use event_core::{DomainEvent, Metadata};
use serde::{Deserialize, Serialize};

mod issue {
    pub struct Entity;
    #[allow(dead_code)]
    pub enum Column {
        Title,
    }
}

fn step(metadata: Metadata) -> Metadata {
    metadata
}

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity))]
enum IssueEvent {
    #[event(version = 3, upcast(3 = step, 4 = step, 1 = step, 1 = step))]
    Created,
    #[event(version = 3, upcast(0 = step, 2, 1 = |metadata| metadata, one = step))]
    Closed,
    #[event(upcast(1 = step))]
    Reopened,
    #[event(version = 2, upcast = step)]
    Renamed,
    #[event(version = 2, upcast())]
    Moved,
    #[event(version = 2, upcast(1 = step), upcast(1 = step))]
    Assigned,
    #[event(version = 0, upcast(7 = step))]
    Deleted,
}

fn main() {}
