//! The scripts of rights in `docs/rights`: each is enough for its task, and none of its rights can be left out.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use behaviour::models::IssueEvent;
use behaviour::raw::{RawEvent, RawFailure};
use behaviour::seen::Seen;
use behaviour::worker::{Worker, until};
use behaviour::{Kind, TestDb, connect, on_every_empty_database};
use event_core::storage::DeadLetterQuery;
use event_sea_orm::prelude::*;
use event_sea_orm::{Retention, migrate};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, TransactionTrait as _};

on_every_empty_database! {
    ; servers_only:
    these_rights_are_enough_to_migrate
    these_rights_are_enough_to_record
    these_rights_are_enough_to_dispatch
    these_rights_are_enough_to_read
    these_rights_are_enough_to_retain
    these_rights_are_enough_to_operate
    who_may_only_record_chooses_no_id_and_no_time
    ; postgres_only:
    a_dispatcher_with_the_optional_rights_is_notified
    ; mysql_only:
    a_dispatcher_that_records_needs_not_see_triggers
}

#[inbox(start = beginning)]
async fn noted(event: Event<IssueEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note(event.id().to_string());
    if event.action == "created" { Err(InboxError::new("not today")) } else { handled() }
}

/// A right on something.
#[derive(Clone, Debug)]
struct Right {
    right: String,
    object: String,
    optional: bool,
}

/// The rights of a script.
fn script(db: &TestDb, task: &str) -> Vec<Right> {
    let database = if db.kind() == Kind::MySql { "mariadb" } else { "postgresql" };
    let path = format!("{}/../../docs/rights/{database}/{task}.sql", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let name = if db.kind() == Kind::MySql { format!("'app_{task}'@'%'") } else { format!("app_{task}") };
    let lines = text.lines().map(|line| match line.starts_with("--") {
        true if line.starts_with("-- Optional") => "OPTIONAL",
        true => "",
        false => line,
    });
    let text = lines.collect::<Vec<_>>().join(" ");
    let mut rights = Vec::new();
    for statement in text.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        let mandatory = statement.strip_prefix("OPTIONAL");
        let optional = mandatory.is_some();
        let statement = mandatory.unwrap_or(statement);
        let granted =
            statement.trim().strip_prefix("GRANT ").and_then(|rest| rest.strip_suffix(&format!(" TO {name}")));
        let (granted, object) = granted.expect(statement).split_once(" ON ").unwrap();
        let object = object.trim().replace("app.", &format!("{}.", database_name(db)));
        for right in parts(granted) {
            rights.push(Right { right, object: object.clone(), optional });
        }
    }
    assert!(!rights.is_empty(), "{task}");
    rights
}

/// What commas separate, those in parentheses left out.
fn parts(list: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for letter in list.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(letter);
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

fn database_name(db: &TestDb) -> String {
    db.url().rsplit('/').next().unwrap().split('?').next().unwrap().to_owned()
}

/// Runs the task with all rights of its script, and without each of those that are not optional.
async fn is_enough_and_minimal(
    db: &TestDb,
    task: &str,
    run: impl AsyncFn(&TestDb, &DatabaseConnection) -> Result<(), Box<dyn Error>>,
) {
    let url = db.as_account(&[]).await;
    if db.kind() == Kind::Postgres {
        // By default every role has USAGE on this schema.
        db.sql("REVOKE ALL ON SCHEMA public FROM PUBLIC").await.unwrap();
    }
    let rights = script(db, task);
    let account = db.account();
    let change = async |right: &Right, granted: bool| {
        let (verb, to) = if granted { ("GRANT", "TO") } else { ("REVOKE", "FROM") };
        db.sql(&format!("{verb} {} ON {} {to} {account}", right.right, right.object)).await.unwrap();
    };
    for right in &rights {
        change(right, true).await;
    }
    let attempt = async || {
        let connection = sea_orm::Database::connect(&url).await?;
        // What is tried on and on is not done either.
        let done = tokio::time::timeout(Duration::from_secs(20), run(db, &connection)).await;
        connection.close().await?;
        done?
    };
    attempt().await.expect(task);
    for right in rights.iter().filter(|right| !right.optional) {
        change(right, false).await;
        assert!(attempt().await.is_err(), "{task}: without {right:?} it can be done as well");
        change(right, true).await;
    }
    attempt().await.expect("again with all of them");
}

async fn prepare(db: &TestDb) {
    behaviour::models::create_tables(db).await;
    migrate(db).await.unwrap();
}

async fn these_rights_are_enough_to_migrate(db: &TestDb) {
    is_enough_and_minimal(db, "migrate", async |db, account| {
        let migrated = migrate(account).await;
        if migrated.is_ok() {
            // What it owns, others can use.
            IssueEvent::Closed.on(1).by_system().save(&**db).await?;
        }
        // For the next run.
        drop_all(db).await;
        Ok(migrated?)
    })
    .await;
}

async fn drop_all(db: &TestDb) {
    let tables = db
        .rows(match db.kind() {
            Kind::MySql => "SELECT table_name FROM information_schema.tables WHERE table_schema = database()",
            _ => "SELECT CAST(tablename AS text) FROM pg_tables WHERE schemaname = 'public'",
        })
        .await;
    if tables.is_empty() {
        return;
    }
    if db.kind() == Kind::Postgres {
        for statement in [
            format!("DROP TABLE {} CASCADE", tables.join(", ")),
            // Of its functions; the rights stay.
            "DO $$ DECLARE f regprocedure; BEGIN FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'public'::regnamespace \
             LOOP EXECUTE format('DROP FUNCTION %s CASCADE', f); END LOOP; END $$"
                .to_owned(),
        ] {
            db.sql(&statement).await.unwrap();
        }
        return;
    }
    let session = db.another(1).await;
    session.execute_unprepared("SET foreign_key_checks = 0").await.unwrap();
    for table in tables {
        session.execute_unprepared(&format!("DROP TABLE `{table}`")).await.unwrap();
    }
    session.close().await.unwrap();
}

async fn these_rights_are_enough_to_record(db: &TestDb) {
    prepare(db).await;
    static KEYS: AtomicU64 = AtomicU64::new(0);
    let directory = tempfile::tempdir().unwrap();
    is_enough_and_minimal(db, "record", async |_, recorder| {
        let key = KEYS.fetch_add(1, Ordering::Relaxed).to_string();
        let closed = || IssueEvent::Closed.on(1).by_system();
        closed().key(&key).save(recorder).await?;
        closed().key(&key).save(recorder).await?;
        record_many(recorder, [closed(), closed()]).await?;
        for _ in 0..2 {
            closed().throttle(Throttle::per_key(Duration::from_secs(60), key.clone())).save(recorder).await?;
        }
        let batch = Batch::begin(recorder, "because").await?;
        batch.run(closed().save(recorder)).await?;
        let attachments = Attachments::in_directory(recorder, directory.path())?;
        let file = attachments.store("a", "text/plain", "a").await?;
        closed().attach(&file).save(recorder).await?;
        Ok(())
    })
    .await;
}

async fn these_rights_are_enough_to_dispatch(db: &TestDb) {
    prepare(db).await;
    is_enough_and_minimal(db, "dispatch", async |db, worker| {
        let id = IssueEvent::Closed.on(1).by_system().save(&**db).await?.event().unwrap().id;
        // One that failed before, so that its row goes.
        RawFailure {
            inbox: "noted",
            log: "events",
            id,
            attempts: 1,
            next_attempt_at: Some("2026-01-01T00:00:00+00:00"),
            started_at: None,
        }
        .write(db)
        .await;
        // One that fails, behind an id that will never be an event's.
        let rolled_back = db.begin().await?;
        IssueEvent::Closed.on(1).by_system().save(&rolled_back).await?;
        rolled_back.rollback().await?;
        IssueEvent::Created.on(1).by_system().save(&**db).await?;
        let seen = Seen::default();
        let dispatcher = Dispatcher::builder(worker).state(seen.clone()).only(["noted"]).build()?;
        let drained = dispatcher.drain().await;
        if drained.is_err() {
            db.sql("DELETE FROM event_cursors").await?;
            db.sql("DELETE FROM event_failures").await?;
        }
        drained?;
        assert!(seen.lines().contains(&id.to_string()));
        // For the next run, which makes the cursor once more.
        db.sql("DELETE FROM event_cursors").await?;
        db.sql("DELETE FROM event_failures").await?;
        Ok(())
    })
    .await;
}

async fn a_dispatcher_with_the_optional_rights_is_notified(db: &TestDb) {
    prepare(db).await;
    let url = db.as_account(&[]).await;
    for right in script(db, "dispatch") {
        db.sql(&format!("GRANT {} ON {} TO {}", right.right, right.object, db.account())).await.unwrap();
    }
    let account = connect(&url, 2).await;
    let dispatcher = Dispatcher::builder(&account).state(Seen::default()).only(["noted"]).build().unwrap();
    let worker = Worker::start(dispatcher);
    until("it says that it is idle", async || db.number("SELECT count(*) FROM event_sleepers").await == 1).await;
    worker.stop().await;
    account.close().await.unwrap();
}

/// It tries whether the trigger refuses an id of the session's choice.
async fn a_dispatcher_that_records_needs_not_see_triggers(db: &TestDb) {
    prepare(db).await;
    let url = db.as_account(&[]).await;
    let grant = async |right: &Right| {
        db.sql(&format!("GRANT {} ON {} TO {}", right.right, right.object, db.account())).await.unwrap();
    };
    for right in script(db, "dispatch").iter().filter(|right| right.right != "TRIGGER") {
        grant(right).await;
    }
    let drain = async || {
        let account = connect(&url, 2).await;
        let seen = Seen::default();
        let drained = Dispatcher::builder(&account).state(seen.clone()).only(["noted"]).build().unwrap().drain().await;
        account.close().await.unwrap();
        drained.map(|_| seen.lines().len())
    };
    assert!(drain().await.unwrap_err().to_string().contains("GRANT TRIGGER"));
    for right in script(db, "record") {
        grant(&right).await;
    }
    IssueEvent::Closed.on(1).by_system().save(&**db).await.unwrap();
    assert_eq!(drain().await.unwrap(), 1);
    // The id that it tried with is none, and nothing was written.
    assert_eq!(db.number("SELECT count(*) FROM events").await, 1);
    db.drop_trigger("events", "events_slot").await;
    assert!(drain().await.unwrap_err().to_string().contains("`events_slot`"));
    assert_eq!(db.number("SELECT count(*) FROM events").await, 1);
}

async fn these_rights_are_enough_to_read(db: &TestDb) {
    prepare(db).await;
    let directory = tempfile::tempdir().unwrap();
    let attachments = Attachments::in_directory(db, directory.path()).unwrap();
    let file = attachments.store("a", "text/plain", "a").await.unwrap();
    let batch = Batch::begin(&**db, "because").await.unwrap();
    let saved = batch.run(IssueEvent::Closed.on(1).by_system().attach(file).save(&**db)).await.unwrap();
    let event = saved.event().unwrap().clone();
    is_enough_and_minimal(db, "read", async |_, reader| {
        let page = any_feed().logs(["events"]).page(reader).await?;
        assert_eq!(page.entries.len(), 1);
        assert!(Batch::find(reader, &batch.id).await?.is_some());
        let attachments = Attachments::in_directory(reader, directory.path())?;
        let files = attachments.of(&event).await?;
        assert_eq!(attachments.read(&files[0]).await?, "a");
        Ok(())
    })
    .await;
}

async fn these_rights_are_enough_to_retain(db: &TestDb) {
    prepare(db).await;
    let directory = tempfile::tempdir().unwrap();
    is_enough_and_minimal(db, "retain", async |db, account| {
        let attachments = Attachments::in_directory(db, directory.path())?;
        let file = attachments.store("a", "text/plain", "a").await?;
        IssueEvent::Closed.on(1).by_system().attach(file).save(&**db).await?;
        IssueEvent::Closed.on(1).by_system().save(&**db).await?;
        attachments.store("b", "text/plain", "nobody's").await?;
        let past = db.time("2026-01-01T00:00:00+00:00");
        let ended =
            format!("INTO event_throttles (log, name, action, until, last_at) VALUES ('events', '{:064}', 'closed', {past}, {past})", 7);
        db.sql("DELETE FROM event_throttles").await?;
        db.sql(&format!("INSERT {ended}")).await?;
        Dispatcher::builder(&**db).state(Seen::default()).only(["noted"]).build()?.drain().await?;
        let report = Retention::older_than(Duration::ZERO).log("events").run(account).await?;
        assert!(report.logs.values().all(|log| log.deleted > 0));
        let swept = Attachments::in_directory(account, directory.path())?.sweep(Duration::ZERO).await?;
        match swept.failures.into_iter().next() {
            Some(failure) => Err(failure.into()),
            None if swept.removed < 2 => Err("not all were removed".into()),
            None => Ok(()),
        }
    })
    .await;
}

async fn these_rights_are_enough_to_operate(db: &TestDb) {
    prepare(db).await;
    is_enough_and_minimal(db, "operate", async |db, operator| {
        db.sql("DELETE FROM event_failures").await?;
        for id in [1, 2] {
            RawFailure { inbox: "noted", log: "events", id, attempts: 8, next_attempt_at: None, started_at: None }
                .write(db)
                .await;
        }
        db.sql("UPDATE event_failures SET state = 'dead'").await?;
        let dispatcher = Dispatcher::builder(operator).state(Seen::default()).only(["noted"]).build()?;
        let letters = dispatcher.dead_letters().list(&DeadLetterQuery::default()).await?;
        assert_eq!(letters.len(), 2);
        assert!(dispatcher.dead_letters().retry(&letters[0]).await?);
        assert!(dispatcher.dead_letters().discard(&letters[1]).await?);
        operator.execute_unprepared("DELETE FROM event_cursors WHERE inbox = 'noted'").await?;
        Ok(())
    })
    .await;
}

/// What an account would stop the system by.
async fn who_may_only_record_chooses_no_id_and_no_time(db: &TestDb) {
    prepare(db).await;
    let url = db.as_account(&[]).await;
    for right in script(db, "record") {
        db.sql(&format!("GRANT {} ON {} TO {}", right.right, right.object, db.account())).await.unwrap();
    }
    let recorder = connect(&url, 1).await;
    IssueEvent::Closed.on(1).by_system().save(&recorder).await.unwrap();
    let event = RawEvent::closed();
    let of_a_time = |insert: String| {
        let insert = insert.replacen("occurred_at)", "occurred_at, created_at)", 1);
        format!("{}, {})", insert.strip_suffix(')').unwrap(), db.time("2100-01-01T00:00:00+00:00"))
    };
    let mut attempts = vec![of_a_time(event.insert(db))];
    for id in [1, 2, 7, i64::MAX] {
        attempts.push(event.clone().id(id).insert(db));
    }
    attempts.extend(
        [
            "UPDATE events SET action = 'x'",
            "DELETE FROM events",
            "INSERT INTO event_retention (log, upto) VALUES ('events', 9)",
            "UPDATE event_attachments SET name = 'x'",
            "DELETE FROM event_attachments",
            "DELETE FROM event_cursors",
            "TRUNCATE TABLE events",
        ]
        .map(str::to_owned),
    );
    attempts.extend(match db.kind() {
        Kind::MySql => vec!["CREATE TEMPORARY TABLE events_slots (id int)".to_owned()],
        _ => ["SELECT nextval('events_id_seq')", "SELECT setval('events_id_seq', 9223372036854775807)"]
            .map(str::to_owned)
            .to_vec(),
    });
    for attempt in attempts {
        recorder.execute_unprepared(&attempt).await.expect_err(&attempt);
    }
    if db.kind() == Kind::MySql {
        recorder.execute_unprepared("SET insert_id = 9223372036854775807").await.unwrap();
        recorder.execute_unprepared(&event.insert(db)).await.unwrap_err();
        recorder.execute_unprepared("SET insert_id = 0").await.unwrap();
    }
    IssueEvent::Closed.on(1).by_system().save(&recorder).await.unwrap();
    recorder.close().await.unwrap();
    assert!(db.number("SELECT max(id) FROM events").await < 100);
}
