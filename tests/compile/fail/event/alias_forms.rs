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
    #[event(alias = "closed")]
    Closed,
    #[event(alias = "closed", alias = "opened", alias = "opened")]
    Created,
    #[event(alias("x"), alias = "Shut", alias = "opened")]
    Reopened,
    #[event(alias = "an_alias_of_more_characters_than_a_column_of_an_index_on_every_database_has")]
    Renamed,
}

fn main() {}
