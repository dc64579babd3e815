//! What changed in a model, without anybody writing it down; and what never comes into an event.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use behaviour::{TestDb, on_every_database};
use event_sea_orm::prelude::*;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, IntoActiveModel, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

on_every_database! {
    changed_attributes_have_from_and_to
    an_active_models_changes_are_those_it_sets
    columns_left_out_come_into_no_event
    what_did_not_change_is_not_there
    a_snapshot_lacks_what_is_left_out
}

#[allow(unreachable_pub, reason = "SeaORM's entities are written so")]
mod account {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "accounts")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub email: Option<String>,
        pub logins: i32,
        pub active: bool,
        pub since: DateTimeUtc,
        #[sea_orm(column_type = "Text")]
        pub biography: String,
        pub password_hash: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(account::Entity, label = email, except(password_hash, biography)))]
enum AccountEvent {
    Edited { why: String },
}

fn edited() -> AccountEvent {
    AccountEvent::Edited { why: "asked".to_owned() }
}

async fn account(db: &TestDb) -> account::Model {
    let schema = Schema::new(db.get_database_backend());
    db.execute(&schema.create_table_from_entity(account::Entity)).await.unwrap();
    let account = account::ActiveModel {
        email: Set(None),
        logins: Set(1),
        active: Set(true),
        since: Set(chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap()),
        biography: Set("long".to_owned()),
        password_hash: Set("secret-1".to_owned()),
        ..Default::default()
    };
    account.insert(&**db).await.unwrap()
}

async fn newest(db: &TestDb) -> std::sync::Arc<StoredEvent> {
    AccountEvent::feed().page(&**db).await.unwrap().entries[0].stored().clone()
}

fn changes(event: &StoredEvent) -> Vec<(String, Value, Value)> {
    event.changes().map(|(name, from, to)| (name.to_owned(), from.clone(), to.clone())).collect()
}

async fn changed_attributes_have_from_and_to(db: &TestDb) {
    let before = account(db).await;
    let mut change = before.clone().into_active_model();
    change.email = Set(Some("ada@example.com".to_owned()));
    change.active = Set(false);
    let after = change.update(&**db).await.unwrap();
    after.record(edited()).changes(&before, &after).by_system().save(&**db).await.unwrap();
    let event = newest(db).await;
    let expected =
        [("active".to_owned(), json!(true), json!(false)), ("email".to_owned(), json!(null), json!("ada@example.com"))];
    assert_eq!(changes(&event), expected);
    assert_eq!(
        Value::Object(event.metadata.clone().into()),
        json!({"why": "asked"}),
        "the user's metadata is the user's"
    );
}

async fn an_active_models_changes_are_those_it_sets(db: &TestDb) {
    let before = account(db).await;
    let mut change = before.clone().into_active_model();
    change.logins = Set(2);
    change.active = Set(before.active);
    let recording = before.record(edited()).changes_by(&before, &change);
    change.update(&**db).await.unwrap();
    recording.by_system().save(&**db).await.unwrap();
    assert_eq!(changes(&*newest(db).await), [("logins".to_owned(), json!(1), json!(2))]);
}

async fn columns_left_out_come_into_no_event(db: &TestDb) {
    let before = account(db).await;
    let mut change = before.clone().into_active_model();
    change.password_hash = Set("secret-2".to_owned());
    change.biography = Set("longer".to_owned());
    change.logins = Set(7);
    before.record(edited()).changes_by(&before, &change).by_system().save(&**db).await.unwrap();
    let after = change.update(&**db).await.unwrap();
    after.record(edited()).changes(&before, &after).snapshot(&after).by_system().save(&**db).await.unwrap();
    assert_eq!(changes(&*newest(db).await).len(), 1);
    for entry in AccountEvent::feed().page(&**db).await.unwrap().entries {
        let stored = format!("{:?} {:?}", entry.context, entry.snapshot);
        assert!(!stored.contains("secret") && !stored.contains("long"), "{stored}");
    }
}

async fn what_did_not_change_is_not_there(db: &TestDb) {
    let same = account(db).await;
    same.record(edited()).changes(&same, &same).by_system().save(&**db).await.unwrap();
    let event = newest(db).await;
    assert_eq!((event.context.clone(), event.changes().count()), (None, 0));
}

async fn a_snapshot_lacks_what_is_left_out(db: &TestDb) {
    let account = account(db).await;
    account.record(edited()).snapshot(&account).by_system().save(&**db).await.unwrap();
    let snapshot = newest(db).await.snapshot.clone().unwrap();
    let keys: Vec<_> = snapshot.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["active", "email", "id", "logins", "since"]);
}
