use event_sea_orm::prelude::*;

#[derive(Clone, Copy, PartialEq, Eq, StateMachine)]
#[state_machine(issue::Entity, column = status, event = IssueEvent::Moved { from, to })]
#[transition(start, from(Open), to = InProgress)]
#[transition(close, from(InProgress), to = Closed)]
pub enum Status {
    #[state(initial)]
    Open,
    InProgress { by: i64 },
    Closed(i64),
}

fn main() {}
