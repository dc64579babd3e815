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
struct Robot;

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity), actor(User))]
enum IssueEvent {
    Created,
}

fn by<A: event_core::ActorOf<IssueEvent>>(_: A) {}

fn uses() {
    by(User);
    by(Robot);
}

fn main() {}
