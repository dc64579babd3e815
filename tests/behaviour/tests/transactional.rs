//! Inboxes that write in the transaction that saves their cursor: exactly once, whatever fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use behaviour::models::{IssueEvent, IssueEventAction};
use behaviour::seen::Seen;
use behaviour::{Kind, TestDb, on_every_database, statement};
use event_core::dispatch::BuildError;
use event_core::storage::StorageErrorKind;
use event_sea_orm::TestKit;
use event_sea_orm::prelude::*;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement, TransactionError, TransactionSession,
    TransactionTrait,
};

// SQLite alone ends a transaction because of a conflict, if it is asked to.
on_every_database! {
    effects_and_cursor_are_one
    a_failure_undoes_its_own_writes_only
    a_retry_and_the_end_of_its_failure_row_are_one
    a_snooze_undoes_what_was_written
    a_savepoint_undoes_a_part
    what_begins_in_it_is_a_part_that_can_be_undone
    what_a_handler_records_is_part_of_it
    many_are_recorded_in_it_too
    a_batch_is_bounded_in_time
    an_ordered_one_parks_behind_a_failure
    a_handler_can_not_end_the_transaction
    the_kit_commits_one_event
    a_connection_beside_the_transaction_is_refused
    an_error_that_a_handler_swallows_harms_no_other_event
    quoted_text_is_no_statement
    ; sqlite_only:
    a_transaction_ended_inside_a_handler_is_thrown_away
    a_transaction_that_sqlite_ended_leaves_the_connection_whole
    nothing_is_written_behind_a_conflict_that_ended_the_transaction
    ; servers_only:
    a_deadlock_that_a_handler_swallows_is_thrown_away
    ; mysql_only:
    a_statement_that_commits_by_the_way_is_refused
    text_that_commits_when_executed_is_refused
}

type Doing = Arc<Mutex<std::collections::HashMap<i64, &'static str>>>;

#[derive(Clone, Default)]
struct Script(Doing, Arc<AtomicUsize>, Arc<AtomicUsize>);

async fn add(txn: &impl ConnectionTrait, event: i64) -> Result<(), DbErr> {
    txn.execute_raw(statement(txn, "INSERT INTO effects (event) VALUES (?)", [event.into()])).await.map(drop)
}

async fn act(event: &StoredEvent, txn: Txn<'_>, script: &Script) -> InboxResult {
    script.1.fetch_add(1, Relaxed);
    add(&txn, event.id()).await?;
    let word = script.0.lock().unwrap().get(&event.id()).copied().unwrap_or("ok");
    match word {
        "fail once" => {
            script.0.lock().unwrap().remove(&event.id());
            return Err(InboxError::new("failed after it wrote").no_retry());
        }
        "fail" => return Err(InboxError::new("failed after it wrote")),
        "panic" => panic!("after it wrote"),
        "snooze" => return snoozed(chrono::Utc::now()),
        "savepoint" => {
            let undone = txn
                .savepoint(async |savepoint| {
                    add(&savepoint, event.id()).await?;
                    Err::<(), _>(DbErr::Custom("changed my mind".to_owned()))
                })
                .await;
            assert!(undone.is_err());
            txn.savepoint(async |savepoint| add(&savepoint, -event.id()).await).await?;
        }
        "parts" => parts(&txn, event.id()).await?,
        // A part of which nobody says how it ends.
        "drop" => {
            let part = txn.begin().await?;
            add(&part, -event.id()).await?;
            let within = part.begin().await?;
            add(&within, -event.id()).await?;
        }
        "record" => {
            IssueEvent::Commented { comment_id: event.id() }
                .on(event.subject.id.as_str())
                .by_system()
                .save(&txn)
                .await?;
        }
        "record many" => {
            let comments = (1..=3).map(|comment_id| IssueEvent::Commented { comment_id }.on(1).by_system());
            record_many(&txn, comments).await?;
        }
        "swallow" => drop(txn.execute_unprepared("INSERT INTO once VALUES (1)").await),
        "make a table" => {
            txn.execute_unprepared(" /* by the way */ create table made (n bigint)").await?;
        }
        "quote" => {
            let notes = match txn.get_database_backend() {
                DbBackend::Postgres => "DO $$ BEGIN INSERT INTO notes VALUES ('First; end of story'); END; $$",
                DbBackend::MySql => r"INSERT INTO notes VALUES ('First; it\'s the end; commit')",
                _ => "INSERT INTO notes VALUES ('First; end of ''story'); INSERT INTO notes SELECT 'a' AS [b; end]",
            };
            txn.execute_unprepared(notes).await?;
        }
        "execute text" => {
            txn.execute_unprepared("EXECUTE IMMEDIATE 'COMMIT'").await?;
        }
        "slow" => tokio::time::sleep(std::time::Duration::from_millis(30)).await,
        "rollback" => {
            txn.execute_unprepared(" rollback").await?;
        }
        // The same, and the handler passes the error on.
        "end and tell" => {
            for _ in 0..2 {
                txn.execute_unprepared("INSERT OR ROLLBACK INTO once VALUES (1)").await?;
            }
        }
        "end" => {
            // A conflict that makes SQLite end the transaction, which the handler takes for no harm.
            for _ in 0..2 {
                let _ = txn.execute_unprepared("INSERT OR ROLLBACK INTO once VALUES (1)").await;
            }
        }
        // The same within a savepoint, and more is written behind it.
        "end within and go on" => {
            let ended = txn
                .savepoint(async |part| {
                    for _ in 0..2 {
                        let _ = part.execute_unprepared("INSERT OR ROLLBACK INTO once VALUES (1)").await;
                    }
                    Ok::<_, DbErr>(())
                })
                .await;
            script.refused(ended.unwrap_err());
            script.refused(add(&txn, 1_000).await.unwrap_err());
            script.refused(txn.begin().await.map(drop).unwrap_err());
        }
        _ => {}
    }
    handled()
}

/// Some code that begins a transaction on whatever it is given.
async fn parts<C: TransactionTrait>(db: &C, event: i64) -> Result<(), DbErr> {
    let kept = db.begin().await?;
    add(&kept, event * 10).await?;
    kept.commit().await?;
    let undone = db.begin().await?;
    add(&undone, -1).await?;
    let within = undone.begin().await?;
    add(&within, -2).await?;
    within.commit().await?;
    undone.rollback().await?;
    let failed = db
        .transaction(|part| {
            Box::pin(async move {
                add(part, -3).await?;
                Err::<(), _>(DbErr::Custom("changed my mind".to_owned()))
            })
        })
        .await;
    assert!(matches!(failed, Err(TransactionError::Transaction(_))), "{failed:?}");
    // Where a statement fails in a part and that is undone, the rest goes on: also on PostgreSQL.
    let failing = db.begin().await?;
    add(&failing, -4).await?;
    assert!(failing.execute_unprepared("INSERT INTO nowhere VALUES (1)").await.is_err());
    drop(failing);
    let kept = db.transaction(|part| Box::pin(async move { add(part, event * 100).await })).await;
    kept.map_err(|error| DbErr::Custom(error.to_string()))
}

impl Script {
    /// Notes a refusal, which says what happened.
    fn refused(&self, error: DbErr) {
        assert!(error.to_string().contains("the database ended the inbox's transaction"), "{error}");
        self.2.fetch_add(1, Relaxed);
    }
}

#[inbox(on(Closed))]
async fn project(event: Event<IssueEvent>, txn: Txn<'_>, State(script): State<Script>) -> InboxResult {
    act(&event, txn, &script).await
}

#[inbox(on(Closed), ordered, retry(jitter = 0.0))]
async fn project_in_order(
    event: Event<IssueEvent>,
    txn: Txn<'_>,
    State(script): State<Script>,
    State(seen): State<Seen>,
) -> InboxResult {
    let result = act(&event, txn, &script).await;
    seen.note(format!("{} {}", event.id(), result.is_ok()));
    result
}

#[inbox]
async fn both(_event: Event<IssueEvent>, _txn: Txn<'_>, _db: Db) -> InboxResult {
    handled()
}

async fn kit(db: &TestDb, inbox: &'static str) -> (TestKit, Script, Seen) {
    db.sql("CREATE TABLE effects (event bigint NOT NULL)").await.unwrap();
    let (script, seen) = (Script::default(), Seen::default());
    let states = (script.clone(), seen.clone());
    let configure = |dispatcher: event_core::dispatch::Builder<_>| {
        dispatcher.state(states.0).state(states.1).only([inbox]).batch(4, std::time::Duration::from_millis(50))
    };
    (TestKit::new(&**db, configure).await.unwrap(), script, seen)
}

async fn record(db: &TestDb, events: i64) {
    for _ in 0..events {
        IssueEvent::Closed.on(1).by_system().save(&**db).await.unwrap();
    }
}

/// The effects, sorted: `1 2 3`.
async fn effects(db: &TestDb) -> String {
    db.rows("SELECT event FROM effects ORDER BY event").await.join(" ")
}

async fn effects_and_cursor_are_one(db: &TestDb) {
    let (kit, script, _) = kit(db, "project").await;
    record(db, 10).await;
    let report = kit.drain().await.unwrap();
    assert_eq!(effects(db).await, "1 2 3 4 5 6 7 8 9 10");
    assert_eq!((report.total().handled, script.1.load(Relaxed)), (10, 10), "each ran once");
    // Four, four and two to a batch, and the ceiling before: never a save per event.
    assert!(db.number("SELECT saves FROM event_cursors").await <= 6);
    // A cursor that somebody moved under us: the batch is refused as a whole, and nothing of it stays.
    record(db, 3).await;
    db.after_insert("effects", "thief", "UPDATE event_cursors SET saves = saves + 1").await;
    let error = kit.drain().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Fenced);
    assert_eq!(effects(db).await, "1 2 3 4 5 6 7 8 9 10");
    db.drop_trigger("effects", "thief").await;
    kit.drain().await.unwrap();
    assert_eq!(effects(db).await, "1 2 3 4 5 6 7 8 9 10 11 12 13");
}

async fn a_failure_undoes_its_own_writes_only(db: &TestDb) {
    let (kit, script, _) = kit(db, "project").await;
    script.0.lock().unwrap().extend([(2, "fail"), (3, "panic")]);
    record(db, 6).await;
    let report = kit.drain().await.unwrap();
    assert_eq!(effects(db).await, "1 4 5 6");
    assert_eq!((report.total().handled, report.total().failed), (4, 2));
    assert_eq!(db.number("SELECT count(*) FROM event_failures WHERE state = 'retrying' AND attempts = 1").await, 2);
}

async fn a_retry_and_the_end_of_its_failure_row_are_one(db: &TestDb) {
    let (kit, script, _) = kit(db, "project").await;
    script.0.lock().unwrap().extend([(1, "fail"), (2, "fail")]);
    record(db, 2).await;
    kit.drain().await.unwrap();
    script.0.lock().unwrap().remove(&1);
    let report = kit.run_to_end().await.unwrap();
    assert_eq!(effects(db).await, "1");
    assert_eq!((report.total().handled, report.total().dead), (1, 1));
    assert_eq!(db.rows("SELECT event_id, state FROM event_failures").await, ["2 dead"]);
}

async fn a_snooze_undoes_what_was_written(db: &TestDb) {
    let (kit, script, _) = kit(db, "project").await;
    script.0.lock().unwrap().insert(1, "snooze");
    record(db, 1).await;
    kit.drain().await.unwrap();
    assert_eq!(effects(db).await, "");
    script.0.lock().unwrap().clear();
    kit.run_to_end().await.unwrap();
    assert_eq!(effects(db).await, "1");
}

async fn a_savepoint_undoes_a_part(db: &TestDb) {
    let (kit, script, _) = kit(db, "project").await;
    script.0.lock().unwrap().insert(1, "savepoint");
    record(db, 2).await;
    kit.drain().await.unwrap();
    assert_eq!(effects(db).await, "-1 1 2");
}

async fn what_begins_in_it_is_a_part_that_can_be_undone(db: &TestDb) {
    let (kit, script, _) = kit(db, "project").await;
    script.0.lock().unwrap().extend([(1, "parts"), (2, "drop"), (4, "drop")]);
    record(db, 4).await;
    let report = kit.run_to_end().await.unwrap();
    assert_eq!((effects(db).await.as_str(), report.total().handled), ("1 2 3 4 10 100", 4));
    assert_eq!(report.total().failed, 0);
}

async fn nothing_is_written_behind_a_conflict_that_ended_the_transaction(db: &TestDb) {
    let (kit, script, _) = kit(db, "project").await;
    db.sql("CREATE TABLE once (it bigint PRIMARY KEY)").await.unwrap();
    script.0.lock().unwrap().insert(2, "end within and go on");
    record(db, 3).await;
    assert!(kit.drain().await.is_err());
    assert_eq!(effects(db).await, "");
    assert_eq!(script.2.load(Relaxed), 2 * 3, "in the batch, and again in its second run");
    script.0.lock().unwrap().clear();
    while kit.run_to_end().await.is_err() {}
    // The pool has one connection; another one sees what was committed on it.
    let other = db.another(1).await;
    let count = Statement::from_string(other.get_database_backend(), "SELECT count(*) FROM effects");
    let row = other.query_one_raw(count).await.unwrap().unwrap();
    assert_eq!((row.try_get_by_index::<i64>(0).unwrap(), effects(db).await.as_str()), (3, "1 2 3"));
}

async fn what_a_handler_records_is_part_of_it(db: &TestDb) {
    let (kit, script, _) = kit(db, "project").await;
    script.0.lock().unwrap().extend([(1, "record"), (2, "fail once")]);
    record(db, 2).await;
    kit.drain().await.unwrap();
    // The first pass was rolled back with the comment it recorded; the second recorded it once.
    let comments = kit.recorded::<IssueEvent>().await;
    assert_eq!(comments.iter().filter(|event| event.action == "commented").count(), 1);
    kit.assert_recorded_with(IssueEventAction::Commented, serde_json::json!({"comment_id": 1})).await;
}

async fn many_are_recorded_in_it_too(db: &TestDb) {
    let (kit, script, _) = kit(db, "project").await;
    script.0.lock().unwrap().extend([(1, "record many"), (2, "fail once")]);
    record(db, 2).await;
    kit.drain().await.unwrap();
    assert_eq!(effects(db).await, "1 2");
    assert_eq!(kit.recorded::<IssueEvent>().await.iter().filter(|event| event.action == "commented").count(), 3);
}

async fn a_batch_is_bounded_in_time(db: &TestDb) {
    let (kit, script, _) = kit(db, "project").await;
    script.0.lock().unwrap().extend((1..=4).map(|id| (id, "slow")));
    record(db, 4).await;
    kit.drain().await.unwrap();
    assert_eq!(
        (effects(db).await.as_str(), script.1.load(Relaxed)),
        ("1 2 3 4", 4),
        "cut, and nothing runs twice for it"
    );
    assert!(db.number("SELECT saves FROM event_cursors").await >= 3, "the ceiling and at least two batches");
}

async fn an_ordered_one_parks_behind_a_failure(db: &TestDb) {
    let (kit, script, seen) = kit(db, "project_in_order").await;
    script.0.lock().unwrap().insert(2, "fail");
    record(db, 5).await;
    kit.drain().await.unwrap();
    assert_eq!(effects(db).await, "1");
    assert_eq!(db.number("SELECT count(*) FROM event_failures WHERE state = 'parked'").await, 3);
    script.0.lock().unwrap().clear();
    seen.take();
    kit.run_to_end().await.unwrap();
    assert_eq!(seen.lines(), ["2 true", "3 true", "4 true", "5 true"]);
    assert_eq!(effects(db).await, "1 2 3 4 5");
}

async fn a_handler_can_not_end_the_transaction(db: &TestDb) {
    let (kit, script, _) = kit(db, "project").await;
    script.0.lock().unwrap().insert(2, "rollback");
    record(db, 3).await;
    let report = kit.run_to_end().await.unwrap();
    assert_eq!((effects(db).await.as_str(), report.total().dead), ("1 3", 1));
    let error = kit.dead_letters().await.unwrap().remove(0).failure.error;
    assert!(error.contains("not by `ROLLBACK`") && error.contains("txn.savepoint"), "{error}");
}

async fn a_transaction_ended_inside_a_handler_is_thrown_away(db: &TestDb) {
    let (kit, script, _) = kit(db, "project").await;
    db.sql("CREATE TABLE once (it bigint PRIMARY KEY)").await.unwrap();
    script.0.lock().unwrap().insert(2, "end");
    record(db, 4).await;
    let error = kit.drain().await.unwrap_err();
    assert!(error.to_string().contains("no such savepoint"), "{error}");
    assert_eq!(db.text("SELECT in_flight FROM event_cursors").await, "1-4", "nothing is done without its effects");
    assert_eq!(effects(db).await, "");
    // From now on they are suspects, each alone: the others come through, once, and the one that ends its transaction is
    // a dead letter when its attempts are used up.
    let mut errors = 0;
    while kit.run_to_end().await.is_err() {
        errors += 1;
    }
    // The first two may have been the doing of another delivery in the worker, as far as its row tells.
    assert_eq!(errors, 2 + 12, "one for each attempt");
    assert_eq!(effects(db).await, "1 3 4");
    let dead = kit.dead_letters().await.unwrap();
    assert_eq!((dead.len(), dead[0].key.event.id, dead[0].kind.as_str()), (1, 2, "crash"));
}

async fn a_transaction_that_sqlite_ended_leaves_the_connection_whole(db: &TestDb) {
    // The pool has one connection. Were the driver to think it still in a transaction, later commits on it would be none:
    // seen here, and by nobody else.
    let (kit, script, _) = kit(db, "project").await;
    db.sql("CREATE TABLE once (it bigint PRIMARY KEY)").await.unwrap();
    script.0.lock().unwrap().extend([(1, "end and tell"), (3, "fail")]);
    record(db, 4).await;
    for _ in 0..20 {
        let _ = kit.drain().await;
    }
    let ended = db
        .transact_with_error(async |txn| {
            txn.execute_unprepared("INSERT OR ROLLBACK INTO once VALUES (1)").await?;
            txn.execute_unprepared("INSERT OR ROLLBACK INTO once VALUES (1)").await
        })
        .await;
    assert!(ended.is_err());
    let other = db.another(1).await;
    let seen = async |sql: &str| -> i64 {
        let row =
            other.query_one_raw(Statement::from_string(other.get_database_backend(), sql)).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    };
    assert_eq!(seen("SELECT count(*) FROM effects").await, 2, "2 and 4; 1 ended its transaction, 3 failed");
    db.transact(async |txn| IssueEvent::Closed.on(1).by_system().save(txn).await).await.unwrap();
    assert_eq!(seen("SELECT count(*) FROM events").await, 5, "committed, for everybody to see");
    other.execute_unprepared("INSERT INTO once VALUES (7)").await.unwrap();
}

async fn the_kit_commits_one_event(db: &TestDb) {
    let (kit, script, _) = kit(db, "project").await;
    script.0.lock().unwrap().insert(1, "fail");
    let failed = kit.process::<project>(IssueEvent::Closed.on(1)).await.unwrap();
    assert!(failed.failure().is_some());
    assert_eq!(effects(db).await, "");
    script.0.lock().unwrap().clear();
    assert!(kit.process::<project>(IssueEvent::Closed.on(1)).await.unwrap().is_handled());
    assert_eq!(effects(db).await, "1");
}

async fn a_connection_beside_the_transaction_is_refused(db: &TestDb) {
    let errors = Dispatcher::builder(&**db).only(["both"]).build().unwrap_err();
    assert!(
        matches!(errors.iter().next(), Some(BuildError::TransactionAndConnection { inbox: "both", .. })),
        "{errors}"
    );
}

async fn an_error_that_a_handler_swallows_harms_no_other_event(db: &TestDb) {
    let (kit, script, _) = kit(db, "project").await;
    db.sql("CREATE TABLE once (it bigint PRIMARY KEY)").await.unwrap();
    db.sql("INSERT INTO once VALUES (1)").await.unwrap();
    script.0.lock().unwrap().insert(2, "swallow");
    record(db, 4).await;
    while kit.run_to_end().await.is_err() {}
    let dead: Vec<_> = kit.dead_letters().await.unwrap().iter().map(|letter| letter.key.event.id).collect();
    if db.kind() == Kind::Postgres {
        // A statement that fails is the end of its transaction there: what the handler wrote before can't be kept.
        assert_eq!((effects(db).await.as_str(), dead), ("1 3 4", vec![2]));
    } else {
        assert_eq!((effects(db).await.as_str(), dead), ("1 2 3 4", vec![]));
    }
}

/// Whom a handler makes a deadlock with, once.
#[derive(Clone)]
struct Partner {
    db: DatabaseConnection,
    kind: Kind,
    knots: Arc<AtomicUsize>,
}

impl Partner {
    /// Wants what the other has, and has what the other wants; and it is the other's transaction that is ended.
    async fn knot(&self, txn: &Txn<'_>) -> Result<(), DbErr> {
        txn.execute_unprepared("UPDATE knots SET n = n + 1 WHERE id = 1").await?;
        let partner = self.db.begin().await?;
        match self.kind {
            // Who notices it first ends itself.
            Kind::Postgres => partner.execute_unprepared("SET LOCAL deadlock_timeout = '1h'").await?,
            // Who has changed less is ended.
            _ => partner.execute_unprepared("UPDATE knots SET n = n + 1 WHERE id > 2").await?,
        };
        partner.execute_unprepared("UPDATE knots SET n = n + 1 WHERE id = 2").await?;
        let waiting = tokio::spawn(async move {
            let ended = partner.execute_unprepared("UPDATE knots SET n = n + 1 WHERE id = 1").await;
            partner.rollback().await.unwrap();
            ended
        });
        let waits = match self.kind {
            Kind::Postgres => {
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            }
            _ => {
                "SELECT 1 FROM information_schema.innodb_trx JOIN information_schema.processlist \
                 ON id = trx_mysql_thread_id WHERE db = database() AND trx_state = 'LOCK WAIT'"
            }
        };
        while self.db.query_all_raw(statement(&self.db, waits, [])).await?.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let knotted = txn.execute_unprepared("UPDATE knots SET n = n + 1 WHERE id = 2").await;
        waiting.await.unwrap()?;
        self.knots.fetch_add(1, Relaxed);
        knotted.map(drop)
    }
}

#[inbox(on(Closed))]
async fn project_with_a_knot(event: Event<IssueEvent>, txn: Txn<'_>, State(partner): State<Partner>) -> InboxResult {
    add(&txn, event.id()).await?;
    if event.id() == 2 && partner.knots.load(Relaxed) == 0 {
        // It takes the error for no harm, and writes on: outside of the transaction, were it let.
        let swallowed = partner.knot(&txn).await;
        assert!(swallowed.is_err());
        let behind = add(&txn, 1_000).await.unwrap_err();
        if partner.kind == Kind::MySql {
            assert!(behind.to_string().contains("the database ended the inbox's transaction"), "{behind}");
        }
        assert!(txn.savepoint(async |part| add(&part, 1_000).await).await.is_err());
    }
    handled()
}

async fn a_deadlock_that_a_handler_swallows_is_thrown_away(db: &TestDb) {
    for sql in ["CREATE TABLE effects (event bigint NOT NULL)", "CREATE TABLE knots (id bigint PRIMARY KEY, n bigint)"]
    {
        db.sql(sql).await.unwrap();
    }
    let rows: Vec<_> = (1..=50).map(|id| format!("({id}, 0)")).collect();
    db.sql(&format!("INSERT INTO knots VALUES {}", rows.join(", "))).await.unwrap();
    let partner = Partner { db: db.another(3).await, kind: db.kind(), knots: Arc::default() };
    let state = partner.clone();
    let kit = TestKit::new(&**db, |dispatcher| dispatcher.state(state).only(["project_with_a_knot"])).await.unwrap();
    record(db, 4).await;
    let mut errors = 0;
    while kit.run_to_end().await.is_err() {
        errors += 1;
        assert!(errors < 5);
    }
    assert_eq!(partner.knots.load(Relaxed), 1);
    assert_eq!(effects(db).await, "1 2 3 4", "all of them, and each once");
    assert_eq!(kit.dead_letters().await.unwrap().len(), 0);
}

async fn a_statement_that_commits_by_the_way_is_refused(db: &TestDb) {
    let (kit, script, _) = kit(db, "project").await;
    script.0.lock().unwrap().insert(2, "make a table");
    record(db, 4).await;
    while kit.run_to_end().await.is_err() {}
    assert_eq!(effects(db).await, "1 3 4", "nothing was committed without its cursor, and so nothing is there twice");
    let dead = kit.dead_letters().await.unwrap().remove(0);
    assert!(dead.error.contains("CREATE"), "{}", dead.error);
}

async fn text_that_commits_when_executed_is_refused(db: &TestDb) {
    let (kit, script, _) = kit(db, "project").await;
    script.0.lock().unwrap().insert(2, "execute text");
    record(db, 4).await;
    while kit.run_to_end().await.is_err() {}
    assert_eq!(effects(db).await, "1 3 4", "nothing was committed without its cursor, and so nothing is there twice");
    let dead = kit.dead_letters().await.unwrap().remove(0);
    assert!(dead.error.contains("`EXECUTE` executes statements"), "{}", dead.error);
}

async fn quoted_text_is_no_statement(db: &TestDb) {
    let (kit, script, _) = kit(db, "project").await;
    db.sql("CREATE TABLE notes (text varchar(100) NOT NULL)").await.unwrap();
    script.0.lock().unwrap().insert(2, "quote");
    record(db, 3).await;
    let report = kit.run_to_end().await.unwrap();
    assert_eq!((effects(db).await.as_str(), report.total().dead), ("1 2 3", 0));
    assert!(db.text("SELECT min(text) FROM notes WHERE text LIKE 'First%'").await.starts_with("First; "));
}
