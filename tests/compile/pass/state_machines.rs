//! What a state machine may look like; none of it brings a warning.
#![deny(warnings)]
#![allow(dead_code)]

use event_sea_orm::prelude::*;
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// The machine beside its model, without serde and with names that are words of Rust's own.
mod track {
    use event_sea_orm::StateMachine;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "tracks")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub r#type: State,
        pub signal: Option<i32>,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, StateMachine)]
    #[sea_orm(rs_type = "i32", db_type = "Integer")]
    #[state_machine(Entity, column = r#type, event = crate::TrackEvent::Moved(crate::Way { from: from as i32, to: to as i32 }))]
    #[transition(r#move, from = Free, to = Taken, guard(has_signal, Model::is_open, checks::signal))]
    #[transition(leave, from(Taken, Blocked), to = Free)]
    pub enum State {
        #[state(initial)]
        Free = 1,
        Taken = 2,
        #[state(allow(unreachable))]
        Blocked = 3,
    }

    fn has_signal(track: &Model) -> bool {
        track.signal.is_some()
    }

    impl Model {
        fn is_open(&self) -> Result<(), String> {
            Ok(())
        }
    }

    mod checks {
        pub(super) fn signal(track: &super::Model) -> Result<(), std::num::TryFromIntError> {
            u8::try_from(track.signal.unwrap_or(0)).map(drop)
        }
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Way {
    from: i32,
    to: i32,
}

#[derive(Clone, Debug, Serialize, Deserialize, DomainEvent)]
#[event(subject(track::Entity))]
pub enum TrackEvent {
    Moved(Way),
}

/// From a macro of the user's own.
macro_rules! door {
    ($event:expr, $column:ident, $entity:path) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, StateMachine)]
        #[sea_orm(rs_type = "String", db_type = "String(StringLen::N(8))", rename_all = "snake_case")]
        #[state_machine($entity, column = $column, event = $event, crate = "::event_sea_orm")]
        #[transition(shut, from(Open), to = Shut, event = DoorEvent::Shut { door: model.id })]
        #[transition(open, from(Shut), to = Open)]
        pub enum Door {
            #[state(initial)]
            Open,
            Shut,
        }
    };
}

door!(DoorEvent::Changed { was: format!("{from:?}"), is: format!("{to:?} {}", model.id) }, state, door::Entity);

mod door {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "doors")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub state: super::Door,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Clone, Debug, Serialize, Deserialize, DomainEvent)]
#[event(subject(door::Entity))]
pub enum DoorEvent {
    #[event(allow(tense))]
    Changed {
        was: String,
        is: String,
    },
    Shut {
        door: i32,
    },
}

/// SeaORM's dense entities, and events in a table of their own.
mod valve {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "valves")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub position: super::Position,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, StateMachine)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(8))", rename_all = "snake_case")]
#[state_machine(valve::Entity, column = position, event = ValveEvent::Turned)]
#[transition(turn, from(Shut), to = Open)]
#[transition(turn_back, from(Open), to = Shut)]
pub enum Position {
    #[state(initial)]
    Shut,
    Open,
}

#[derive(Clone, Debug, Serialize, Deserialize, DomainEvent)]
#[event(subject(valve::Entity), table = "valve_events")]
pub enum ValveEvent {
    Turned,
}

/// Generic code over any machine; the future is `Send`.
fn every<S: StateMachine>() -> Vec<&'static str> {
    S::Transition::ALL.iter().map(|transition| transition.name()).collect()
}

fn is_send<T: Send>(future: T) -> T {
    future
}

async fn uses(db: &DatabaseConnection, track: track::Model) -> Result<(), TransitionError> {
    use track::StateTransitions as _;
    let moved = is_send(track.r#move(db).by_system().into_future()).await?;
    let left = db.transact(async |txn| Ok(moved.model.leave(txn).by_system().await?)).await?;
    assert!(left.model.can_move());
    Ok(())
}

fn main() {
    assert_eq!(every::<track::State>(), ["move", "leave"]);
    assert_eq!(Door::mermaid().lines().count(), 4);
    assert_eq!(track::State::Blocked.allowed(), [track::StateTransition::Leave]);
    let door = door::Model { id: 1, state: Door::initial() };
    assert!(door.can_shut() && !door.can_open());
    let valve = valve::Model { id: 1, position: Position::initial() };
    assert_eq!(valve.allowed(), [PositionTransition::Turn]);
    let _ = uses;
}
