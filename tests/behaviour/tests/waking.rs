//! How a worker learns of what other processes record.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use behaviour::models::IssueEvent;
use behaviour::raw::RawEvent;
use behaviour::seen::Seen;
use behaviour::worker::{Worker, until};
use behaviour::{TestDb, on_every_database};
use event_sea_orm::Dispatcher;
use event_sea_orm::prelude::*;

on_every_database! {
    what_another_process_records_is_found_by_polling
    ; postgres_only:
    // LISTEN and NOTIFY: the others have nothing like it.
    an_idle_worker_is_told
    nobody_is_told_while_no_worker_sleeps
    a_worker_that_loses_its_connections_polls_and_listens_again
    an_idle_worker_asks_rarely
}

#[inbox]
async fn heard(event: Event<IssueEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note(event.action.clone());
    handled()
}

/// So long that whoever only polls is not told of anything within the test.
const NEVER: Duration = Duration::from_secs(3_600);

async fn worker(db: &TestDb, seen: &Seen, fastest: Duration, slowest: Duration) -> Worker {
    let builder = Dispatcher::builder(&**db).state(seen.clone()).poll(fastest, slowest);
    let dispatcher = builder.build().unwrap();
    dispatcher.register().await.unwrap();
    Worker::start(dispatcher)
}

/// Written by raw SQL: no call of ours that would wake this process's dispatchers.
async fn record_elsewhere(db: &TestDb) {
    RawEvent::closed().write(db).await.unwrap();
}

async fn what_another_process_records_is_found_by_polling(db: &TestDb) {
    let seen = Seen::default();
    let worker = worker(db, &seen, Duration::from_millis(1), Duration::from_millis(50)).await;
    record_elsewhere(db).await;
    until("the event is handled", async || seen.lines().len() == 1).await;
    worker.stop().await;
}

async fn sleepers(db: &TestDb) -> i64 {
    db.number("SELECT count(*) FROM event_sleepers").await
}

async fn an_idle_worker_is_told(db: &TestDb) {
    let seen = Seen::default();
    let worker = worker(db, &seen, Duration::from_millis(1), NEVER).await;
    until("the worker says that it sleeps", async || sleepers(db).await == 1).await;
    for events in 1..=3 {
        record_elsewhere(db).await;
        until("the event is handled", async || seen.lines().len() == events).await;
    }
    worker.stop().await;
}

async fn nobody_is_told_while_no_worker_sleeps(db: &TestDb) {
    let seen = Seen::default();
    let mut listener = sea_orm::sqlx::postgres::PgListener::connect(db.url()).await.unwrap();
    listener.listen("event_recorded").await.unwrap();
    record_elsewhere(db).await;
    let worker = worker(db, &seen, Duration::from_millis(1), NEVER).await;
    until("the worker says that it sleeps", async || sleepers(db).await == 1).await;
    record_elsewhere(db).await;
    // The first notification is that of the second event: the first one was recorded with nobody asleep.
    let told = listener.recv().await.unwrap();
    assert_eq!(told.payload(), "events");
    assert!(listener.next_buffered().is_none());
    worker.stop().await;
    // A worker that was killed leaves its row: it counts for a minute.
    db.sql("UPDATE event_sleepers SET until = clock_timestamp() - interval '1 second'").await.unwrap();
    record_elsewhere(db).await;
    db.sql("NOTIFY event_recorded, 'the end'").await.unwrap();
    assert_eq!(listener.recv().await.unwrap().payload(), "the end");
}

async fn a_worker_that_loses_its_connections_polls_and_listens_again(db: &TestDb) {
    let seen = Seen::default();
    let worker = worker(db, &seen, Duration::from_millis(1), Duration::from_millis(200)).await;
    until("the worker says that it sleeps", async || sleepers(db).await == 1).await;
    db.sql("DELETE FROM event_sleepers").await.unwrap();
    db.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        .await
        .unwrap();
    record_elsewhere(db).await;
    until("the event is handled", async || seen.lines().len() == 1).await;
    until("the worker says that it sleeps again", async || sleepers(db).await == 1).await;
    worker.stop().await;
}

/// A few questions a second, by the server's own count; at the fastest pace it would be thousands.
async fn an_idle_worker_asks_rarely(db: &TestDb) {
    let seen = Seen::default();
    let dispatcher =
        Dispatcher::builder(&**db).state(seen.clone()).poll(Duration::from_millis(2), Duration::from_secs(1));
    let dispatcher = dispatcher.build().unwrap();
    dispatcher.register().await.unwrap();
    let worker = Worker::start(dispatcher);
    until("the worker says that it sleeps", async || sleepers(db).await == 1).await;
    let transactions = async || {
        db.number("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()").await
    };
    // It grows slower step by step, and the server counts what an idle session did up to ten seconds later.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let before = transactions().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let asked = transactions().await - before;
    assert!(asked <= 100, "{asked} transactions in ten seconds");
    worker.stop().await;
}
