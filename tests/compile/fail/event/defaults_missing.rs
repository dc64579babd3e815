use event_sea_orm::prelude::*;
use serde::{Deserialize, Serialize};

mod issue {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "issues")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity), defaults)]
enum IssueEvent {
    Created,
}

fn main() {}
