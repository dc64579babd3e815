use event_sea_orm::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, StateMachine)]
#[state_machine(issue::Entity, column = status, event = IssueEvent::Moved { from, to })]
struct Status;

fn main() {}
