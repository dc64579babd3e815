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
#[state_machine(issue::Entity, column = status, event = IssueEvent::Moved { from, to })]
#[transition(start, from(Opn), to = InProgress)]
#[transition(close, from(InProgress), to = Closd)]
#[transition(close, from(Closed), to = Open)]
#[transition(reopen, form(Closed))]
pub enum Status {
    #[state(initial)]
    Open,
    InProgress,
    #[state(initial, final)]
    Closed,
}

// What uses the machine brings no errors of its own.
async fn uses(db: &DatabaseConnection, issue: issue::Model) -> Result<(), TransitionError> {
    if issue.can_start() && !issue.allowed().is_empty() {
        let started = issue.start(db).by_system().set(issue::Column::Title, "new").await?;
        started.model.close(db).await?;
    }
    let _ = (issue.reopen(db), Status::initial(), Status::mermaid(), StatusTransition::Close);
    Ok(())
}

fn main() {}
