//! A worker of many logs: what it costs that one of them is busy.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use behaviour::models::issue;
use behaviour::raw::RawEvent;
use behaviour::seen::Seen;
use behaviour::worker::{Worker, until};
use behaviour::{Kind, TestDb, on_every_database};
use event_sea_orm::Dispatcher;
use event_sea_orm::prelude::*;
use serde::{Deserialize, Serialize};

on_every_database! {
    one_busy_log_costs_the_others_no_reads
    ; postgres_only:
    an_idle_worker_is_told_of_the_log_that_was_recorded_in
}

macro_rules! logs {
    ($($log:literal $event:ident $inbox:ident),*) => {
        $(
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
            #[event(subject(issue::Entity), log = $log)]
            enum $event {
                Closed,
            }

            #[inbox]
            async fn $inbox(event: Event<$event>, State(seen): State<Seen>) -> InboxResult {
                seen.note(event.at.to_string());
                handled()
            }
        )*

        const LOGS: &[&str] = &[$($log),*];
        const INBOXES: &[&str] = &[$(stringify!($inbox)),*];
    };
}

logs! {
    "many_a" EventA of_a, "many_b" EventB of_b, "many_c" EventC of_c, "many_d" EventD of_d, "many_e" EventE of_e,
    "many_f" EventF of_f, "many_g" EventG of_g, "many_h" EventH of_h, "many_i" EventI of_i, "many_j" EventJ of_j
}

async fn worker(db: &TestDb, seen: &Seen, fastest: Duration, slowest: Duration) -> Worker {
    let builder = Dispatcher::builder(&**db).state(seen.clone()).poll(fastest, slowest).only(INBOXES.iter().copied());
    let dispatcher = builder.build().unwrap();
    dispatcher.register().await.unwrap();
    Worker::start(dispatcher)
}

/// Reads of a log, where its statements are seen.
fn reads(statements: &[sea_orm::Statement], log: &str) -> usize {
    let reads = |sql: &str| sql.contains(log) && sql.contains("metadata") && sql.contains("SELECT");
    statements.iter().filter(|statement| reads(&statement.sql) && !statement.sql.contains("INSERT")).count()
}

async fn one_busy_log_costs_the_others_no_reads(db: &TestDb) {
    let seen = Seen::default();
    let worker = worker(db, &seen, Duration::from_millis(10), Duration::from_millis(100)).await;
    EventJ::Closed.on(1).by_system().save(&**db).await.unwrap();
    until("it is delivered", async || seen.lines().len() == 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    db.take_statements();
    for nth in 0..20 {
        EventA::Closed.on(1).by_system().save(&**db).await.unwrap();
        until("it is delivered", async || seen.lines().len() == 2 + nth).await;
    }
    // In a transaction the commit tells; a handler's would, too.
    db.transact(async |txn| EventB::Closed.on(1).by_system().save(txn).await).await.unwrap();
    until("it is delivered", async || seen.lines().len() == 22).await;
    let statements = db.take_statements();
    // Elsewhere the dispatcher's connections are its own.
    if db.kind() == Kind::Sqlite {
        assert!(reads(&statements, "many_a") >= 20);
        for log in &LOGS[2..] {
            assert_eq!(reads(&statements, log), 0, "{log}");
        }
    }
    // What another program records in any of them is found by polling.
    for log in LOGS {
        RawEvent::closed().in_log(log).write(db).await.unwrap();
    }
    until("all are delivered", async || seen.lines().len() == 22 + LOGS.len()).await;
    worker.stop().await;
}

/// So long that whoever only polls is not told of anything within the test.
const NEVER: Duration = Duration::from_secs(3_600);

async fn an_idle_worker_is_told_of_the_log_that_was_recorded_in(db: &TestDb) {
    let seen = Seen::default();
    let worker = worker(db, &seen, Duration::from_millis(1), NEVER).await;
    until("the worker sleeps", async || db.number("SELECT count(*) FROM event_sleepers").await == 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (nth, log) in LOGS.iter().enumerate() {
        RawEvent::closed().in_log(log).write(db).await.unwrap();
        until("it is delivered", async || seen.lines().len() == nth + 1).await;
    }
    worker.stop().await;
}
