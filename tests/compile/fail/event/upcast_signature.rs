use event_core::{DomainEvent, Metadata};
use serde::{Deserialize, Serialize};

mod issue {
    pub struct Entity;
    #[allow(dead_code)]
    pub enum Column {
        Title,
    }
}

fn takes_text(text: String) -> Metadata {
    let _ = text;
    Metadata::new()
}

fn takes_two(metadata: Metadata, version: u32) -> Metadata {
    let _ = version;
    metadata
}

fn gives_nothing(metadata: Metadata) {
    let _ = metadata;
}

struct NoText;

fn fails_without_a_text(metadata: Metadata) -> Result<Metadata, NoText> {
    Ok(metadata)
}

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity))]
enum IssueEvent {
    #[event(version = 2, upcast(1 = takes_text))]
    Created,
    #[event(version = 2, upcast(1 = takes_two))]
    Closed,
    #[event(version = 2, upcast(1 = gives_nothing))]
    Reopened,
    #[event(version = 2, upcast(1 = fails_without_a_text))]
    Renamed,
    #[event(version = 2, upcast(1 = not_there))]
    Moved,
}

fn main() {}
