//! The processes of the crash test: `crash record URL EVENTS WRITERS`, `crash dispatch URL FILE`, `crash drain URL FILE`,
//! `crash drain-poisoned URL FILE`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's own process: a panic is its way to fail")]

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use behaviour::{connect, statement};
use event_sea_orm::prelude::*;
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

/// A subject without a table.
struct Counter;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(Counter))]
enum CounterEvent {
    Counted { writer: u64, nth: u64 },
}

/// Exactly once: the effect is in the transaction that saves the cursor.
#[inbox(start = beginning)]
async fn projection(event: Event<CounterEvent>, txn: Txn<'_>) -> InboxResult {
    txn.execute_raw(statement(&txn, "INSERT INTO effects (event) VALUES (?)", [event.id().into()])).await?;
    handled()
}

/// The same, and every seventh event fails at first.
#[inbox(start = beginning, retry(max_attempts = 50, backoff = exponential, base = "1ms", max_wait = "5ms"))]
async fn stumbling_projection(event: Event<CounterEvent>, txn: Txn<'_>, attempt: Attempt) -> InboxResult {
    txn.execute_raw(statement(&txn, "INSERT INTO stumbling_effects (event) VALUES (?)", [event.id().into()])).await?;
    if event.id() % 7 == 0 && attempt.number == 1 {
        return Err(InboxError::new("stumbled after it wrote"));
    }
    handled()
}

/// At least once: the effect is in a file, which no transaction covers.
#[inbox(start = beginning, concurrency = 8, retry(max_attempts = 50, backoff = exponential, base = "1ms", max_wait = "5ms"))]
async fn mailer(event: Event<CounterEvent>, State(file): State<Arc<File>>) -> InboxResult {
    // Some are under way over several saves, so that a kill finds them in flight.
    let slow = event.id() % 5 == 0;
    tokio::time::sleep(Duration::from_micros(fastrand::u64(..if slow { 200_000 } else { 300 }))).await;
    // One short write to a file opened for appending: whole, or not there.
    (&*file).write_all(format!("{}\n", event.id()).as_bytes())?;
    handled()
}

/// Ends its process with the first event, after a moment in which others are under way.
#[inbox(start = beginning)]
async fn poisonous(event: Event<CounterEvent>) -> InboxResult {
    if event.id() == 1 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        std::process::abort();
    }
    handled()
}

/// Is always under way when the process ends.
#[inbox(start = beginning)]
async fn innocent(event: Event<CounterEvent>, State(file): State<Arc<File>>) -> InboxResult {
    tokio::time::sleep(Duration::from_millis(200)).await;
    (&*file).write_all(format!("{}\n", event.id()).as_bytes())?;
    handled()
}

/// The same, in a transaction.
#[inbox(start = beginning)]
async fn exact_innocent(event: Event<CounterEvent>, txn: Txn<'_>) -> InboxResult {
    tokio::time::sleep(Duration::from_millis(200)).await;
    txn.execute_raw(statement(&txn, "INSERT INTO effects (event) VALUES (?)", [event.id().into()])).await?;
    handled()
}

const KILLED: [&str; 3] = ["projection", "stumbling_projection", "mailer"];
const POISONED: [&str; 3] = ["poisonous", "innocent", "exact_innocent"];

/// Records from several tasks, some of it rolled back; says each event that was committed.
async fn record(url: &str, events: u64, writers: u64) {
    let db = connect(url, 4).await;
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let db = db.clone();
            tokio::spawn(async move {
                for nth in 0..events / writers {
                    let saved = db.transact(async |txn| {
                        let saved = CounterEvent::Counted { writer, nth }.on(writer).by_system().save(txn).await?;
                        match nth % 10 {
                            3 => Err(RecordError::from(sea_orm::DbErr::Custom("rolled back".to_owned()))),
                            _ => Ok(saved),
                        }
                    });
                    if let Ok(saved) = saved.await
                        && let Some(event) = saved.event()
                    {
                        println!("{}", event.id);
                    }
                    tokio::time::sleep(Duration::from_micros(fastrand::u64(..2_000))).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn dispatcher(url: &str, file: &str, inboxes: [&str; 3]) -> Dispatcher {
    let file = OpenOptions::new().create(true).append(true).open(file).unwrap();
    // Pages and saves small and quick, so that a kill finds many different moments.
    let builder =
        Dispatcher::builder(connect(url, 4).await).state(Arc::new(file)).page(20).batch(8, Duration::from_millis(20));
    builder.only(inboxes).lease(Duration::from_millis(200)).build().unwrap()
}

async fn drain(url: &str, file: &str, inboxes: [&str; 3]) {
    loop {
        // Held by a worker that was killed, or waiting for a retry: again, until nothing is left.
        let dispatcher = dispatcher(url, file, inboxes).await;
        let report = dispatcher.drain().await.unwrap();
        if report.held_elsewhere.is_empty() && dispatcher.next_due().await.unwrap().is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["record", url, events, writers] => record(url, events.parse().unwrap(), writers.parse().unwrap()).await,
        ["dispatch", url, file] => dispatcher(url, file, KILLED).await.run(std::future::pending()).await.unwrap(),
        ["drain", url, file] => drain(url, file, KILLED).await,
        ["drain-poisoned", url, file] => drain(url, file, POISONED).await,
        _ => panic!("crash record URL EVENTS WRITERS | dispatch URL FILE | drain URL FILE | drain-poisoned URL FILE"),
    }
}
