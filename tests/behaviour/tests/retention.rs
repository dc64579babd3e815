//! Retention: old events go, and none that somebody still has use for.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use behaviour::models::{AccountEvent, IssueEvent, IssueEventAction};
use behaviour::raw::{RawEvent, RawFailure};
use behaviour::worker::Worker;
use behaviour::{Kind, TestDb, on_every_database, statement};
use event_sea_orm::prelude::*;
use event_sea_orm::{Held, LogRetention};
use sea_orm::{ConnectionTrait, DbErr};

on_every_database! {
    old_events_go_and_young_ones_stay
    nothing_goes_that_an_inbox_has_still_to_do
    an_inbox_that_is_linked_nowhere_holds_its_log_back
    an_inbox_that_never_ran_holds_its_log_back
    what_failed_stays_until_it_is_retried_or_discarded
    the_newest_event_stays
    actions_have_ages_of_their_own
    only_retention_may_delete
    an_archive_has_events_before_they_go
    an_archive_that_fails_keeps_them
    a_table_takes_what_goes
    a_key_may_come_again_and_be_archived_again
    throttles_that_ended_go_too
    imported_history_goes_by_when_it_happened
    recorded_batches_go_when_nothing_names_them
    dead_letters_are_found_by_an_index
    ids_go_on_and_new_inboxes_take_what_is_left
    two_at_once_do_it_once
    a_run_that_is_cut_off_leaves_whole_batches
    beside_live_traffic_nothing_is_lost_and_nothing_done_twice
    ; postgres_only:
    what_a_policy_hides_does_not_go
}

/// What a program imports that ran on paper until yesterday.
async fn imported_history_goes_by_when_it_happened(db: &TestDb) {
    let year = chrono::TimeDelta::days(365);
    for id in 1..=6 {
        let happened = if id % 2 == 0 { chrono::Utc::now() - year } else { chrono::Utc::now() };
        IssueEvent::Closed.on(id).by_system().at(happened).save(&**db).await.unwrap();
    }
    recorded(db, 1).await;
    assert_eq!(run(db, Retention::older_than(DAY)).await.deleted, 0);
    // Young ones between them end nothing.
    assert_eq!(run(db, Retention::older_than(DAY).by_occurred_at().batch(1)).await.deleted, 3);
    assert_eq!(ids(db).await, [1, 3, 5, 7]);
    // What an inbox has not done stays, and the report says since when.
    IssueEvent::Closed.on(1).by_system().at(chrono::Utc::now() - year).save(&**db).await.unwrap();
    IssueEvent::Closed.on(1).by_system().save(&**db).await.unwrap();
    let of_log = run(db, Retention::older_than(DAY).by_occurred_at()).await;
    assert_eq!(of_log.deleted, 0);
    assert!(of_log.held.iter().any(|held| chrono::Utc::now() - held.oldest >= year), "{of_log:?}");
    assert_eq!(run(db, Retention::older_than(DAY)).await.held, []);
}

async fn recorded_batches_go_when_nothing_names_them(db: &TestDb) {
    let batches = async |retention: Retention| retention.batches().run(&**db).await.unwrap().batches;
    let recorded_in = async |batch: &Batch| {
        batch.run(IssueEvent::Closed.on(1).by_system().save(&**db)).await.unwrap();
        recorded(db, 1).await;
    };
    let archived = Batch::begin(&**db, "archived").await.unwrap();
    recorded_in(&archived).await;
    // Its event is in the archive.
    assert_eq!(batches(everything().archive_in_table()).await, 0);
    db.sql("DELETE FROM events_archive").await.unwrap();
    let outer = Batch::begin(&**db, "outer").await.unwrap();
    let inner = outer.run(Batch::begin(&**db, "inner")).await.unwrap();
    recorded_in(&inner).await;
    assert_eq!(batches(Retention::older_than(DAY)).await, 0);
    // Without asking for it they stay.
    assert_eq!(everything().run(&**db).await.unwrap().batches, 0);
    assert_eq!(batches(everything()).await, 3);
    // The newest event stays, and with it its batch and the one around it; one of its own log's counts as well.
    let outer = Batch::begin(&**db, "outer").await.unwrap();
    let inner = outer.run(Batch::begin(&**db, "inner")).await.unwrap();
    inner.run(AccountEvent::SignedIn.on(1).by_system().save(&**db)).await.unwrap();
    assert_eq!(batches(everything().log("events")).await, 0);
    assert_eq!(db.number("SELECT count(*) FROM event_batches").await, 2);
}

/// Each event is looked up among the failure rows: without an index that is quadratic.
async fn dead_letters_are_found_by_an_index(db: &TestDb) {
    let asked = "SELECT CASE WHEN EXISTS (SELECT 1 FROM event_failures WHERE event_failures.log = 'events' \
         AND event_failures.event_id = events.id) THEN 1 ELSE 0 END AS failing FROM events WHERE id > 7 LIMIT 5";
    let plan = db.plan(db.statement(asked, [])).await;
    assert!(plan.contains("event_failures_event"), "{plan}");
}

const DAY: Duration = Duration::from_secs(86_400);

#[inbox(start = beginning)]
async fn projected(event: Event<IssueEvent>, txn: Txn<'_>) -> InboxResult {
    txn.execute_raw(statement(&txn, "INSERT INTO effects (event) VALUES (?)", [event.id().into()])).await?;
    handled()
}

async fn drain(db: &TestDb) {
    db.sql("CREATE TABLE IF NOT EXISTS effects (event bigint NOT NULL)").await.unwrap();
    Dispatcher::builder(&**db).build().unwrap().drain().await.unwrap();
}

/// Records so many, and has the inbox do them.
async fn recorded(db: &TestDb, events: usize) {
    for _ in 0..events {
        IssueEvent::Closed.on(1).by_system().save(&**db).await.unwrap();
    }
    drain(db).await;
}

/// An event that was recorded on that day.
async fn recorded_on(db: &TestDb, action: &str, day: &str) {
    let insert = RawEvent::of(action, 1, "{}").insert(db);
    let time = db.time(&format!("{day}T00:00:00+00:00"));
    let insert = insert.replacen("occurred_at)", "occurred_at, created_at)", 1);
    let (head, _) = insert.rsplit_once(')').unwrap();
    db.sql(&format!("{head}, {time})")).await.unwrap();
}

async fn run(db: &TestDb, retention: Retention) -> LogRetention {
    let mut report = retention.run(&**db).await.unwrap();
    assert_eq!(db.number("SELECT count(*) FROM event_retention").await, 0);
    report.logs.remove(&LogName::from("events")).unwrap()
}

async fn ids(db: &TestDb) -> Vec<i64> {
    db.rows("SELECT id FROM events ORDER BY id").await.iter().map(|id| id.parse().unwrap()).collect()
}

fn everything() -> Retention {
    Retention::older_than(Duration::ZERO)
}

async fn old_events_go_and_young_ones_stay(db: &TestDb) {
    for day in ["2020-01-01", "2020-01-02", "2020-01-03"] {
        recorded_on(db, "closed", day).await;
    }
    recorded(db, 2).await;
    AccountEvent::SignedIn.on(1).by_system().save(&**db).await.unwrap();
    let report = Retention::older_than(DAY).run(&**db).await.unwrap();
    assert_eq!(report.logs.keys().map(LogName::as_str).collect::<Vec<_>>(), ["audit_events", "events"]);
    let of_log = &report.logs[&LogName::from("events")];
    assert_eq!((of_log.deleted, of_log.failing, of_log.held.len()), (3, 0, 0));
    assert_eq!(ids(db).await, [4, 5]);
    assert_eq!(run(db, Retention::older_than(DAY)).await, LogRetention::default());
    // In batches smaller than what goes, and as old as can be asked for.
    recorded(db, 5).await;
    assert_eq!(run(db, everything().batch(2)).await.deleted, 6);
    assert_eq!(ids(db).await, [10]);
    assert_eq!(run(db, Retention::older_than(Duration::MAX)).await.deleted, 0);
}

/// Puts an inbox's cursor somewhere.
async fn place(db: &TestDb, inbox: &str, high: i64, missing: &str, in_flight: &str) {
    let time = db.time("2026-01-01T00:00:00+00:00");
    db.sql(&format!("DELETE FROM event_cursors WHERE inbox = '{inbox}'")).await.unwrap();
    db.sql(&format!(
        "INSERT INTO event_cursors (inbox, log, high, ceiling, missing, in_flight, epoch, saves, updated_at) \
         VALUES ('{inbox}', 'events', {high}, {high}, '{missing}', '{in_flight}', 1, 1, {time})"
    ))
    .await
    .unwrap();
}

async fn nothing_goes_that_an_inbox_has_still_to_do(db: &TestDb) {
    recorded(db, 9).await;
    for (high, missing, in_flight, left) in [(8, "3-4", "6", 3), (8, "", "5-6", 5), (8, "7", "6", 6), (7, "", "", 8)] {
        place(db, "gone", high, missing, in_flight).await;
        let of_log = run(db, everything()).await;
        assert_eq!(ids(db).await[0], left, "{of_log:?}");
        let held: Vec<_> = of_log.held.iter().map(|held| (held.inbox.as_str(), held.up_to)).collect();
        assert_eq!(held, [("gone", left - 1)]);
    }
    place(db, "gone", 9, "", "").await;
    assert_eq!(run(db, everything()).await.held, []);
    assert_eq!(ids(db).await, [9]);
}

async fn an_inbox_that_is_linked_nowhere_holds_its_log_back(db: &TestDb) {
    recorded(db, 3).await;
    place(db, "gone", 1, "", "").await;
    db.sql(&format!(
        "UPDATE event_cursors SET paused_at = {time}, paused_until = {time} WHERE inbox = 'gone'",
        time = db.time("2026-01-01T00:00:00+00:00")
    ))
    .await
    .unwrap();
    let of_log = run(db, everything()).await;
    let [Held { inbox, up_to: 1, linked: false, begun: true, paused: true, .. }] = &of_log.held[..] else {
        panic!("{of_log:?}")
    };
    assert_eq!(inbox, "gone");
    assert_eq!(ids(db).await, [2, 3]);
    db.sql("DELETE FROM event_cursors WHERE inbox = 'gone'").await.unwrap();
    assert_eq!(run(db, everything()).await.deleted, 1);
}

async fn an_inbox_that_never_ran_holds_its_log_back(db: &TestDb) {
    for _ in 0..3 {
        IssueEvent::Closed.on(1).by_system().save(&**db).await.unwrap();
    }
    let of_log = run(db, everything()).await;
    let [Held { inbox, up_to: 0, linked: true, begun: false, .. }] = &of_log.held[..] else { panic!("{of_log:?}") };
    assert_eq!(inbox, "projected");
    assert_eq!(of_log.deleted, 0);
}

async fn what_failed_stays_until_it_is_retried_or_discarded(db: &TestDb) {
    recorded(db, 5).await;
    for id in [2, 4] {
        let failure =
            RawFailure { inbox: "other", log: "events", id, attempts: 1, next_attempt_at: None, started_at: None };
        failure.write(db).await;
    }
    let of_log = run(db, everything().batch(1)).await;
    assert_eq!((of_log.deleted, of_log.failing), (2, 2));
    assert_eq!(ids(db).await, [2, 4, 5]);
    db.sql("DELETE FROM event_failures WHERE event_id = 2").await.unwrap();
    let of_log = run(db, everything()).await;
    assert_eq!((of_log.deleted, of_log.failing), (1, 1));
}

async fn the_newest_event_stays(db: &TestDb) {
    assert_eq!(run(db, everything()).await, LogRetention::default());
    recorded(db, 1).await;
    assert_eq!(run(db, everything()).await.deleted, 0);
    assert_eq!(ids(db).await, [1]);
}

async fn actions_have_ages_of_their_own(db: &TestDb) {
    for action in ["closed", "created", "closed", "created"] {
        recorded_on(db, action, "2020-01-01").await;
    }
    recorded(db, 1).await;
    let of_log = run(db, Retention::older_than(DAY).only::<IssueEvent>([IssueEventAction::Created])).await;
    assert_eq!(of_log.deleted, 2);
    assert_eq!(ids(db).await, [1, 3, 5]);
    assert_eq!(run(db, Retention::older_than(DAY).only::<IssueEvent>([])).await.deleted, 0);
    let report = everything().only::<AccountEvent>([]).run(&**db).await.unwrap();
    assert_eq!(report.logs.keys().map(LogName::as_str).collect::<Vec<_>>(), ["audit_events"]);
}

async fn only_retention_may_delete(db: &TestDb) {
    recorded(db, 4).await;
    assert_eq!(run(db, everything()).await.deleted, 3);
    recorded(db, 2).await;
    for attempt in ["DELETE FROM events", "DELETE FROM events WHERE id <= 4"] {
        let error = db.sql(attempt).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
    // The permission is for the ids up to its own.
    let refused = db.transact_with_error(async |txn| {
        txn.execute_unprepared("INSERT INTO event_retention (log, upto) VALUES ('events', 4)").await?;
        txn.execute_unprepared("DELETE FROM events WHERE id = 4").await?;
        txn.execute_unprepared("DELETE FROM events WHERE id = 5").await
    });
    let error: DbErr = refused.await.unwrap_err();
    assert!(error.to_string().contains("append-only"), "{error}");
    assert_eq!(ids(db).await, [4, 5, 6]);
    if db.kind() == Kind::Postgres {
        let shadowed = db.transact_with_error(async |txn| {
            txn.execute_unprepared("CREATE TEMPORARY TABLE event_retention AS SELECT 'events'::text AS log, 9 AS upto")
                .await?;
            txn.execute_unprepared("DELETE FROM events WHERE id = 4").await
        });
        let error: DbErr = shadowed.await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
}

async fn an_archive_has_events_before_they_go(db: &TestDb) {
    recorded(db, 5).await;
    recorded(db, 1).await;
    let archived = Arc::new(Mutex::new(Vec::new()));
    let archive = archived.clone();
    let retention = everything().batch(2).archive(move |events| {
        let archive = archive.clone();
        async move {
            archive.lock().unwrap().extend(events.iter().map(|event| (event.at.id, event.action.to_string())));
            Ok::<_, std::io::Error>(())
        }
    });
    assert_eq!(run(db, retention).await.deleted, 5);
    let expected: Vec<_> = (1..=5).map(|id| (id, "closed".to_owned())).collect();
    assert_eq!(*archived.lock().unwrap(), expected);
    assert_eq!(ids(db).await, [6]);
}

async fn an_archive_that_fails_keeps_them(db: &TestDb) {
    recorded(db, 4).await;
    let retention = everything().batch(2).archive(
        async |events: Vec<Arc<StoredEvent>>| {
            if events[0].at.id == 1 { Ok(()) } else { Err("the disk is full") }
        },
    );
    let error = retention.run(&**db).await.unwrap_err();
    assert_eq!(error.to_string(), "events of `events` are kept, for the archive did not take them: the disk is full");
    assert_eq!(ids(db).await, [3, 4]);
}

async fn a_table_takes_what_goes(db: &TestDb) {
    recorded(db, 3).await;
    let before = db.rows("SELECT id, action, subject_id, idempotency_key FROM events ORDER BY id").await;
    assert_eq!(run(db, everything().log("events").archive_in_table()).await.deleted, 2);
    recorded(db, 1).await;
    assert_eq!(run(db, everything().log("events").archive_in_table()).await.deleted, 1);
    let archived = "SELECT id, action, subject_id, idempotency_key FROM events_archive ORDER BY id";
    assert_eq!(db.rows(archived).await, before);
}

async fn a_key_may_come_again_and_be_archived_again(db: &TestDb) {
    for _ in 0..2 {
        let saved = IssueEvent::Closed.on(1).by_system().key("k").save(&**db).await.unwrap();
        assert!(saved.is_new());
        recorded(db, 1).await;
        run(db, everything().log("events").archive_in_table()).await;
    }
    assert_eq!(db.number("SELECT count(*) FROM events_archive WHERE idempotency_key = 'k'").await, 2);
}

async fn throttles_that_ended_go_too(db: &TestDb) {
    for (key, minutes) in [("a", 1), ("b", 100_000)] {
        let recording = IssueEvent::Closed.on(1).by_system();
        recording.throttle(Throttle::per_key(Duration::from_secs(minutes * 60), key)).save(&**db).await.unwrap();
    }
    let past = db.time("2026-01-01T00:00:00+00:00");
    let tomorrow = (chrono::Utc::now() + DAY).format("%Y-%m-%dT%H:%M:%S+00:00").to_string();
    let ended = format!("UPDATE event_throttles SET until = {past} WHERE until < {}", db.time(&tomorrow));
    db.sql(&ended).await.unwrap();
    assert_eq!(db.number("SELECT count(*) FROM event_throttles").await, 2);
    assert_eq!(everything().run(&**db).await.unwrap().throttles, 1);
    assert_eq!(everything().run(&**db).await.unwrap().throttles, 0);
    assert_eq!(db.number("SELECT count(*) FROM event_throttles").await, 1);
}

async fn ids_go_on_and_new_inboxes_take_what_is_left(db: &TestDb) {
    recorded(db, 5).await;
    run(db, everything()).await;
    let id = IssueEvent::Closed.on(1).by_system().save(&**db).await.unwrap().event().unwrap().id;
    assert_eq!(id, 6);
    // A reset cursor is that of a new inbox which starts at the beginning.
    db.sql("DELETE FROM event_cursors").await.unwrap();
    db.sql("DELETE FROM effects").await.unwrap();
    drain(db).await;
    assert_eq!(db.rows("SELECT event FROM effects ORDER BY event").await, ["5", "6"]);
    assert_eq!(run(db, everything()).await.deleted, 1);
}

async fn two_at_once_do_it_once(db: &TestDb) {
    recorded(db, 40).await;
    let other = db.another(2).await;
    let small = everything().log("events").batch(3);
    let (one, two) = tokio::join!(small.run(&**db), small.run(&other));
    let deleted = [one, two].map(|report| report.unwrap().logs[&LogName::from("events")].deleted);
    assert_eq!(deleted.iter().sum::<u64>(), 39);
    assert_eq!(ids(db).await, [40]);
}

async fn a_run_that_is_cut_off_leaves_whole_batches(db: &TestDb) {
    recorded(db, 60).await;
    let small = everything().log("events").batch(2).archive_in_table();
    // Its table is there before the first cut.
    everything().log("events").only::<IssueEvent>([]).archive_in_table().run(&**db).await.unwrap();
    let (mut cut, mut wait) = (0, 2);
    loop {
        let ended = tokio::time::timeout(Duration::from_millis(wait), small.run(&**db)).await;
        // In one snapshot: what was cut off while it committed may be committed by the server at any moment.
        let all = db.rows("SELECT id FROM events UNION ALL SELECT id FROM events_archive ORDER BY 1").await;
        let all: Vec<_> = all.iter().map(|id| id.parse::<i64>().unwrap()).collect();
        assert_eq!(all, (1..=60).collect::<Vec<_>>(), "after {cut} cuts");
        assert_eq!(db.number("SELECT count(*) FROM event_retention").await, 0);
        match ended {
            Ok(report) => break drop(report.unwrap()),
            Err(_) => (cut, wait) = (cut + 1, wait + 3),
        }
    }
    assert!(cut > 0);
    assert_eq!(ids(db).await, [60]);
}

/// Recorders, every third of which is rolled back, an inbox at work, and retention that takes whatever it may.
async fn beside_live_traffic_nothing_is_lost_and_nothing_done_twice(db: &TestDb) {
    db.sql("CREATE TABLE effects (event bigint NOT NULL)").await.unwrap();
    let pool = db.another(8).await;
    let (least, most) = (Duration::from_millis(1), Duration::from_millis(20));
    let worker = Worker::start(Dispatcher::builder(&pool).poll(least, most).build().unwrap());
    let over = Arc::new(AtomicBool::new(false));
    let remover = tokio::spawn({
        let (pool, over) = (pool.clone(), over.clone());
        async move {
            let (mut removed, mut runs) = (0, 0);
            while !over.load(Ordering::Relaxed) {
                let report = everything().log("events").batch(20).run(&pool).await.unwrap();
                removed += report.logs[&LogName::from("events")].deleted;
                runs += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (removed, runs)
        }
    });
    let recorders: Vec<_> = (0..4)
        .map(|recorder| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut kept = BTreeSet::new();
                for round in 0..60 {
                    let id = pool.transact(async |txn| {
                        let id = IssueEvent::Closed.on(recorder).by_system().save(txn).await?.event().unwrap().id;
                        tokio::time::sleep(Duration::from_millis(2)).await;
                        if round % 3 == 0 { Err(RecordError::from(DbErr::Custom("no".to_owned()))) } else { Ok(id) }
                    });
                    match id.await {
                        Ok(id) => drop(kept.insert(id)),
                        Err(error) => assert!(error.to_string().contains("no"), "{error}"),
                    }
                }
                kept
            })
        })
        .collect();
    let mut kept = BTreeSet::new();
    for recorder in recorders {
        kept.extend(recorder.await.unwrap());
    }
    let done = async || -> Vec<i64> {
        db.rows("SELECT event FROM effects ORDER BY event").await.iter().map(|id| id.parse().unwrap()).collect()
    };
    behaviour::worker::until("all are done", async || done().await.len() >= kept.len()).await;
    // While nothing else happens, retention comes to the end.
    behaviour::worker::until("most are removed", async || ids(db).await.len() + 20 < kept.len()).await;
    over.store(true, Ordering::Relaxed);
    let (removed, runs) = remover.await.unwrap();
    worker.stop().await;
    assert_eq!(done().await, kept.iter().copied().collect::<Vec<_>>());
    assert!(removed > 20 && runs > 2, "{removed} removed in {runs} runs");
    run(db, everything()).await;
    assert_eq!(ids(db).await, [*kept.last().unwrap()]);
}

/// A failure row, a cursor, or the permission to delete.
async fn what_a_policy_hides_does_not_go(db: &TestDb) {
    recorded(db, 3).await;
    RawFailure { inbox: "projected", log: "events", id: 1, attempts: 1, next_attempt_at: None, started_at: None }
        .write(db)
        .await;
    let rights = ["SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public"];
    let account = behaviour::connect(&db.as_account(&rights).await, 2).await;
    for table in ["event_failures", "event_cursors", "event_retention", "events"] {
        db.sql(&format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")).await.unwrap();
        let error = everything().run(&account).await.unwrap_err().to_string();
        assert!(error.contains("row-level security") && error.contains(table), "{error}");
        db.sql(&format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")).await.unwrap();
        assert_eq!(ids(db).await, [1, 2, 3], "{table}");
    }
    account.close().await.unwrap();
}
