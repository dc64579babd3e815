use event_core::DomainEvent;

mod issue {
    pub struct Entity;
    #[allow(dead_code)]
    pub enum Column {
        Title,
    }
}

#[derive(DomainEvent)]
#[event(subject(issue::Entity))]
enum IssueEvent {
    Created,
}

fn main() {}
