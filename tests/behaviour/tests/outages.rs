//! Servers that go away and come back: the dispatcher says so once, goes on by itself, and does nothing twice that must not be.
//! SQLite is a file, which does neither.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use behaviour::models::IssueEvent;
use behaviour::seen::Seen;
use behaviour::worker::{Worker, until};
use behaviour::{TestDb, connect, on_every_database, statement};
use event_core::storage::StorageErrorKind;
use event_sea_orm::SeaStorage;
use event_sea_orm::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseConnection, TransactionTrait};

on_every_database! {
    ; servers_only:
    connections_that_the_server_ends_are_made_anew
    connections_that_the_network_ends_are_made_anew
    an_outage_is_told_once_and_got_over
    a_commit_whose_answer_is_lost_is_not_repeated
    recording_returns_the_error_to_its_caller
    a_server_that_is_gone
    an_application_that_uses_up_its_pool_holds_up_nobody
    a_worker_that_is_cut_off_is_taken_over
    a_shutdown_does_not_wait_for_a_silent_server
    ; postgres_only:
    a_phase_in_which_nothing_can_be_written
}

#[inbox(start = beginning)]
async fn noted(event: Event<IssueEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note(event.id().to_string());
    handled()
}

#[inbox(start = beginning)]
async fn projected(event: Event<IssueEvent>, txn: Txn<'_>, State(seen): State<Seen>) -> InboxResult {
    seen.note(format!("projected {}", event.id()));
    txn.execute_raw(statement(&txn, "INSERT INTO effects (event) VALUES (?)", [event.id().into()])).await?;
    handled()
}

fn builder(db: &DatabaseConnection, seen: &Seen) -> event_core::dispatch::Builder<SeaStorage> {
    let (least, most) = (Duration::from_millis(5), Duration::from_millis(50));
    Dispatcher::builder(db).state(seen.clone()).poll(least, most).lease(Duration::from_secs(2))
}

async fn prepare(db: &TestDb) {
    db.sql("CREATE TABLE effects (event bigint NOT NULL)").await.unwrap();
}

async fn record(db: &TestDb) -> i64 {
    IssueEvent::Closed.on(1).by_system().save(&**db).await.unwrap().event().unwrap().id
}

async fn committed(db: &TestDb) -> Vec<String> {
    db.rows("SELECT id FROM events ORDER BY id").await
}

/// Waits until both inboxes have done all that is recorded; the transactional one exactly once.
async fn until_all_is_done(db: &TestDb, seen: &Seen) {
    let all = committed(db).await;
    until("every event noted", async || all.iter().all(|id| seen.lines().contains(id))).await;
    until("every effect", async || {
        db.number("SELECT count(*) FROM effects").await >= i64::try_from(all.len()).unwrap()
    })
    .await;
    assert_eq!(db.rows("SELECT event FROM effects ORDER BY event").await, all);
}

async fn connections_that_the_server_ends_are_made_anew(db: &TestDb) {
    prepare(db).await;
    let seen = Seen::default();
    let pool = db.another(3).await;
    let worker = Worker::start(builder(&pool, &seen).build().unwrap());
    // Once it runs: an error at the start would end it.
    record(db).await;
    until_all_is_done(db, &seen).await;
    for _ in 0..5 {
        for _ in 0..10 {
            record(db).await;
        }
        // In the middle of it, and then once more at rest.
        db.kill_connections().await;
        record(db).await;
        until_all_is_done(db, &seen).await;
        db.kill_connections().await;
    }
    record(db).await;
    until_all_is_done(db, &seen).await;
    worker.stop().await;
}

async fn connections_that_the_network_ends_are_made_anew(db: &TestDb) {
    prepare(db).await;
    let (seen, proxy) = (Seen::default(), db.proxy().await);
    let pool = connect(proxy.url(), 3).await;
    let worker = Worker::start(builder(&pool, &seen).build().unwrap());
    // Once it runs: an error at the start would end it.
    record(db).await;
    until_all_is_done(db, &seen).await;
    for _ in 0..5 {
        for _ in 0..10 {
            record(db).await;
        }
        proxy.cut();
        record(db).await;
        proxy.open();
        until_all_is_done(db, &seen).await;
    }
    worker.stop().await;
}

async fn an_outage_is_told_once_and_got_over(db: &TestDb) {
    prepare(db).await;
    let (seen, told, proxy) = (Seen::default(), Seen::default(), db.proxy().await);
    let pool = connect(proxy.url(), 3).await;
    let worker = Worker::start_telling(builder(&pool, &seen).build().unwrap(), &told);
    record(db).await;
    until_all_is_done(db, &seen).await;
    assert_eq!(told.lines(), Vec::<String>::new(), "all is well");
    proxy.cut();
    record(db).await;
    until("the error", async || told.count("ERROR") > 0).await;
    // Long enough for several tries.
    tokio::time::sleep(Duration::from_secs(4)).await;
    proxy.open();
    until_all_is_done(db, &seen).await;
    until("the good news", async || told.count("INFO") > 0).await;
    worker.stop().await;
    let lines = told.lines();
    assert_eq!((told.count("ERROR"), told.count("INFO")), (1, 1), "{lines:#?}");
    // And each inbox tells that it reloads; not at every try.
    assert!(told.count("WARN") <= 2, "{lines:#?}");
}

async fn a_commit_whose_answer_is_lost_is_not_repeated(db: &TestDb) {
    prepare(db).await;
    let (seen, proxy) = (Seen::default(), db.proxy().await);
    let pool = connect(proxy.url(), 3).await;
    let worker = Worker::start(builder(&pool, &seen).only(["projected"]).build().unwrap());
    record(db).await;
    until("the first effect", async || db.number("SELECT count(*) FROM effects").await == 1).await;
    for n in 2..=5 {
        proxy.lose_the_answer_to("COMMIT");
        let id = record(db).await;
        until("the lost answer", async || proxy.has_lost()).await;
        until("the effect", async || db.number("SELECT count(*) FROM effects").await >= n).await;
        // The next comes through, and the one before is not done again.
        until("the reload", async || {
            let high = db.number("SELECT high FROM event_cursors").await;
            high >= id && db.text("SELECT in_flight FROM event_cursors").await.is_empty()
        })
        .await;
    }
    worker.stop().await;
    let all = committed(db).await;
    assert_eq!(db.rows("SELECT event FROM effects ORDER BY event").await, all);
    assert_eq!(seen.lines().len(), all.len(), "each handler ran once: {:?}", seen.lines());
}

async fn recording_returns_the_error_to_its_caller(db: &TestDb) {
    let proxy = db.proxy().await;
    let pool = connect(proxy.url(), 1).await;
    IssueEvent::Closed.on(1).by_system().save(&pool).await.unwrap();
    // In the middle of a transaction.
    let broken = pool.transact(async |txn| {
        IssueEvent::Closed.on(1).by_system().save(txn).await?;
        proxy.cut();
        proxy.open();
        IssueEvent::Closed.on(1).by_system().save(txn).await
    });
    assert!(broken.await.is_err());
    assert_eq!(committed(db).await, ["1"]);
    // The pool makes another connection.
    IssueEvent::Closed.on(1).by_system().save(&pool).await.unwrap();
    // With the answer to the commit lost nobody knows, and the caller hears that: with a key it can ask again.
    proxy.lose_the_answer_to("COMMIT");
    let keyed = || pool.transact(async |txn| IssueEvent::Closed.on(1).by_system().key("once").save(txn).await);
    assert!(keyed().await.is_err());
    assert!(!keyed().await.unwrap().is_new(), "it was committed");
    assert_eq!(committed(db).await.len(), 3);
}

async fn a_server_that_is_gone(db: &TestDb) {
    let (seen, proxy) = (Seen::default(), db.proxy().await);
    let pool = connect(proxy.url(), 1).await;
    let dispatcher = builder(&pool, &seen).only(["noted"]).build().unwrap();
    dispatcher.register().await.unwrap();
    record(db).await;
    proxy.cut();
    let error = dispatcher.drain().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains("can't be reached"), "{error}");
    let error = dispatcher.run(std::future::pending()).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unreachable, "at the start it is told, and not waited for");
    proxy.open();
    // A connection that was in use a moment ago is taken for alive, unasked: the first of them may still be a broken one.
    until("the server is back", async || dispatcher.drain().await.is_ok()).await;
    assert_eq!(seen.lines(), ["1"]);
}

async fn an_application_that_uses_up_its_pool_holds_up_nobody(db: &TestDb) {
    prepare(db).await;
    let (seen, told) = (Seen::default(), Seen::default());
    let mut options = sea_orm::ConnectOptions::new(db.url());
    options.max_connections(1).acquire_timeout(Duration::from_millis(200)).sqlx_logging(false);
    let pool = sea_orm::Database::connect(options).await.unwrap();
    let worker = Worker::start_telling(builder(&pool, &seen).build().unwrap(), &told);
    record(db).await;
    until_all_is_done(db, &seen).await;
    let held = pool.begin().await.unwrap();
    for _ in 0..20 {
        record(db).await;
    }
    // What handlers do in their transaction they do in the application's pool; nothing else is held up.
    let all = committed(db).await;
    until("every event noted", async || all.iter().all(|id| seen.lines().contains(id))).await;
    until("a word about the other", async || told.count("WARN") > 0).await;
    assert!(told.lines()[0].contains("no free connection"), "{:#?}", told.lines());
    held.rollback().await.unwrap();
    until_all_is_done(db, &seen).await;
    worker.stop().await;
}

async fn a_worker_that_is_cut_off_is_taken_over(db: &TestDb) {
    prepare(db).await;
    let (one, other, proxy) = (Seen::default(), Seen::default(), db.proxy().await);
    let pool = connect(proxy.url(), 3).await;
    let first = Worker::start(builder(&pool, &one).build().unwrap());
    record(db).await;
    until_all_is_done(db, &one).await;
    proxy.cut();
    record(db).await;
    let second = Worker::start(builder(db, &other).build().unwrap());
    until("the takeover", async || other.lines().contains(&"2".to_owned())).await;
    until("the takeover", async || other.lines().contains(&"projected 2".to_owned())).await;
    // The first comes back, and finds its inboxes taken.
    proxy.open();
    for _ in 0..20 {
        record(db).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let last = committed(db).await.pop().unwrap();
    until("the end", async || other.lines().contains(&last)).await;
    until("the end", async || other.lines().contains(&format!("projected {last}"))).await;
    second.stop().await;
    // Given up, so that the first has them again.
    record(db).await;
    until("the first again", async || one.count("projected 23") > 0 && one.lines().contains(&"23".to_owned())).await;
    first.stop().await;
    assert_eq!(db.rows("SELECT event FROM effects ORDER BY event").await, committed(db).await);
}

async fn a_phase_in_which_nothing_can_be_written(db: &TestDb) {
    prepare(db).await;
    let (seen, told) = (Seen::default(), Seen::default());
    let pool = db.another(3).await;
    let worker = Worker::start_telling(builder(&pool, &seen).build().unwrap(), &told);
    record(db).await;
    until_all_is_done(db, &seen).await;
    let name = db.text("SELECT CAST(current_database() AS text)").await;
    let setting = format!("ALTER DATABASE {name} SET default_transaction_read_only");
    db.sql(&format!("{setting} = on")).await.unwrap();
    db.kill_connections().await;
    until("the error", async || told.count("ERROR") > 0).await;
    assert!(told.lines().iter().any(|line| line.contains("read-only")), "{:#?}", told.lines());
    let operator = db.another(1).await;
    operator.execute_unprepared("SET default_transaction_read_only = off").await.unwrap();
    operator.execute_unprepared(&format!("{setting} = off")).await.unwrap();
    db.kill_connections().await;
    record(db).await;
    until_all_is_done(db, &seen).await;
    worker.stop().await;
    assert_eq!(told.count("ERROR"), 1, "{:#?}", told.lines());
}

async fn a_shutdown_does_not_wait_for_a_silent_server(db: &TestDb) {
    prepare(db).await;
    let (seen, proxy) = (Seen::default(), db.proxy().await);
    let pool = connect(proxy.url(), 3).await;
    let builder = builder(&pool, &seen).shutdown_timeout(Duration::from_secs(1));
    let worker = Worker::start(builder.build().unwrap());
    record(db).await;
    until_all_is_done(db, &seen).await;
    proxy.silence();
    record(db).await;
    // Long enough that the worker waits for an answer: it renews its leases every two thirds of a second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    // A statement's own time-out is 30 s.
    tokio::time::timeout(Duration::from_secs(15), worker.stop())
        .await
        .expect("the shutdown ends before the statement does");
}
