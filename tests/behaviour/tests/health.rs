//! A worker's health on a database: what is paused, what is behind, and since when the database can't be reached.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use behaviour::models::IssueEvent;
use behaviour::worker::{Worker, until};
use behaviour::{TestDb, on_every_database};
use event_core::LogName;
use event_core::dispatch::{Health, InboxState, LogHealth};
use event_core::storage::StorageErrorKind;
use event_sea_orm::prelude::*;
use sea_orm::DatabaseConnection;
use tokio::sync::Semaphore;

on_every_database! {
    a_paused_inbox_shows_with_why_until_it_goes_on
    an_inbox_that_is_behind_shows_by_how_much
    a_worker_whose_database_is_gone_says_since_when
}

/// Each delivery needs a permit; without any gate, it fails.
#[inbox(concurrency = 1, pause(after = 3))]
async fn gated(_event: Event<IssueEvent>, State(gate): State<Arc<Semaphore>>) -> InboxResult {
    gate.acquire().await?.forget();
    handled()
}

#[inbox(pause(after = 3))]
async fn greylisted(_event: Event<IssueEvent>, State(gate): State<Arc<Semaphore>>) -> InboxResult {
    match gate.try_acquire() {
        Ok(permit) => permit.forget(),
        Err(_) => return Err(InboxError::new("the mail server says: come later")),
    }
    handled()
}

fn dispatcher(db: &DatabaseConnection, inbox: &str, gate: &Arc<Semaphore>) -> Dispatcher {
    let builder = Dispatcher::builder(db).state(gate.clone()).only([inbox]).lease(Duration::from_millis(600));
    builder.pause(Duration::from_millis(50), Duration::from_millis(200)).build().unwrap()
}

async fn record(db: &TestDb, events: usize) {
    for subject in 0..events {
        IssueEvent::Closed.on(i64::try_from(subject).unwrap()).by_system().save(&**db).await.unwrap();
    }
}

fn place(health: &Health) -> LogHealth {
    health.inboxes["gated"].logs[&LogName::from("events")].clone()
}

async fn a_paused_inbox_shows_with_why_until_it_goes_on(db: &TestDb) {
    let gate = Arc::new(Semaphore::new(0));
    let dispatcher = dispatcher(db, "greylisted", &gate);
    dispatcher.register().await.unwrap();
    let worker = Worker::start(dispatcher.clone());
    record(db, 6).await;
    until("it shows as paused after a probe", async || {
        let state = dispatcher.health().inboxes["greylisted"].state.clone();
        matches!(state, InboxState::Paused(pause) if pause.probes >= 2)
    })
    .await;
    let health = dispatcher.health();
    let InboxState::Paused(pause) = &health.inboxes["greylisted"].state else { panic!("{health:#?}") };
    assert_eq!(pause.why, "error: the mail server says: come later");
    assert!(pause.since < pause.until && !health.is_well());
    gate.add_permits(1_000);
    until("it goes on", async || dispatcher.health().is_well()).await;
    worker.stop().await;
    assert_eq!(db.number("SELECT count(*) FROM event_cursors WHERE paused_why IS NOT NULL").await, 0);
}

async fn an_inbox_that_is_behind_shows_by_how_much(db: &TestDb) {
    let gate = Arc::new(Semaphore::new(0));
    let dispatcher = dispatcher(db, "gated", &gate);
    dispatcher.register().await.unwrap();
    let worker = Worker::start(dispatcher.clone());
    until("it runs", async || dispatcher.health().is_well()).await;
    record(db, 5).await;
    until("it is behind by all of them", async || place(&dispatcher.health()).behind == 5).await;
    let first = place(&dispatcher.health());
    assert_eq!(first.newest, db.number("SELECT max(id) FROM events").await);
    until("and longer and longer", async || place(&dispatcher.health()).behind_for > first.behind_for).await;
    gate.add_permits(1_000);
    until("it is at the end", async || {
        let place = place(&dispatcher.health());
        place.behind == 0 && place.behind_for == Duration::ZERO && place.in_flight == 0
    })
    .await;
    let place = place(&dispatcher.health());
    assert!(place.last_save > first.last_save && place.last_read.is_some(), "{place:?}");
    worker.stop().await;
    assert!(!dispatcher.health().is_well());
}

async fn a_worker_whose_database_is_gone_says_since_when(db: &TestDb) {
    let gate = Arc::new(Semaphore::new(1_000));
    let pool = db.another(2).await;
    let dispatcher = dispatcher(&pool, "gated", &gate);
    let worker = Worker::start(dispatcher.clone());
    until("it runs", async || dispatcher.health().is_well()).await;
    let before = dispatcher.health();
    assert_eq!((before.failing, before.running_since < before.last_reached), (None, true));
    pool.close_by_ref().await.unwrap();
    until("it says that it fails", async || dispatcher.health().failing.is_some()).await;
    let failing = dispatcher.health().failing.unwrap();
    assert_eq!(failing.kind, StorageErrorKind::Unreachable, "{failing:?}");
    assert!(failing.since >= before.at && failing.error.contains("can't be reached"), "{failing:?}");
    assert!(dispatcher.health().last_reached.unwrap() <= failing.since);
    drop(worker);
}
