//! Append-only: what raw SQL can't do to a log of SQLite.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use behaviour::models::IssueEvent;
use behaviour::{TestDb, on_every_database};
use event_sea_orm::prelude::*;

on_every_database! {
    tampering_is_refused
    ids_only_grow
    metadata_is_a_json_object
    times_have_one_form
}

const COLUMNS: &str = "subject_type, subject_id, action, version, metadata, occurred_at";
const VALUES: &str = "'issue', '1', 'closed', 1, '{}', '2026-01-01T00:00:00+00:00'";

/// All that the log holds, as text.
async fn contents(db: &TestDb) -> String {
    db.text(
        "SELECT coalesce(group_concat(id || subject_id || action || coalesce(idempotency_key, '-')), '') FROM events",
    )
    .await
}

async fn tampering_is_refused(db: &TestDb) {
    for key in ["a", "b", "c"] {
        IssueEvent::Created.on(1).by_system().key(key).save(&**db).await.unwrap();
    }
    let before = contents(db).await;
    let attempts = [
        "UPDATE events SET action = 'x' WHERE id = 1".to_owned(),
        "UPDATE OR REPLACE events SET idempotency_key = 'a' WHERE id = 2".to_owned(),
        "UPDATE OR IGNORE events SET id = 9 WHERE id = 2".to_owned(),
        "DELETE FROM events WHERE id = 3".to_owned(),
        "DELETE FROM events".to_owned(),
        format!("INSERT INTO events (id, {COLUMNS}) VALUES (2, {VALUES})"),
        format!("INSERT OR REPLACE INTO events (id, {COLUMNS}) VALUES (3, {VALUES})"),
        format!("REPLACE INTO events (id, {COLUMNS}) VALUES (1, {VALUES})"),
        format!("INSERT OR REPLACE INTO events (idempotency_key, {COLUMNS}) VALUES ('b', {VALUES})"),
        format!("INSERT OR REPLACE INTO events (id, idempotency_key, {COLUMNS}) VALUES (9, 'b', {VALUES})"),
        format!("INSERT INTO events (id, {COLUMNS}) VALUES (2, {VALUES}) ON CONFLICT (id) DO UPDATE SET action = 'x'"),
        format!(
            "INSERT INTO events (idempotency_key, {COLUMNS}) VALUES ('b', {VALUES}) \
             ON CONFLICT (idempotency_key) DO UPDATE SET action = 'x'"
        ),
        format!("INSERT INTO events (id, {COLUMNS}) VALUES (0, {VALUES})"),
        format!("INSERT INTO events (id, {COLUMNS}) VALUES (-1, {VALUES})"),
        format!("INSERT INTO events (id, {COLUMNS}) VALUES (-7, {VALUES})"),
    ];
    for pragma in ["PRAGMA recursive_triggers = OFF", "PRAGMA recursive_triggers = ON"] {
        db.sql(pragma).await.unwrap();
        for attempt in &attempts {
            let error = db.sql(attempt).await.expect_err(attempt);
            let expected = if attempt.contains("(-7") || attempt.contains("(0,") || attempt.contains("(-1") {
                "CHECK constraint failed"
            } else {
                "append-only"
            };
            assert!(error.to_string().contains(expected), "{attempt}: {error}");
            assert_eq!(contents(db).await, before, "{attempt}");
        }
    }
    assert_eq!(IssueEvent::Created.on(1).by_system().save(&**db).await.unwrap().event().id, 4);
}

async fn ids_only_grow(db: &TestDb) {
    for _ in 0..5 {
        IssueEvent::Created.on(1).by_system().save(&**db).await.unwrap();
    }
    // As retention will: the newest rows go.
    db.sql("DROP TRIGGER events_no_delete").await.unwrap();
    db.sql("DELETE FROM events WHERE id >= 3").await.unwrap();
    for reused in [3, 5] {
        let sql = format!("INSERT INTO events (id, {COLUMNS}) VALUES ({reused}, {VALUES})");
        let error = db.sql(&sql).await.expect_err("an id of a row that is gone");
        assert!(error.to_string().contains("only grow"), "{error}");
    }
    // Within one statement, where sqlite_sequence still holds what was before it.
    let sql = format!("INSERT INTO events (id, {COLUMNS}) VALUES (9, {VALUES}), (8, {VALUES})");
    assert!(db.sql(&sql).await.unwrap_err().to_string().contains("only grow"));
    let sql = format!("INSERT INTO events (id, {COLUMNS}) VALUES (8, {VALUES}), (9, {VALUES}), (NULL, {VALUES})");
    db.sql(&sql).await.unwrap();
    assert_eq!(db.number("SELECT max(id) FROM events").await, 10);
    db.sql("DELETE FROM events").await.unwrap();
    assert_eq!(IssueEvent::Created.on(1).by_system().save(&**db).await.unwrap().event().id, 11);
}

async fn metadata_is_a_json_object(db: &TestDb) {
    for metadata in ["", "{", "[]", "null", "{a: 1}"] {
        let values = VALUES.replace("{}", metadata);
        let error = db.sql(&format!("INSERT INTO events ({COLUMNS}) VALUES ({values})")).await.unwrap_err();
        assert!(error.to_string().contains("CHECK"), "{metadata}: {error}");
    }
}

async fn times_have_one_form(db: &TestDb) {
    for time in ["2026-01-01", "2026-01-01 00:00:00", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00+02:00", "x"] {
        let values = VALUES.replace("2026-01-01T00:00:00+00:00", time);
        let error = db.sql(&format!("INSERT INTO events ({COLUMNS}) VALUES ({values})")).await.unwrap_err();
        assert!(error.to_string().contains("CHECK"), "{time}: {error}");
    }
}
