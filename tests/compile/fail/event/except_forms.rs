use event_core::DomainEvent;
use serde::{Deserialize, Serialize};

mod issue {
    use sea_orm::entity::prelude::*;
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "issues")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub title: String,
        #[sea_orm(column_name = "text")]
        pub body: String,
    }
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, except(body, boddy)))]
enum IssueEvent {
    Created,
}

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, name = "a", except("body", Body)))]
enum AEvent {
    Created,
}

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, name = "b", except()), actor(issue::Entity, except(body)))]
enum BEvent {
    Created,
}

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, name = "c", except = "body"), defaults = true)]
enum CEvent {
    Created,
}

// What is left out can't be shown.
#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, name = "d", label = body, except(body)))]
enum DEvent {
    Created,
}

// A column's name in the database is no field.
#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, name = "e", except(text)))]
enum EEvent {
    Created,
}

fn main() {}
