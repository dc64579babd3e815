//! The tables and events that the tests use.

use event_sea_orm::prelude::*;
use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseConnection, EntityTrait, Schema};
use serde::{Deserialize, Serialize};

/// Users: actors, and subjects of [`AccountEvent`].
pub mod user {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "users")]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub name: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    #[allow(missing_docs)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Programs that act: the other kind of actor, with a UUID for key and no label.
pub mod robot {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "robots")]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    #[allow(missing_docs)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Issues: subjects.
pub mod issue {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "issues")]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub title: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    #[allow(missing_docs)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Pages: subjects with text for key, and a number for label.
pub mod wiki_page {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "wiki_pages")]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub slug: String,
        pub number: Option<i32>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    #[allow(missing_docs)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// An issue's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Status {
    Open,
    Closed,
}

/// What happens to issues; in the shared log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, label = title), actor(user::Entity, label = name), actor(robot::Entity))]
#[allow(missing_docs)]
pub enum IssueEvent {
    #[event(summary = "{actor} opened {subject}")]
    Created,
    #[event(summary = "{actor} changed the status of {subject} from {from} to {to}")]
    StatusChanged {
        from: Status,
        to: Status,
    },
    Commented {
        comment_id: i64,
    },
    Closed,
}

/// What happens to pages; in the shared log too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(wiki_page::Entity, label = number), actor(user::Entity, label = name))]
#[allow(missing_docs)]
pub enum PageEvent {
    Created,
    #[event(summary = "{actor} edited page {subject}")]
    Edited {
        lines: u32,
    },
}

/// What happens to accounts: a log of its own, and one table for subjects and actors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(user::Entity, label = name), actor(user::Entity, label = name), log = "audit_events")]
#[allow(missing_docs)]
pub enum AccountEvent {
    #[event(summary = "{actor} signed in as {subject}")]
    SignedIn,
    Deactivated,
}

/// Makes the models' tables.
pub async fn create_tables(db: &DatabaseConnection) {
    let schema = Schema::new(db.get_database_backend());
    for table in [
        schema.create_table_from_entity(user::Entity),
        schema.create_table_from_entity(robot::Entity),
        schema.create_table_from_entity(issue::Entity),
        schema.create_table_from_entity(wiki_page::Entity),
    ] {
        db.execute(&table).await.unwrap();
    }
}

/// A new user.
pub async fn user(db: &impl ConnectionTrait, name: &str) -> user::Model {
    let user = user::ActiveModel { name: Set(name.to_owned()), ..Default::default() };
    user::Entity::insert(user).exec_with_returning(db).await.unwrap()
}

/// A new issue.
pub async fn issue(db: &impl ConnectionTrait, title: &str) -> issue::Model {
    let issue = issue::ActiveModel { title: Set(title.to_owned()), ..Default::default() };
    issue::Entity::insert(issue).exec_with_returning(db).await.unwrap()
}
