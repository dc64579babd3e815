//! Databases in trouble: each a typed error that says what to do, and nothing lost or done twice by it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use behaviour::models::IssueEvent;
use behaviour::seen::Seen;
use behaviour::worker::{Worker, until};
use behaviour::{TestDb, on_every_database};
use event_core::storage::StorageErrorKind;
use event_sea_orm::migration;
use event_sea_orm::prelude::*;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, TransactionTrait};
use sea_orm_migration::SchemaManager;

// SQLite has one lock for all that write, and triggers that exactness rests on; what it rests on elsewhere is in
// preconditions.rs. And only there the dispatcher works on the very connection that it was given: see outages.rs.
on_every_database! {
    a_read_only_database
    a_log_that_was_reset_under_a_stored_cursor
    a_cursor_changed_by_hand
    a_database_that_is_not_migrated
    a_database_that_is_not_there
    ; sqlite_only:
    a_database_that_is_gone
    a_locked_database
    a_locked_database_is_waited_for_while_running
    a_log_without_its_triggers
}

#[inbox(start = beginning)]
async fn noted(event: Event<IssueEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note(event.id().to_string());
    handled()
}

fn dispatcher(db: &DatabaseConnection, seen: &Seen) -> Dispatcher {
    Dispatcher::builder(db).state(seen.clone()).build().unwrap()
}

async fn record(db: &DatabaseConnection) {
    IssueEvent::Closed.on(1).by_system().save(db).await.unwrap();
}

async fn a_read_only_database(db: &TestDb) {
    let seen = Seen::default();
    record(db).await;
    let read_only = db.read_only().await;
    let error = dispatcher(&read_only, &seen).drain().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::ReadOnly, "{error}");
    assert!(error.to_string().contains("has to write its cursors"), "{error}");
    let error = dispatcher(&read_only, &seen).run(std::future::pending()).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::ReadOnly, "at the start it is told, and not waited for");
    assert_eq!(seen.lines().len(), 0);
}

/// A connection that does not wait for locks.
async fn impatient(db: &TestDb) -> DatabaseConnection {
    let impatient = db.another(1).await;
    impatient.execute_unprepared("PRAGMA busy_timeout = 0").await.unwrap();
    impatient
}

async fn a_locked_database(db: &TestDb) {
    let seen = Seen::default();
    record(db).await;
    let impatient = impatient(db).await;
    let dispatcher = dispatcher(&impatient, &seen);
    dispatcher.register().await.unwrap();
    let holder = event_core::storage::Storage::begin(dispatcher_storage(db).storage()).await.unwrap();
    let error = dispatcher.drain().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Locked, "{error}");
    assert!(error.to_string().contains("keep writing transactions short"), "{error}");
    drop(holder);
    dispatcher.drain().await.unwrap();
    assert_eq!(seen.lines(), ["1"]);
}

fn dispatcher_storage(db: &TestDb) -> Dispatcher {
    Dispatcher::builder(&**db).only(Vec::<String>::new()).build().unwrap()
}

async fn a_database_that_is_gone(db: &TestDb) {
    let seen = Seen::default();
    let other = db.another(1).await;
    let dispatcher = dispatcher(&other, &seen);
    dispatcher.register().await.unwrap();
    other.close_by_ref().await.unwrap();
    let error = dispatcher.drain().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains("can't be reached"), "{error}");
}

async fn a_log_that_was_reset_under_a_stored_cursor(db: &TestDb) {
    let seen = Seen::default();
    let dispatcher = dispatcher(db, &seen);
    for _ in 0..3 {
        record(db).await;
    }
    dispatcher.drain().await.unwrap();
    // Somebody puts another log in its place, whose ids begin anew.
    migration::log("events").down(&SchemaManager::new(&**db)).await.unwrap();
    db.sql("DELETE FROM event_migrations WHERE version LIKE '%event_log'").await.unwrap();
    migrate(db).await.unwrap();
    record(db).await;
    let error = dispatcher.drain().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Reset, "{error}");
    for words in ["`noted`", "up to 3", "only ever gave out 1", "DELETE FROM event_cursors"] {
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    let error = dispatcher.run(std::future::pending()).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Reset, "running refuses too");
    // What the message says helps.
    db.sql("DELETE FROM event_cursors WHERE log = 'events'").await.unwrap();
    seen.take();
    dispatcher.drain().await.unwrap();
    assert_eq!(seen.lines(), ["1"]);
}

async fn a_log_without_its_triggers(db: &TestDb) {
    db.sql("DROP TRIGGER events_only_newest").await.unwrap();
    let error = dispatcher(db, &Seen::default()).drain().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unsupported);
    assert!(error.to_string().contains("`events_only_newest` is missing"), "{error}");
}

async fn a_cursor_changed_by_hand(db: &TestDb) {
    let dispatcher = dispatcher(db, &Seen::default());
    dispatcher.register().await.unwrap();
    db.sql("UPDATE event_cursors SET missing = '7-x'").await.unwrap();
    let error = dispatcher.drain().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Corrupt);
    assert!(error.to_string().contains("`noted`") && error.to_string().contains("`7-x`"), "{error}");
}

async fn a_locked_database_is_waited_for_while_running(db: &TestDb) {
    let seen = Seen::default();
    let impatient = impatient(db).await;
    let dispatcher = dispatcher(&impatient, &seen);
    dispatcher.register().await.unwrap();
    let worker = Worker::start(dispatcher);
    // Once it runs: an error at the start would end it.
    until("the claim", async || db.text("SELECT owner FROM event_cursors").await != "-").await;
    record(db).await;
    seen.wait_for(1).await;
    // Long enough for saves and renewals to fail.
    let holder = db.begin_with_options(immediate()).await.unwrap();
    IssueEvent::Closed.on(1).by_system().save(&holder).await.unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    holder.commit().await.unwrap();
    record(db).await;
    until("all three", async || ["1", "2", "3"].iter().all(|id| seen.lines().contains(&(*id).to_owned()))).await;
    worker.stop().await;
}

fn immediate() -> sea_orm::TransactionOptions {
    sea_orm::TransactionOptions {
        sqlite_transaction_mode: Some(sea_orm::SqliteTransactionMode::Immediate),
        ..Default::default()
    }
}

async fn a_database_that_is_not_migrated(db: &TestDb) {
    let empty = db.empty_one().await;
    let error = dispatcher(&empty, &Seen::default()).drain().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::NotMigrated, "{error}");
    assert!(error.to_string().contains("event_sea_orm::migrate(&db)"), "{error}");
}

async fn a_database_that_is_not_there(db: &TestDb) {
    // Connecting is the user's own; what a dead connection does later is above.
    let (place, _) = db.url().rsplit_once('/').unwrap();
    assert!(Database::connect(format!("{place}/nowhere/at_all")).await.is_err());
}
