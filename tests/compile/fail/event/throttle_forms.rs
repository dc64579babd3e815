use event_core::DomainEvent;
use serde::{Deserialize, Serialize};

mod issue {
    pub struct Entity;
}

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity))]
enum IssueEvent {
    #[event(throttle)]
    Opened,
    #[event(throttle = 5)]
    Viewed,
    #[event(throttle = "5 minutes")]
    Downloaded,
    #[event(throttle("5m", per_user))]
    Shared,
    #[event(throttle("5m", per_actor, 3))]
    Printed,
    #[event(throttle = "0s")]
    Closed,
}

fn main() {}
