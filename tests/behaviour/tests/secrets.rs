//! Columns that an enum leaves out (`except(...)`), under every kind of rename and on every way into the log.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(missing_docs, unreachable_pub, reason = "SeaORM's entities are written so, and a pub machine's event is pub")]

use behaviour::{TestDb, on_every_database};
use event_core::RecordingError;
use event_sea_orm::prelude::*;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, IntoActiveModel, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vault::{Column, Status, StatusTransitions as _};

on_every_database! {
    no_way_into_the_log_takes_a_column_left_out
    what_is_not_left_out_is_kept
    names_of_columns_left_out_are_dropped
    what_no_longer_says_its_columns_is_refused
    a_label_is_the_field_that_was_named
}

mod vault {
    use event_sea_orm::StateMachine;
    use sea_orm::entity::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::VaultEvent;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
    #[sea_orm(table_name = "vaults", rename_all = "camelCase")]
    #[serde(rename_all = "SCREAMING-KEBAB-CASE")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub owner: String,
        pub status: Status,
        /// Of another name in the database.
        #[sea_orm(column_name = "pw")]
        pub password_hash: String,
        /// Of the entity's case.
        pub api_key: String,
        /// Of another name in SeaORM: `except(code)`.
        #[sea_orm(enum_name = "Code")]
        pub recovery: Option<String>,
        /// Of another name in JSON.
        #[serde(rename = "x-y")]
        pub session_token: String,
        /// Of a name that is a keyword.
        pub r#type: String,
        /// Of the other one's name in the database, and that one of its.
        #[sea_orm(column_name = "greeting")]
        pub hint: String,
        #[sea_orm(column_name = "hint")]
        pub greeting: String,
        /// Not of text.
        pub answers: Json,
        pub key_material: Vec<u8>,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, StateMachine)]
    #[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
    #[state_machine(Entity, column = status, event = VaultEvent::Moved)]
    #[transition(seal, from(Open), to = Sealed)]
    #[transition(open, from(Sealed), to = Open)]
    pub enum Status {
        #[state(initial)]
        Open,
        Sealed,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(
    vault::Entity,
    label = greeting,
    except(password_hash, api_key, code, session_token, r#type, hint, answers, key_material)
))]
pub enum VaultEvent {
    Moved,
}

/// What is in no stored text, in any of its forms: "secret" as text, and as hexadecimal digits.
const SECRETS: [&str; 3] = ["secret", "736563726574", "115,101,99"];

async fn vault(db: &TestDb) -> vault::Model {
    let schema = Schema::new(db.get_database_backend());
    db.execute(&schema.create_table_from_entity(vault::Entity)).await.unwrap();
    let vault = vault::ActiveModel {
        owner: Set("Ada".to_owned()),
        status: Set(Status::Open),
        greeting: Set("welcome".to_owned()),
        ..secrets("secret-old")
    };
    vault.insert(&**db).await.unwrap()
}

fn secrets(secret: &str) -> vault::ActiveModel {
    vault::ActiveModel {
        password_hash: Set(secret.to_owned()),
        api_key: Set(secret.to_owned()),
        recovery: Set(Some(secret.to_owned())),
        session_token: Set(secret.to_owned()),
        r#type: Set(secret.to_owned()),
        hint: Set(secret.to_owned()),
        answers: Set(json!({"first": [secret]})),
        key_material: Set(secret.as_bytes().to_vec()),
        ..Default::default()
    }
}

/// All that is stored of the events, as the database has it.
async fn stored(db: &TestDb) -> Vec<String> {
    let text = |column: &str| match db.get_database_backend() {
        sea_orm::DbBackend::MySql => format!("coalesce(CAST({column} AS char), '')"),
        _ => format!("coalesce(CAST({column} AS text), '')"),
    };
    let mut stored = Vec::new();
    for column in ["metadata", "context", "snapshot"] {
        stored.extend(db.rows(&format!("SELECT {} FROM events ORDER BY id", text(column))).await);
    }
    stored
}

async fn no_way_into_the_log_takes_a_column_left_out(db: &TestDb) {
    let before = vault(db).await;
    // A model's changes, an active model's, and its snapshot.
    let change = vault::ActiveModel { id: Set(before.id), owner: Set("Bo".to_owned()), ..secrets("secret-new") };
    before.record(VaultEvent::Moved).changes_by(&before, &change).by_system().save(&**db).await.unwrap();
    let after = change.update(&**db).await.unwrap();
    let recording = after.record(VaultEvent::Moved).changes(&before, &after).snapshot(&after);
    recording.by_system().save(&**db).await.unwrap();
    // A transition's own columns.
    let sealing = after
        .seal(&**db)
        .set(Column::Owner, "Cy")
        .set(Column::PasswordHash, "secret-3")
        .set(Column::ApiKey, "secret-3")
        .set(Column::Code, Some("secret-3".to_owned()))
        .set(Column::SessionToken, "secret-3")
        .set(Column::Type, "secret-3")
        .set(Column::Hint, "secret-3")
        .set(Column::Answers, json!(["secret-3"]))
        .set(Column::KeyMaterial, b"secret-3".to_vec());
    sealing.by_system().await.unwrap();
    // Many rows at once.
    let update = vault::Entity::update_all().set(Column::Owner, "Di").set(Column::PasswordHash, "secret-4");
    let update = update.set(Column::KeyMaterial, b"secret-4".to_vec()).set(Column::Hint, "secret-4");
    let event = |before: &vault::Model, after: &vault::Model| {
        after.record(VaultEvent::Moved).changes(before, after).snapshot(before).by_system()
    };
    update.record(&**db, event).await.unwrap();
    let delete = vault::Entity::delete_all();
    delete.record(&**db, |row| row.record(VaultEvent::Moved).snapshot(row).by_system()).await.unwrap();

    let stored = stored(db).await;
    assert_eq!(stored.len(), 5 * 3);
    assert!(stored.iter().any(|text| text.contains("Di")), "{stored:?}");
    for text in stored {
        assert!(!SECRETS.iter().any(|secret| text.contains(secret)), "{text}");
    }
    assert_eq!(db.number("SELECT count(*) FROM events WHERE context IS NULL").await, 1, "all but the deletion changed");
}

async fn what_is_not_left_out_is_kept(db: &TestDb) {
    let before = vault(db).await;
    let mut change = before.clone().into_active_model();
    change.greeting = Set("goodbye".to_owned());
    let after = change.update(&**db).await.unwrap();
    let recording = after.record(VaultEvent::Moved).changes(&before, &after).snapshot(&after);
    recording.by_system().save(&**db).await.unwrap();
    let event = VaultEvent::feed().page(&**db).await.unwrap().entries[0].stored().clone();
    // Named as in the database; another column's name there is no reason to leave it out.
    let changes: Vec<_> = event.changes().map(|(name, from, to)| (name, from.clone(), to.clone())).collect();
    assert_eq!(changes, [("hint", json!("welcome"), json!("goodbye"))]);
    let snapshot = json!({"id": 1, "owner": "Ada", "status": "open", "hint": "goodbye"});
    assert_eq!(event.snapshot, Some(snapshot));
}

async fn names_of_columns_left_out_are_dropped(db: &TestDb) {
    let vault = vault(db).await;
    let names =
        ["password_hash", "pw", "PasswordHash", "PASSWORD-HASH", "apiKey", "x-y", "sessionToken", "code", "type"];
    let changes = names.map(|name| (name, json!("secret-1"), json!("secret-2")));
    let recording = vault.record(VaultEvent::Moved).changed(changes).changed([("tags", json!(1), json!(2))]);
    recording.by_system().save(&**db).await.unwrap();
    let event = VaultEvent::feed().page(&**db).await.unwrap().entries[0].stored().clone();
    assert_eq!(event.changes().map(|(name, ..)| name).collect::<Vec<_>>(), ["tags"]);
}

async fn what_no_longer_says_its_columns_is_refused(db: &TestDb) {
    let vault = vault(db).await;
    let serialised: Value = serde_json::to_value(&vault).unwrap();
    for recording in [
        vault.record(VaultEvent::Moved).snapshot_value(&vault),
        vault.record(VaultEvent::Moved).snapshot_value(&serialised),
        vault.record(VaultEvent::Moved).snapshot_value(&json!({"owner": "Ada"})),
    ] {
        let error = recording.by_system().save(&**db).await.unwrap_err();
        let RecordError::Invalid(RecordingError::SnapshotExcept { event, action }) = &error else { panic!("{error}") };
        assert_eq!((*event, *action), ("VaultEvent", "moved"));
        assert!(error.to_string().contains(".snapshot(&model)"), "{error}");
    }
    assert_eq!(db.number("SELECT count(*) FROM events").await, 0);
}

async fn a_label_is_the_field_that_was_named(db: &TestDb) {
    let vault = vault(db).await;
    vault.record(VaultEvent::Moved).by_system().save(&**db).await.unwrap();
    let page = VaultEvent::feed().page(&**db).await.unwrap();
    // Another field, which is left out, is called `greeting` in the database.
    assert_eq!(page.entries[0].labels().subject.as_deref(), Some("welcome"));
}
