//! Append-only: what raw SQL can't do to a log.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use behaviour::models::IssueEvent;
use behaviour::raw::RawEvent;
use behaviour::{Kind, TestDb, on_every_database};
use event_sea_orm::prelude::*;
use sea_orm::{ConnectionTrait as _, DatabaseConnection};

// By SQLite alone ids are kept growing by triggers, and times are kept as text. MariaDB and MySQL alone have sessions choose ids.
on_every_database! {
    tampering_is_refused
    metadata_is_a_json_object
    an_id_is_never_given_out_again
    ; sqlite_only:
    ids_only_grow
    times_have_one_form
    ; postgres_only:
    what_a_session_calls_a_table_is_nothing_to_a_trigger
    ; mysql_only:
    a_session_can_not_choose_the_id
}

/// All that the log holds, as text.
async fn contents(db: &TestDb) -> Vec<String> {
    db.rows("SELECT id, subject_id, action, idempotency_key FROM events ORDER BY id").await
}

/// What is tried, and a part of the error.
fn attempts(db: &TestDb) -> Vec<(String, &'static str)> {
    let insert = |event: RawEvent| event.insert(db);
    let closed = RawEvent::closed;
    let or_replace = |event: RawEvent| insert(event).replacen("INSERT", "INSERT OR REPLACE", 1);
    let replace = |event: RawEvent| insert(event).replacen("INSERT", "REPLACE", 1);
    let refused = "append-only";
    let mut attempts = vec![
        ("UPDATE events SET action = 'x' WHERE id = 1".to_owned(), refused),
        ("UPDATE events SET action = 'x'".to_owned(), refused),
        ("DELETE FROM events WHERE id = 3".to_owned(), refused),
        ("DELETE FROM events".to_owned(), refused),
    ];
    match db.kind() {
        Kind::Sqlite => {
            let on_conflict =
                |event, column| format!("{} ON CONFLICT ({column}) DO UPDATE SET action = 'x'", insert(event));
            attempts.extend([
                ("UPDATE OR REPLACE events SET idempotency_key = 'a' WHERE id = 2".to_owned(), refused),
                ("UPDATE OR IGNORE events SET id = 9 WHERE id = 2".to_owned(), refused),
                (insert(closed().id(2)), refused),
                (or_replace(closed().id(3)), refused),
                (replace(closed().id(1)), refused),
                (or_replace(closed().key("b")), refused),
                (or_replace(closed().id(9).key("b")), refused),
                (on_conflict(closed().id(2), "id"), refused),
                (on_conflict(closed().key("b"), "idempotency_key"), refused),
            ]);
            // The highest id that there is would be the log's last.
            attempts.extend([0, -7, 4, 9, i64::MAX].map(|id| (insert(closed().id(id)), refused)));
            attempts.push((or_replace(closed().id(i64::MAX)), refused));
            attempts.push((insert(closed().id(-1)), "CHECK constraint failed"));
        }
        Kind::Postgres => {
            let on_conflict =
                "ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO UPDATE SET action = 'x'";
            let by_hand = insert(closed().id(9)).replace("OVERRIDING SYSTEM VALUE ", "");
            attempts.extend([
                ("TRUNCATE events".to_owned(), refused),
                (format!("{} {on_conflict}", insert(closed().key("b"))), refused),
                (insert(closed().id(2)), "duplicate key"),
                (by_hand, "cannot insert a non-DEFAULT value"),
            ]);
        }
        Kind::MySql => {
            let on_conflict = "ON DUPLICATE KEY UPDATE action = 'x'";
            attempts.extend([
                (format!("{} {on_conflict}", insert(closed().key("b"))), refused),
                (replace(closed().key("b")), refused),
            ]);
            // Below the cursors it would never be delivered, and the highest id that there is would be the log's last.
            attempts.extend([2, 7, i64::MAX].map(|id| (insert(closed().id(id)), refused)));
        }
    }
    attempts
}

async fn tampering_is_refused(db: &TestDb) {
    for key in ["a", "b", "c"] {
        IssueEvent::Created.on(1).by_system().key(key).save(&**db).await.unwrap();
    }
    let before = contents(db).await;
    // SQLite fires the triggers of rows that REPLACE deletes only if told so.
    let settings: &[&str] = match db.kind() {
        Kind::Sqlite => &["PRAGMA recursive_triggers = OFF", "PRAGMA recursive_triggers = ON"],
        Kind::Postgres | Kind::MySql => &["SELECT 1"],
    };
    for setting in settings {
        db.sql(setting).await.unwrap();
        for (attempt, expected) in attempts(db) {
            let error = db.sql(&attempt).await.expect_err(&attempt);
            assert!(error.to_string().contains(expected), "{attempt}: {error}");
            assert_eq!(contents(db).await, before, "{attempt}");
        }
    }
    let id = IssueEvent::Created.on(1).by_system().save(&**db).await.unwrap().event().unwrap().id;
    assert!(if db.kind() == Kind::Sqlite { id == 4 } else { id > 3 }, "{id}");
}

/// By temporary tables, which come first in every `search_path`, by an empty `search_path` (`pg_dump` and replication have one), and
/// by another name of the schema.
async fn what_a_session_calls_a_table_is_nothing_to_a_trigger(db: &TestDb) {
    IssueEvent::Created.on(1).by_system().save(&**db).await.unwrap();
    let insert = RawEvent::closed().insert(db).replace("INTO events", "INTO public.events");
    let session = db.another(1).await;
    for sql in [
        "CREATE TEMP TABLE event_sleepers (other int)",
        "CREATE TEMP TABLE event_retention (log text, upto bigint)",
        "INSERT INTO pg_temp.event_retention VALUES ('events', 100)",
        "CREATE FUNCTION pg_temp.pg_notify(text, name) RETURNS void LANGUAGE plpgsql AS $$BEGIN RAISE 'ours'; END$$",
        &insert,
        "SET search_path = pg_temp, public, pg_catalog",
        &insert,
        "SET search_path = ''",
        &insert,
    ] {
        session.execute_unprepared(sql).await.expect(sql);
    }
    for path in ["''", "pg_temp, public, pg_catalog"] {
        session.execute_unprepared(&format!("SET search_path = {path}")).await.unwrap();
        let error = session.execute_unprepared("DELETE FROM public.events").await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{error}");
    }
    session.close().await.unwrap();
    db.sql("ALTER SCHEMA public RENAME TO moved").await.unwrap();
    let moved = db.url().to_owned() + "&options=-c%20search_path%3Dmoved";
    let moved = behaviour::connect(&moved, 3).await;
    IssueEvent::Created.on(1).by_system().save(&moved).await.unwrap();
    // The triggers are those that the migration makes there, too.
    Dispatcher::builder(&moved).build().unwrap().drain().await.unwrap();
    assert_eq!(
        event_sea_orm::Retention::older_than(std::time::Duration::ZERO).run(&moved).await.unwrap().logs.len(),
        2
    );
    moved.close().await.unwrap();
}

/// `SET insert_id` has the database "draw" that id, which the statement does not name.
async fn a_session_can_not_choose_the_id(db: &TestDb) {
    let record = async |db: &DatabaseConnection| IssueEvent::Created.on(1).by_system().save(db).await;
    let first = record(db).await.unwrap().event().unwrap().id;
    let session = db.another(1).await;
    for id in ["1", "5", "4611686018427387904", "9223372036854775807", "18446744073709551615"] {
        session.execute_unprepared(&format!("SET SESSION insert_id = {id}")).await.unwrap();
        // By the trigger: SQLSTATE 45000.
        let error = record(&session).await.expect_err(id).to_string();
        assert!(error.contains("error 1644"), "{id}: {error}");
        let error = session.execute_unprepared(&RawEvent::closed().insert(db)).await.expect_err(id).to_string();
        assert!(error.contains("leave the id to the database"), "{id}: {error}");
        let two = [IssueEvent::Created.on(1).by_system(), IssueEvent::Created.on(1).by_system()];
        record_many(&session, two).await.expect_err(id);
    }
    session.execute_unprepared("SET SESSION insert_id = 0").await.unwrap();
    let next = record(&session).await.unwrap().event().unwrap().id;
    assert!(next > first && next < first + 100, "{next}");
    assert_eq!(db.number("SELECT count(*) FROM events").await, 2);
}

async fn an_id_is_never_given_out_again(db: &TestDb) {
    let record = async || IssueEvent::Created.on(1).by_system().save(&**db).await.unwrap().event().unwrap().id;
    record().await;
    let newest = record().await;
    db.allow_delete("events").await;
    db.sql(&format!("DELETE FROM events WHERE id = {newest}")).await.unwrap();
    assert!(record().await > newest);
    db.sql("DELETE FROM events").await.unwrap();
    assert!(record().await > newest + 1);
}

const COLUMNS: &str = "subject_type, subject_id, action, version, metadata, occurred_at";
const VALUES: &str = "'issue', '1', 'closed', 1, '{}', '2026-01-01T00:00:00+00:00'";

async fn ids_only_grow(db: &TestDb) {
    for _ in 0..5 {
        IssueEvent::Created.on(1).by_system().save(&**db).await.unwrap();
    }
    // As retention will: the newest rows go.
    db.allow_delete("events").await;
    db.sql("DELETE FROM events WHERE id >= 3").await.unwrap();
    let rows =
        ["(3, {})", "(5, {})", "(6, {})", "(9, {}), (8, {})", "(8, {}), (9, {}), (NULL, {})", "(NULL, {}), (9, {})"];
    for rows in rows {
        let sql = format!("INSERT INTO events (id, {COLUMNS}) VALUES {}", rows.replace("{}", VALUES));
        let error = db.sql(&sql).await.expect_err(rows).to_string();
        assert!(error.contains("leave the id of events to the database"), "{rows}: {error}");
    }
    // Without that trigger, the other one refuses what does not grow: also within one statement, where
    // sqlite_sequence still holds what was before it.
    db.drop_trigger("events", "events_no_replace").await;
    for rows in ["(3, {})", "(5, {})", "(9, {}), (8, {})"] {
        let sql = format!("INSERT INTO events (id, {COLUMNS}) VALUES {}", rows.replace("{}", VALUES));
        assert!(db.sql(&sql).await.unwrap_err().to_string().contains("only grow"), "{rows}");
    }
    let sql = format!("INSERT INTO events (id, {COLUMNS}) VALUES (8, {VALUES}), (9, {VALUES}), (NULL, {VALUES})");
    db.sql(&sql).await.unwrap();
    assert_eq!(db.number("SELECT max(id) FROM events").await, 10);
    db.sql("DELETE FROM events").await.unwrap();
    assert_eq!(IssueEvent::Created.on(1).by_system().save(&**db).await.unwrap().event().unwrap().id, 11);
}

async fn metadata_is_a_json_object(db: &TestDb) {
    for metadata in ["", "{", "[]", "null", "{a: 1}"] {
        let error = RawEvent::of("closed", 1, metadata).write(db).await.unwrap_err().to_string().to_lowercase();
        // PostgreSQL has a type for JSON, and its own words for what is none.
        assert!(error.contains("constraint") || error.contains("type json"), "{metadata}: {error}");
    }
    assert_eq!(contents(db).await.len(), 0);
}

async fn times_have_one_form(db: &TestDb) {
    for time in ["2026-01-01", "2026-01-01 00:00:00", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00+02:00", "x"] {
        let values = VALUES.replace("2026-01-01T00:00:00+00:00", time);
        let error = db.sql(&format!("INSERT INTO events ({COLUMNS}) VALUES ({values})")).await.unwrap_err();
        assert!(error.to_string().contains("CHECK"), "{time}: {error}");
    }
}
