use event_core::DomainEvent;
use serde::{Deserialize, Serialize};

mod issue {
    pub struct Entity;
    #[allow(dead_code)]
    pub enum Column {
        Title,
    }
}

mod text {
    pub fn serialize<S: serde::Serializer>(_: &i64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str("")
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(_: D) -> Result<i64, D::Error> {
        Ok(1)
    }
}

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity))]
enum IssueEvent {
    #[serde(with = "text")]
    Created(i64),
}

fn main() {}
