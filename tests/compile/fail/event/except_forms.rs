use event_core::DomainEvent;
use serde::{Deserialize, Serialize};

mod issue {
    pub struct Entity;
    #[allow(dead_code)]
    pub enum Column {
        Title,
        Body,
    }
}

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, except(body, boddy)))]
enum IssueEvent {
    Created,
}

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, name = "a", except("body", Body)))]
enum AEvent {
    Created,
}

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, name = "b", except()), actor(issue::Entity, except(body)))]
enum BEvent {
    Created,
}

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, name = "c", except = "body"), defaults = true)]
enum CEvent {
    Created,
}

fn main() {}
