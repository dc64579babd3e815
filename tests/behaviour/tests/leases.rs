//! Several workers on one database: one owner per inbox, takeover, and what a crash leaves to the next owner.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use behaviour::models::IssueEvent;
use behaviour::raw::RawFailure;
use behaviour::seen::Seen;
use behaviour::worker::{Worker, until};
use behaviour::{Kind, TestDb, on_every_database};
use event_core::dispatch::Blocked;
use event_core::storage::{PauseChange, Save, Storage, StorageErrorKind, Wish};
use event_core::{Clock, LogName, Start};
use event_sea_orm::SeaStorage;
use event_sea_orm::prelude::*;
use sea_orm::ConnectionTrait as _;

on_every_database! {
    an_inbox_has_one_owner_at_a_time
    a_worker_that_holds_nothing_locks_nothing
    a_lease_that_ran_out_is_taken_over
    a_lease_of_a_clock_that_was_set_back_is_over
    a_worker_whose_clock_was_set_back_keeps_its_inboxes_or_is_fenced_off
    retries_of_a_worker_whose_clock_was_ahead_are_bounded
    a_worker_that_stops_gives_its_inboxes_up_at_once
    the_old_owner_is_fenced_off
    a_save_that_was_applied_unseen_is_not_repeated
    after_a_crash_what_was_in_flight_runs_alone_and_counted
    an_event_that_ends_every_process_becomes_a_dead_letter
    an_attempt_that_was_cut_short_beside_others_is_not_counted
    what_was_interrupted_again_and_again_runs_alone_in_its_worker
    a_new_log_of_an_owned_inbox_waits_for_its_owner
    a_handler_that_blocks_its_thread_is_reported
}

#[inbox(start = beginning, concurrency = 4, retry(max_attempts = 3, jitter = 0.0))]
async fn counted(event: Event<IssueEvent>, State(seen): State<Seen>, attempt: Attempt) -> InboxResult {
    seen.note(format!("{} #{} begins", event.id(), attempt.number));
    tokio::task::yield_now().await;
    seen.note(format!("{} #{} ends", event.id(), attempt.number));
    handled()
}

#[derive(Clone, Default)]
struct Let(Arc<AtomicBool>);

#[inbox(start = beginning)]
async fn blocking(_event: Event<IssueEvent>, State(Let(go)): State<Let>) -> InboxResult {
    while !go.load(Relaxed) {
        std::thread::sleep(Duration::from_millis(5));
    }
    handled()
}

fn builder(db: &sea_orm::DatabaseConnection, seen: &Seen) -> event_core::dispatch::Builder<SeaStorage> {
    Dispatcher::builder(db).state(seen.clone()).only(["counted"]).lease(Duration::from_secs(3))
}

async fn record(db: &TestDb, events: i64) {
    for subject in 0..events {
        IssueEvent::Closed.on(subject).by_system().save(&**db).await.unwrap();
    }
}

fn wish() -> Wish {
    Wish { inbox: "counted", logs: vec![LogName::from("events")], start: Start::Beginning }
}

async fn an_inbox_has_one_owner_at_a_time(db: &TestDb) {
    let (one, other) = (Seen::default(), Seen::default());
    let second = db.another(1).await;
    let first = Worker::start(builder(db, &one).build().unwrap());
    record(db, 1).await;
    one.wait_for(2).await;
    let report = builder(&second, &other).build().unwrap().drain().await.unwrap();
    assert_eq!(report.held_elsewhere, ["counted"]);
    record(db, 5).await;
    one.wait_for(12).await;
    assert_eq!(other.lines().len(), 0);
    first.stop().await;
}

/// Saves and renewals of the worker that holds the inboxes must not wait for one that only looks whether they are free.
async fn a_worker_that_holds_nothing_locks_nothing(db: &TestDb) {
    let (holder, looker, blocker) = (SeaStorage::from(&**db), db.another(1).await, db.another(1).await);
    let looker = SeaStorage::from(&looker);
    let claim = async |storage: &SeaStorage, owner| {
        let claimed = storage.claim(owner, Duration::from_secs(3_600), &[wish()], chrono::Utc::now()).await;
        claimed.unwrap().iter().map(|claimed| claimed.epoch).collect::<Vec<_>>()
    };
    holder.place(&[wish()]).await.unwrap();
    let [epoch] = claim(&holder, "holder").await[..] else { panic!("it is free") };
    // Now nothing but plain reads gets through.
    let block: &[&str] = match db.kind() {
        Kind::Sqlite => &["BEGIN IMMEDIATE"],
        Kind::Postgres => &["BEGIN", "LOCK TABLE event_cursors IN EXCLUSIVE MODE"],
        Kind::MySql => &["LOCK TABLES event_cursors READ"],
    };
    for statement in block {
        blocker.execute_unprepared(statement).await.unwrap();
    }
    assert_eq!(claim(&looker, "looker").await, [0_i64; 0]);
    let release = if db.kind() == Kind::MySql { "UNLOCK TABLES" } else { "ROLLBACK" };
    blocker.execute_unprepared(release).await.unwrap();
    holder.release("holder", "counted", epoch).await.unwrap();
    assert_eq!(claim(&looker, "looker").await, [epoch + 1]);
}

async fn a_lease_that_ran_out_is_taken_over(db: &TestDb) {
    let seen = Seen::default();
    record(db, 1).await;
    let storage = SeaStorage::from(&**db);
    let dispatcher = builder(db, &seen).build().unwrap();
    dispatcher.register().await.unwrap();
    // A worker that claims and then is never heard of again.
    let claimed = storage.claim("silent", Duration::from_secs(3_600), &[wish()], chrono::Utc::now()).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(dispatcher.drain().await.unwrap().held_elsewhere, ["counted"]);
    let past = db.time("2026-01-01T00:00:00+00:00");
    db.sql(&format!("UPDATE event_cursors SET lease_until = {past}")).await.unwrap();
    let worker = Worker::start(dispatcher);
    seen.wait_for(2).await;
    worker.stop().await;
}

/// As after the database's clock was set back to today: the leases given before are of the year 2099.
async fn set_clock_back(db: &TestDb) {
    let (given, until) = (db.time("2099-01-01T00:00:00+00:00"), db.time("2099-01-01T00:00:03+00:00"));
    let sql = format!("UPDATE event_cursors SET leased_at = {given}, lease_until = {until} WHERE owner IS NOT NULL");
    db.sql(&sql).await.unwrap();
}

async fn a_lease_of_a_clock_that_was_set_back_is_over(db: &TestDb) {
    let seen = Seen::default();
    record(db, 1).await;
    let storage = SeaStorage::from(&**db);
    let dispatcher = builder(db, &seen).build().unwrap();
    dispatcher.register().await.unwrap();
    let lost = storage.claim("dead", Duration::from_secs(3), &[wish()], chrono::Utc::now()).await.unwrap().remove(0);
    assert_eq!(dispatcher.drain().await.unwrap().held_elsewhere, ["counted"]);
    set_clock_back(db).await;
    assert_eq!(dispatcher.drain().await.unwrap().held_elsewhere, [""; 0]);
    assert_eq!(seen.lines().len(), 2);
    let held = [("counted".to_owned(), lost.epoch)];
    assert_eq!(storage.renew("dead", Duration::from_secs(3), &held).await.unwrap().len(), 0, "it has lost the inbox");
    // A renewal writes when it was given, and a release forgets it.
    let held =
        storage.claim("other", Duration::from_secs(3_600), &[wish()], chrono::Utc::now()).await.unwrap().remove(0);
    set_clock_back(db).await;
    let held = [("counted".to_owned(), held.epoch)];
    assert_eq!(storage.renew("other", Duration::from_secs(3_600), &held).await.unwrap(), ["counted"]);
    assert_eq!(dispatcher.drain().await.unwrap().held_elsewhere, ["counted"]);
    storage.release("other", "counted", held[0].1).await.unwrap();
    assert_eq!(db.number("SELECT count(*) FROM event_cursors WHERE leased_at IS NOT NULL").await, 0);
}

async fn a_worker_whose_clock_was_set_back_keeps_its_inboxes_or_is_fenced_off(db: &TestDb) {
    let (one, other) = (Seen::default(), Seen::default());
    let first = Worker::start(builder(db, &one).build().unwrap());
    record(db, 1).await;
    one.wait_for(2).await;
    set_clock_back(db).await;
    // The first one renews within a second, or the second one takes the inbox over: each event is handled once.
    let second = Worker::start(builder(&db.another(1).await, &other).build().unwrap());
    for _ in 0..20 {
        record(db, 1).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until("all is handled", async || one.lines().len() + other.lines().len() >= 42).await;
    let year = db.number("SELECT count(*) FROM event_cursors WHERE lease_until > '2098-01-01 00:00:00'").await;
    assert_eq!(year, 0, "whoever has it has a lease of today");
    first.stop().await;
    second.stop().await;
}

async fn retries_of_a_worker_whose_clock_was_ahead_are_bounded(db: &TestDb) {
    let seen = Seen::default();
    record(db, 3).await;
    let now = chrono::Utc::now();
    let clock = Clock::manual(now);
    let dispatcher = builder(db, &seen).clock(clock.clone()).build().unwrap();
    dispatcher.register().await.unwrap();
    db.sql("UPDATE event_cursors SET high = 3, ceiling = 3").await.unwrap();
    for id in 1..=3 {
        let row = RawFailure {
            inbox: "counted",
            log: "events",
            id,
            attempts: 1,
            next_attempt_at: Some("2099-01-01T00:00:01+00:00"),
            started_at: None,
        };
        row.write(db).await;
    }
    // The second one was written by a clock that is right: its handler asked for the wait. The third one is snoozed.
    let future = db.time("2099-01-01T00:00:00+00:00");
    db.sql(&format!("UPDATE event_failures SET last_failed_at = {future} WHERE event_id <> 2")).await.unwrap();
    db.sql("UPDATE event_failures SET state = 'snoozed' WHERE event_id = 3").await.unwrap();
    dispatcher.drain().await.unwrap();
    assert_eq!(seen.lines().len(), 0, "it waits as long as its attempts ask for");
    // The first attempt's wait, with the longest jitter.
    clock.advance(Duration::from_secs(2));
    dispatcher.drain().await.unwrap();
    assert_eq!(seen.lines(), ["1 #2 begins", "1 #2 ends"]);
    assert_eq!(db.rows("SELECT event_id FROM event_failures ORDER BY event_id").await, ["2", "3"]);
}

async fn a_worker_that_stops_gives_its_inboxes_up_at_once(db: &TestDb) {
    let seen = Seen::default();
    let first = Worker::start(builder(db, &seen).lease(Duration::from_secs(3_600)).build().unwrap());
    record(db, 1).await;
    seen.wait_for(2).await;
    first.stop().await;
    record(db, 1).await;
    let report = builder(db, &seen).build().unwrap().drain().await.unwrap();
    assert_eq!((report.total().handled, report.held_elsewhere.len()), (1, 0));
    assert_eq!(db.number("SELECT count(*) FROM event_failures").await, 0, "nothing was suspect");
}

async fn the_old_owner_is_fenced_off(db: &TestDb) {
    let storage = SeaStorage::from(&**db);
    storage.place(&[wish()]).await.unwrap();
    let now = chrono::Utc::now();
    let old = storage.claim("old", Duration::ZERO, &[wish()], now).await.unwrap().remove(0);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let new = storage.claim("new", Duration::from_secs(60), &[wish()], now).await.unwrap().remove(0);
    assert!(new.epoch > old.epoch);
    let save = |epoch| Save {
        inbox: "counted",
        epoch,
        cursors: vec![event_core::storage::CursorSave {
            log: LogName::from("events"),
            saves: 0,
            high: 0,
            ceiling: 0,
            missing: None,
            in_flight: None,
        }],
        failures: Vec::new(),
        pause: PauseChange::Unchanged,
    };
    let error = storage.save(&save(old.epoch)).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Fenced);
    let held = [("counted".to_owned(), old.epoch)];
    assert_eq!(storage.renew("old", Duration::from_secs(60), &held).await.unwrap().len(), 0);
    storage.release("old", "counted", old.epoch).await.unwrap();
    let kept = storage.claim("third", Duration::from_secs(60), &[wish()], now).await.unwrap();
    assert_eq!(kept.len(), 0, "the old owner's release lets nobody in");
    storage.save(&save(new.epoch)).await.unwrap();
}

async fn a_save_that_was_applied_unseen_is_not_repeated(db: &TestDb) {
    // The acknowledgement of a commit was lost: the same save again, with the right epoch, must be refused.
    let storage = SeaStorage::from(&**db);
    storage.place(&[wish()]).await.unwrap();
    let claimed = storage.claim("me", Duration::from_secs(60), &[wish()], chrono::Utc::now()).await.unwrap().remove(0);
    let save = Save {
        inbox: "counted",
        epoch: claimed.epoch,
        cursors: vec![event_core::storage::CursorSave {
            log: LogName::from("events"),
            saves: claimed.cursors[0].saves,
            high: 0,
            ceiling: 0,
            missing: None,
            in_flight: None,
        }],
        failures: Vec::new(),
        pause: PauseChange::Unchanged,
    };
    storage.save(&save).await.unwrap();
    assert_eq!(storage.save(&save).await.unwrap_err().kind(), StorageErrorKind::Fenced);
}

async fn after_a_crash_what_was_in_flight_runs_alone_and_counted(db: &TestDb) {
    let seen = Seen::default();
    record(db, 6).await;
    builder(db, &seen).build().unwrap().register().await.unwrap();
    // As a crash leaves it: read up to 3, of which 2 and 3 were under way, and up to 5 may have been started.
    db.sql("UPDATE event_cursors SET high = 3, ceiling = 5, in_flight = '2-3', owner = 'dead', lease_until = NULL")
        .await
        .unwrap();
    let told = Seen::default();
    let hook = told.clone();
    let dispatcher = builder(db, &seen).on_failure(move |_| hook.note("failed")).build().unwrap();
    dispatcher.drain().await.unwrap();
    let lines = seen.lines();
    for id in 2..=5 {
        // Alone: its end comes right after its beginning.
        let begins = lines.iter().position(|line| *line == format!("{id} #1 begins")).unwrap();
        assert_eq!(lines[begins + 1], format!("{id} #1 ends"), "{lines:?}");
    }
    assert_eq!(lines.len(), 10, "{lines:?}");
    assert_eq!(db.number("SELECT count(*) FROM event_failures").await, 0);
    assert_eq!(told.lines().len(), 0, "what ends well is no failure");
}

async fn an_event_that_ends_every_process_becomes_a_dead_letter(db: &TestDb) {
    let seen = Seen::default();
    record(db, 2).await;
    let clock = Clock::manual(chrono::Utc::now());
    let dispatcher = builder(db, &seen).clock(clock).build().unwrap();
    dispatcher.register().await.unwrap();
    // Two attempts begun alone in their worker, none ended; the process went down in each.
    db.sql("UPDATE event_cursors SET high = 1, ceiling = 1").await.unwrap();
    let begun = RawFailure {
        inbox: "counted",
        log: "events",
        id: 1,
        attempts: 2,
        next_attempt_at: None,
        started_at: Some("2026-01-01T00:00:00+00:00"),
    };
    begun.write(db).await;
    db.sql("UPDATE event_failures SET interrupted = 2").await.unwrap();
    dispatcher.drain().await.unwrap();
    assert_eq!(seen.count("1 #3"), 2, "one attempt was left");
    assert_eq!(dispatcher.dead_letters().newest().await.unwrap().len(), 0);
    RawFailure { id: 2, attempts: 3, ..begun }.write(db).await;
    db.sql("UPDATE event_failures SET interrupted = 2").await.unwrap();
    let report = dispatcher.drain().await.unwrap();
    assert_eq!(report.total().dead, 1);
    let dead = dispatcher.dead_letters().newest().await.unwrap().remove(0);
    assert_eq!((dead.key.event.id, dead.kind.as_str(), dead.attempts), (2, "crash", 3));
    assert_eq!(seen.count("2 #4"), 0, "it is not run once more");
}

async fn an_attempt_that_was_cut_short_beside_others_is_not_counted(db: &TestDb) {
    let seen = Seen::default();
    record(db, 1).await;
    let dispatcher = builder(db, &seen).build().unwrap();
    dispatcher.register().await.unwrap();
    db.sql("UPDATE event_cursors SET high = 1, ceiling = 1").await.unwrap();
    // The last of its attempts, and the process went down in it twice already.
    let begun = RawFailure {
        inbox: "counted",
        log: "events",
        id: 1,
        attempts: 3,
        next_attempt_at: None,
        started_at: Some("2026-01-01T00:00:00+00:00"),
    };
    for interrupted in 0..=2 {
        begun.write(db).await;
        db.sql(&format!("UPDATE event_failures SET interrupted = {interrupted}")).await.unwrap();
        let report = dispatcher.drain().await.unwrap();
        if interrupted < 2 {
            assert_eq!((seen.take(), report.total().dead), (vec!["1 #3 begins".into(), "1 #3 ends".into()], 0));
        } else {
            assert_eq!((seen.take(), report.total().dead), (vec![], 1), "that it ran alone is evidence");
        }
    }
    // An operator's retry begins with a clean slate.
    let dead = dispatcher.dead_letters().newest().await.unwrap().remove(0);
    assert!(dispatcher.dead_letters().retry(&dead).await.unwrap());
    assert_eq!(db.number("SELECT interrupted FROM event_failures").await, 0);
}

/// Holds its thread of execution until the test lets it go.
#[derive(Clone, Default)]
struct Held(Arc<tokio::sync::Notify>);

#[inbox(start = beginning)]
async fn long(event: Event<IssueEvent>, State(seen): State<Seen>, State(held): State<Held>) -> InboxResult {
    seen.note(format!("long {} begins", event.id()));
    held.0.notified().await;
    seen.note(format!("long {} ends", event.id()));
    handled()
}

async fn what_was_interrupted_again_and_again_runs_alone_in_its_worker(db: &TestDb) {
    let (seen, held) = (Seen::default(), Held::default());
    record(db, 1).await;
    let build = || {
        let builder = Dispatcher::builder(&**db).state(seen.clone()).state(held.clone());
        builder.only(["counted", "long"]).lease(Duration::from_secs(60)).build().unwrap()
    };
    let dispatcher = build();
    dispatcher.register().await.unwrap();
    let suspect = "UPDATE event_cursors SET high = 1, ceiling = 1 WHERE inbox = 'counted'";
    db.sql(suspect).await.unwrap();
    let begun = RawFailure {
        inbox: "counted",
        log: "events",
        id: 1,
        attempts: 1,
        next_attempt_at: None,
        started_at: Some("2026-01-01T00:00:00+00:00"),
    };
    begun.write(db).await;
    db.sql("UPDATE event_failures SET interrupted = 2").await.unwrap();
    let worker = Worker::start(dispatcher);
    // Which of the two is first is open; they are never under way at once.
    until("the long one has begun", async || seen.count("long 1 begins") == 1).await;
    record(db, 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    held.0.notify_one();
    until("both are done", async || seen.count("long 1 ends") == 1 && seen.count("1 #2 ends") == 1).await;
    let lines = seen.lines();
    let at = |line: &str| lines.iter().position(|found| found == line).unwrap();
    let (begins, ends) = (at("1 #2 begins"), at("1 #2 ends"));
    assert!(ends < at("long 1 begins") || at("long 1 ends") < begins, "{lines:?}");
    assert_eq!(ends, begins + 1, "{lines:?}");
    // The others go on behind it.
    held.0.notify_one();
    until("the second one is done", async || seen.count("long 2 ends") == 1 && seen.count("2 #1 ends") == 1).await;
    worker.stop().await;
    assert_eq!(db.number("SELECT count(*) FROM event_failures").await, 0);
}

async fn a_new_log_of_an_owned_inbox_waits_for_its_owner(db: &TestDb) {
    let storage = SeaStorage::from(&**db);
    storage.place(&[wish()]).await.unwrap();
    let now = chrono::Utc::now();
    storage.claim("owner", Duration::from_secs(60), &[wish()], now).await.unwrap();
    // Another program links an enum more, and so knows one log more.
    let both = Wish { logs: vec![LogName::from("audit_events"), LogName::from("events")], ..wish() };
    storage.place(std::slice::from_ref(&both)).await.unwrap();
    assert_eq!(storage.claim("other", Duration::from_secs(60), &[both], now).await.unwrap().len(), 0);
}

async fn a_handler_that_blocks_its_thread_is_reported(db: &TestDb) {
    let (told, go) = (Seen::default(), Let::default());
    let (hook, free) = (told.clone(), go.clone());
    let dispatcher = Dispatcher::builder(&**db)
        .state(go)
        .only(["blocking"])
        .on_blocked(Duration::from_millis(100), move |blocked: &Blocked| {
            hook.note(format!("{} {}", blocked.inbox, blocked.event.as_ref().unwrap()));
            free.0.store(true, Relaxed);
        })
        .build()
        .unwrap();
    record(db, 1).await;
    let report = dispatcher.drain().await.unwrap();
    assert_eq!(told.lines(), ["blocking events/1"]);
    assert_eq!(report.total().handled, 1, "it can't be stopped, only reported");
}
