//! Commit order: ids are given out in one order and become visible in another. Only servers show it, since SQLite has one
//! writer at a time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use behaviour::models::{self, IssueEvent, issue};
use behaviour::raw::RawEvent;
use behaviour::seen::Seen;
use behaviour::worker::{Worker, until};
use behaviour::{TestDb, on_every_database, statement};
use event_sea_orm::prelude::*;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, IsolationLevel, QuerySelect, TransactionTrait,
};

on_every_database! {
    ; servers_only:
    an_event_that_commits_late_is_delivered_once_and_holds_up_nobody
    a_late_event_is_delivered_also_after_a_takeover
    an_id_that_was_rolled_back_is_proved_dead
    a_recorder_idle_in_its_transaction_holds_up_no_other_event
    an_id_of_a_savepoint_that_was_rolled_back_is_proved_dead
    a_long_transaction_that_records_nothing_keeps_no_hole_open
    a_new_inbox_is_given_what_commits_after_it_was_made
    a_subjects_events_arrive_in_the_order_of_their_commits
    many_recorders_lose_nothing
    ; postgres_only:
    an_id_above_the_sequence_makes_none_below_it_dead
    a_prepared_transaction_keeps_its_ids_open_over_a_restart
}

#[inbox(start = beginning)]
async fn noted(event: Event<IssueEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note(event.id().to_string());
    handled()
}

#[inbox]
async fn fresh(event: Event<IssueEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note(event.id().to_string());
    handled()
}

#[inbox(start = beginning, ordered)]
async fn in_order(event: Event<IssueEvent>, State(seen): State<Seen>) -> InboxResult {
    let IssueEvent::Commented { comment_id } = event.event else { return skipped("not a comment") };
    seen.note(format!("{} {comment_id}", event.subject.id));
    handled()
}

#[inbox(start = beginning)]
async fn projected(event: Event<IssueEvent>, txn: Txn<'_>) -> InboxResult {
    txn.execute_raw(statement(&txn, "INSERT INTO effects (event) VALUES (?)", [event.id().into()])).await?;
    handled()
}

fn dispatcher(db: &TestDb, seen: &Seen, only: &[&str]) -> Dispatcher {
    let (least, most) = (Duration::from_millis(5), Duration::from_millis(50));
    let builder = Dispatcher::builder(&**db).state(seen.clone()).only(only.iter().copied()).poll(least, most);
    builder.build().unwrap()
}

async fn record<C: RecordConnection>(conn: &C) -> i64 {
    IssueEvent::Closed.on(1).by_system().save(conn).await.unwrap().event().unwrap().id
}

/// Begins a transaction and records in it; gives both.
async fn begin(db: &TestDb) -> (DatabaseTransaction, i64) {
    let txn = db.begin().await.unwrap();
    let id = record(&txn).await;
    (txn, id)
}

/// Waits until the saved holes of every inbox are these.
async fn until_missing(db: &TestDb, expected: &str) {
    until(&format!("missing = `{expected}`"), async || {
        let rows = db.rows("SELECT missing FROM event_cursors").await;
        !rows.is_empty() && rows.iter().all(|missing| missing == expected)
    })
    .await;
}

/// Waits until the inbox's cursor has gone so far.
async fn until_read(db: &TestDb, id: i64) {
    until(&format!("high = {id}"), async || {
        let rows = db.rows("SELECT high FROM event_cursors").await;
        !rows.is_empty() && rows.iter().all(|high| high.parse::<i64>().unwrap() >= id)
    })
    .await;
}

/// The lines as numbers, sorted; with what came twice.
fn sorted(seen: &Seen) -> Vec<i64> {
    let mut ids: Vec<i64> = seen.lines().iter().map(|line| line.parse().unwrap()).collect();
    ids.sort_unstable();
    ids
}

async fn committed(db: &TestDb) -> Vec<i64> {
    db.rows("SELECT id FROM events ORDER BY id").await.iter().map(|id| id.parse().unwrap()).collect()
}

async fn an_event_that_commits_late_is_delivered_once_and_holds_up_nobody(db: &TestDb) {
    let seen = Seen::default();
    let worker = Worker::start(dispatcher(db, &seen, &["noted"]));
    let (txn, late) = begin(db).await;
    let mut others = Vec::new();
    for _ in 0..10 {
        others.push(record(&**db).await);
    }
    seen.wait_for(10).await;
    assert_eq!(sorted(&seen), others, "the late one is above none of them");
    until_missing(db, &late.to_string()).await;
    txn.commit().await.unwrap();
    seen.wait_for(11).await;
    until_missing(db, "").await;
    worker.stop().await;
    assert_eq!(sorted(&seen), committed(db).await, "each once");
}

async fn a_late_event_is_delivered_also_after_a_takeover(db: &TestDb) {
    let seen = Seen::default();
    let first = Worker::start(dispatcher(db, &seen, &["noted"]));
    let (txn, late) = begin(db).await;
    record(&**db).await;
    seen.wait_for(1).await;
    first.stop().await;
    assert_eq!(db.text("SELECT missing FROM event_cursors").await, late.to_string());
    // The next owner knows nothing but what was saved; meanwhile others have come and gone.
    let (gone, dead) = begin(db).await;
    gone.rollback().await.unwrap();
    record(&**db).await;
    let second = Worker::start(dispatcher(db, &seen, &["noted"]));
    seen.wait_for(2).await;
    until_read(db, dead + 1).await;
    txn.commit().await.unwrap();
    seen.wait_for(3).await;
    until_missing(db, "").await;
    second.stop().await;
    assert_eq!(sorted(&seen), committed(db).await);
}

async fn an_id_that_was_rolled_back_is_proved_dead(db: &TestDb) {
    let seen = Seen::default();
    let worker = Worker::start(dispatcher(db, &seen, &["noted"]));
    let (txn, dead) = begin(db).await;
    record(&**db).await;
    until_missing(db, &dead.to_string()).await;
    txn.rollback().await.unwrap();
    until_missing(db, "").await;
    // One that is dead before anybody saw that it is missing.
    let (txn, dead) = begin(db).await;
    txn.rollback().await.unwrap();
    assert!(record(&**db).await > dead);
    seen.wait_for(2).await;
    until_missing(db, "").await;
    worker.stop().await;
    assert_eq!(sorted(&seen), committed(db).await);
}

async fn a_recorder_idle_in_its_transaction_holds_up_no_other_event(db: &TestDb) {
    let seen = Seen::default();
    let worker = Worker::start(dispatcher(db, &seen, &["noted"]));
    let (idle, _) = begin(db).await;
    for _ in 0..30 {
        record(&**db).await;
        let (undone, _) = begin(db).await;
        undone.rollback().await.unwrap();
        let (late, _) = begin(db).await;
        record(&**db).await;
        late.commit().await.unwrap();
    }
    seen.wait_for(90).await;
    assert_eq!(sorted(&seen), committed(db).await);
    idle.commit().await.unwrap();
    seen.wait_for(91).await;
    until_missing(db, "").await;
    worker.stop().await;
    assert_eq!(sorted(&seen), committed(db).await);
}

async fn an_id_of_a_savepoint_that_was_rolled_back_is_proved_dead(db: &TestDb) {
    let seen = Seen::default();
    let worker = Worker::start(dispatcher(db, &seen, &["noted"]));
    let txn = db.begin().await.unwrap();
    let savepoint = txn.begin().await.unwrap();
    let dead = record(&savepoint).await;
    record(&**db).await;
    until_missing(db, &dead.to_string()).await;
    savepoint.rollback().await.unwrap();
    let kept = txn.begin().await.unwrap();
    let late = record(&kept).await;
    kept.commit().await.unwrap();
    record(&**db).await;
    seen.wait_for(2).await;
    until_read(db, late + 1).await;
    txn.commit().await.unwrap();
    seen.wait_for(3).await;
    until_missing(db, "").await;
    worker.stop().await;
    assert_eq!(sorted(&seen), committed(db).await);
}

async fn a_long_transaction_that_records_nothing_keeps_no_hole_open(db: &TestDb) {
    let seen = Seen::default();
    let worker = Worker::start(dispatcher(db, &seen, &["noted"]));
    // One that wrote elsewhere, and one that reads by an old snapshot, also of the log.
    let writes = db.begin().await.unwrap();
    models::user(&writes, "Ada").await;
    let reads = db.begin_with_config(Some(IsolationLevel::RepeatableRead), None).await.unwrap();
    reads.query_all_raw(statement(&reads, "SELECT count(*) FROM events", [])).await.unwrap();
    let (undone, dead) = begin(db).await;
    record(&**db).await;
    until_missing(db, &dead.to_string()).await;
    undone.rollback().await.unwrap();
    until_missing(db, "").await;
    seen.wait_for(1).await;
    reads.rollback().await.unwrap();
    writes.commit().await.unwrap();
    worker.stop().await;
    assert_eq!(sorted(&seen), committed(db).await);
}

async fn a_new_inbox_is_given_what_commits_after_it_was_made(db: &TestDb) {
    let seen = Seen::default();
    record(&**db).await;
    let (before, early) = begin(db).await;
    let (undone, _) = begin(db).await;
    let visible = record(&**db).await;
    assert!(early < visible);
    let dispatcher = dispatcher(db, &seen, &["fresh"]);
    dispatcher.register().await.unwrap();
    before.commit().await.unwrap();
    undone.rollback().await.unwrap();
    let after = record(&**db).await;
    let worker = Worker::start(dispatcher);
    seen.wait_for(2).await;
    until_missing(db, "").await;
    worker.stop().await;
    assert_eq!(sorted(&seen), [early, after], "and nothing of what was visible before");
}

async fn a_subjects_events_arrive_in_the_order_of_their_commits(db: &TestDb) {
    const SUBJECTS: i64 = 3;
    let seen = Seen::default();
    for _ in 0..SUBJECTS {
        models::issue(&**db, "It").await;
    }
    let worker = Worker::start(dispatcher(db, &seen, &["in_order"]));
    // As the recorders themselves saw it, with the lock in their hands: subject and comment.
    let order = Arc::new(Mutex::new(Vec::new()));
    let pool = db.another(8).await;
    let writers: Vec<_> = (0..8_i64)
        .map(|writer| {
            let (pool, order) = (pool.clone(), order.clone());
            tokio::spawn(async move {
                for n in 0..25 {
                    let (subject, comment_id) = (1 + (writer + n) % SUBJECTS, writer * 1_000 + n);
                    let done = pool.transact(async |txn| {
                        // The row first, then the event: this is what keeps a subject's order.
                        let locked = issue::Entity::find_by_id(subject).lock_exclusive();
                        locked.one(txn).await?.unwrap();
                        IssueEvent::Commented { comment_id }.on(subject).by_system().save(txn).await?;
                        tokio::time::sleep(Duration::from_millis(u64::try_from((writer * 7 + n) % 4).unwrap())).await;
                        if n % 5 == 4 {
                            return Err(RecordError::from(DbErr::Custom("rolled back".to_owned())));
                        }
                        order.lock().unwrap().push(format!("{subject} {comment_id}"));
                        Ok(())
                    });
                    drop(done.await);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let order = order.lock().unwrap().clone();
    assert_eq!(order.len(), 8 * 20);
    seen.wait_for(order.len()).await;
    until_missing(db, "").await;
    worker.stop().await;
    let of = |lines: &[String], subject: i64| -> Vec<String> {
        lines.iter().filter(|line| line.starts_with(&format!("{subject} "))).cloned().collect()
    };
    for subject in 1..=SUBJECTS {
        assert_eq!(of(&seen.lines(), subject), of(&order, subject));
    }
}

async fn many_recorders_lose_nothing(db: &TestDb) {
    let seen = Seen::default();
    db.sql("CREATE TABLE effects (event bigint NOT NULL)").await.unwrap();
    let worker = Worker::start(dispatcher(db, &seen, &["noted", "projected"]));
    let pool = db.another(10).await;
    let writers: Vec<_> = (0..10_u64)
        .map(|writer| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for n in 0..40_u64 {
                    let done = pool.transact(async |txn| {
                        for _ in 0..1 + n % 3 {
                            IssueEvent::Closed.on(1).by_system().save(txn).await?;
                        }
                        tokio::time::sleep(Duration::from_millis((writer * 13 + n * 7) % 20)).await;
                        if n % 6 == 5 {
                            return Err(RecordError::from(DbErr::Custom("rolled back".to_owned())));
                        }
                        Ok(())
                    });
                    drop(done.await);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let all = committed(db).await;
    seen.wait_for(all.len()).await;
    until_missing(db, "").await;
    until_read(db, *all.last().unwrap()).await;
    worker.stop().await;
    assert_eq!(sorted(&seen), all);
    let effects = db.rows("SELECT event FROM effects ORDER BY event").await;
    assert_eq!(effects, all.iter().map(ToString::to_string).collect::<Vec<_>>());
}

async fn an_id_above_the_sequence_makes_none_below_it_dead(db: &TestDb) {
    let seen = Seen::default();
    let worker = Worker::start(dispatcher(db, &seen, &["noted"]));
    record(&**db).await;
    RawEvent::closed().id(50).write(db).await.unwrap();
    seen.wait_for(1).await;
    // Nobody holds a lock on the log now, and yet 2 to 49 are to come; 50 is not taken before its turn.
    let saves = db.number("SELECT saves FROM event_cursors").await;
    for _ in 0..20 {
        record(&**db).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    seen.wait_for(21).await;
    until("a save", async || db.number("SELECT saves FROM event_cursors").await > saves).await;
    assert!(!sorted(&seen).contains(&50));
    // What an import by hand says to the sequence.
    db.text("SELECT CAST(setval('events_id_seq', 50) AS text)").await;
    record(&**db).await;
    seen.wait_for(23).await;
    until_missing(db, "").await;
    worker.stop().await;
    assert_eq!(sorted(&seen), committed(db).await);
}

async fn a_prepared_transaction_keeps_its_ids_open_over_a_restart(db: &TestDb) {
    if db.text("SHOW max_prepared_transactions").await == "0" {
        println!("skipped: the server has max_prepared_transactions = 0");
        return;
    }
    let seen = Seen::default();
    let first = Worker::start(dispatcher(db, &seen, &["noted"]));
    let recorder = db.another(1).await;
    recorder.execute_unprepared("BEGIN").await.unwrap();
    let late = record(&recorder).await;
    recorder.execute_unprepared("PREPARE TRANSACTION 'late'").await.unwrap();
    record(&**db).await;
    seen.wait_for(1).await;
    until_missing(db, &late.to_string()).await;
    first.stop().await;
    let second = Worker::start(dispatcher(db, &seen, &["noted"]));
    record(&**db).await;
    seen.wait_for(2).await;
    recorder.execute_unprepared("COMMIT PREPARED 'late'").await.unwrap();
    seen.wait_for(3).await;
    until_missing(db, "").await;
    second.stop().await;
    assert_eq!(sorted(&seen), committed(db).await);
}
