use event_sea_orm::prelude::*;

#[derive(StateMachine)]
#[state_machine(issue::Entity, column = status, event = IssueEvent::Moved { from, to })]
pub enum Status {}

fn main() {}
