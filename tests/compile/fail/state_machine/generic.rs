use event_sea_orm::prelude::*;

#[derive(Clone, Copy, PartialEq, Eq, StateMachine)]
#[state_machine(issue::Entity, column = status, event = IssueEvent::Moved { from, to })]
#[transition(start, from(Open), to = InProgress)]
#[transition(close, from(InProgress), to = Closed)]
pub enum Status<T> {
    #[state(initial)]
    Open,
    InProgress,
    Closed(T),
}

fn main() {}
