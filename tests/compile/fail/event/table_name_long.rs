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
#[event(subject(issue::Entity), table = "issue_events_of_a_name_that_leaves_no_room_for_all_suffixes")]
enum IssueEvent {
    Created,
}

fn main() {}
