use event_sea_orm::prelude::*;
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

mod issue {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "issues")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub title: String,
        pub status: super::Status,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity))]
pub enum IssueEvent {
    Moved { from: Status, to: Status },
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, StateMachine)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
#[state_machine = "issue"]
#[transition(start, from(Open), to = InProgress)]
#[transition(close, from(InProgress), to = Closed)]
pub enum Status {
    #[state(initial)]
    Open,
    InProgress,
    Closed,
}

fn main() {}
