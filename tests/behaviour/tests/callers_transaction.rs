//! Recording within what the caller began: hooks of active models, refusals, and a pool whose only connection is taken.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use behaviour::models::{self, IssueEvent, issue};
use behaviour::{Kind, TestDb, on_every_database};
use event_core::Draft;
use event_sea_orm::prelude::*;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DbErr, Schema, TransactionTrait};
use serde::{Deserialize, Serialize};

on_every_database! {
    a_hook_of_an_active_model_records
    a_hook_can_not_record_what_needs_several_statements
    an_error_of_the_database_ends_a_transaction_with_a_throttle_as_without
    what_is_refused_with_a_reason_leaves_the_transaction_usable
    ; sqlite_only:
    a_recording_on_the_pool_within_its_only_transaction_fails_at_once
}

mod note {
    use event_sea_orm::prelude::*;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "notes")]
    pub(super) struct Model {
        #[sea_orm(primary_key)]
        pub(super) id: i64,
        pub(super) text: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    #[sea_orm_migration::async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn after_save<C>(note: Model, db: &C, insert: bool) -> Result<Model, DbErr>
        where
            C: ConnectionTrait,
        {
            let event = if insert { super::NoteEvent::Written } else { super::NoteEvent::Edited };
            let saved = note.record(event).by_system().save_on(db).await;
            saved.map_err(|error| DbErr::Custom(error.to_string()))?;
            Ok(note)
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(note::Entity))]
enum NoteEvent {
    Written,
    Edited,
    #[event(throttle = "1h")]
    Viewed,
}

/// Its log's table is renamed by the test that needs an error of the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, name = "gone"), log = "gone_events")]
enum GoneEvent {
    Closed,
    #[event(throttle = "1h")]
    Viewed,
}

async fn a_hook_of_an_active_model_records(db: &TestDb) {
    let schema = Schema::new(db.get_database_backend());
    db.execute(&schema.create_table_from_entity(note::Entity)).await.unwrap();
    let written = db
        .transact(async |txn| {
            let note = note::ActiveModel { text: Set("first".to_owned()), ..Default::default() }.insert(txn).await?;
            let mut edited: note::ActiveModel = note.into();
            edited.text = Set("second".to_owned());
            Ok(edited.update(txn).await?)
        })
        .await
        .unwrap();
    let actions = "SELECT action FROM events ORDER BY id";
    assert_eq!(db.rows(actions).await, ["written", "edited"]);
    let page = written.feed::<NoteEvent>().page(&**db).await.unwrap();
    assert_eq!(page.entries.len(), 2);
    let undone = db.transact(async |txn| {
        note::ActiveModel { text: Set("undone".to_owned()), ..Default::default() }.insert(txn).await?;
        Err::<(), _>(DbErr::Custom("undone".to_owned()).into())
    });
    undone.await.unwrap_err();
    assert_eq!(db.rows(actions).await.len(), 2, "a hook's event is rolled back with its row");
}

async fn a_hook_can_not_record_what_needs_several_statements(db: &TestDb) {
    let refused = NoteEvent::Viewed.on(1).by_system().save_on(&**db).await.unwrap_err();
    assert!(matches!(refused, RecordError::NeedsBlock { action: "viewed", needs: "a throttle" }), "{refused}");
    assert!(NoteEvent::Viewed.on(1).by_system().unthrottled().save_on(&**db).await.unwrap().is_new());
    let draft = Draft::from(NoteEvent::Written.on(1).by_system().key("one"));
    assert!(draft.save_on(&**db).await.unwrap().is_new());
    let again = NoteEvent::Written.on(1).by_system().key("one").save_on(&**db).await.unwrap();
    assert!(!again.is_new());
}

async fn an_error_of_the_database_ends_a_transaction_with_a_throttle_as_without(db: &TestDb) {
    db.sql("ALTER TABLE gone_events RENAME TO moved_events").await.unwrap();
    let goes_on = async |event: GoneEvent| {
        let txn = db.begin().await.unwrap();
        models::issue(&txn, "Broken").await;
        let refused = event.on(1).by_system().save(&txn).await.unwrap_err();
        assert!(matches!(refused, RecordError::NotMigrated { .. }), "{refused}");
        let goes_on = txn.execute_unprepared("DELETE FROM users").await.is_ok();
        drop(txn.rollback().await);
        goes_on
    };
    let expected = db.kind() != Kind::Postgres;
    assert_eq!(goes_on(GoneEvent::Closed).await, expected);
    assert_eq!(goes_on(GoneEvent::Viewed).await, expected);
    // A throttle that was taken before the refusal is not kept.
    if db.kind() != Kind::Postgres {
        let txn = db.begin().await.unwrap();
        GoneEvent::Viewed.on(1).by_system().save(&txn).await.unwrap_err();
        txn.commit().await.unwrap();
    }
    assert_eq!(db.number("SELECT count(*) FROM event_throttles").await, 0);
}

async fn what_is_refused_with_a_reason_leaves_the_transaction_usable(db: &TestDb) {
    let txn = db.begin().await.unwrap();
    NoteEvent::Viewed.on(1).by_system().unthrottled().key("taken").save(&txn).await.unwrap();
    let refused = NoteEvent::Viewed.on(2).by_system().key("taken").save(&txn).await.unwrap_err();
    assert!(matches!(refused, RecordError::KeyConflict { .. }), "{refused}");
    let refused = NoteEvent::Written.on(2).by_system().key("taken").save(&txn).await.unwrap_err();
    assert!(matches!(refused, RecordError::KeyConflict { .. }), "{refused}");
    let refused = NoteEvent::Written.on(2).save(&txn).await.unwrap_err();
    assert!(matches!(refused, RecordError::Invalid(_)), "{refused}");
    // The throttle that the conflict had taken is free again.
    assert!(NoteEvent::Viewed.on(2).by_system().save(&txn).await.unwrap().is_new());
    txn.commit().await.unwrap();
    assert_eq!(db.number("SELECT count(*) FROM events").await, 2);
}

async fn a_recording_on_the_pool_within_its_only_transaction_fails_at_once(db: &TestDb) {
    let no_connection = |error: RecordError| assert!(matches!(error, RecordError::NoConnection { .. }), "{error}");
    let (db, other) = (&**db, db.another(2).await);
    let work = db.transact(async |txn| {
        IssueEvent::Created.on(1).by_system().save(txn).await?;
        no_connection(IssueEvent::Closed.on(1).by_system().save(db).await.unwrap_err());
        no_connection(IssueEvent::Closed.on(1).by_system().save(&db.clone()).await.unwrap_err());
        no_connection(NoteEvent::Viewed.on(1).by_system().save(db).await.unwrap_err());
        no_connection(record_many(db, [IssueEvent::Closed.on(1).by_system()]).await.unwrap_err());
        db.transact(async |_| Ok(())).await.unwrap_err();
        // Another pool's connections are its own.
        IssueEvent::feed().page(&other).await.unwrap();
        Ok(())
    });
    // The pool waits for a connection for thirty seconds.
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("it waited for the pool").unwrap();
    assert!(IssueEvent::Closed.on(1).by_system().save(db).await.unwrap().is_new(), "after it the pool is free");
}
