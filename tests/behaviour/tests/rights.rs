//! The rights that README says are enough, given to accounts that have no others.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use behaviour::models::IssueEvent;
use behaviour::seen::Seen;
use behaviour::{Kind, TestDb, on_every_database};
use event_sea_orm::prelude::*;
use sea_orm::Database;

on_every_database! {
    ; servers_only:
    these_rights_are_enough_to_record
    these_rights_are_enough_to_dispatch
}

#[inbox(start = beginning)]
async fn noted(_: Event<IssueEvent>, txn: Txn<'_>, State(seen): State<Seen>) -> InboxResult {
    let _ = txn;
    seen.note("handled");
    handled()
}

async fn these_rights_are_enough_to_record(db: &TestDb) {
    let rights: &[&str] = match db.kind() {
        Kind::MySql => &["SELECT, INSERT ON events"],
        _ => &["SELECT, INSERT ON events", "USAGE, SELECT ON SEQUENCE events_id_seq", "SELECT ON event_sleepers"],
    };
    let recorder = Database::connect(db.as_account(rights).await).await.unwrap();
    IssueEvent::Closed.on(1).by_system().key("k").save(&recorder).await.unwrap();
    record_many(&recorder, [IssueEvent::Closed.on(1).by_system(), IssueEvent::Closed.on(2).by_system()]).await.unwrap();
    recorder.close().await.unwrap();
}

async fn these_rights_are_enough_to_dispatch(db: &TestDb) {
    IssueEvent::Closed.on(1).by_system().save(&**db).await.unwrap();
    let tables = ["event_cursors", "event_failures", "event_sleepers"];
    let mut rights = vec!["SELECT ON events".to_owned(), "SELECT ON audit_events".to_owned()];
    let of_tables = if db.kind() == Kind::MySql { &tables[..2] } else { &tables[..] };
    rights.extend(of_tables.iter().map(|table| format!("SELECT, INSERT, UPDATE, DELETE ON {table}")));
    if db.kind() == Kind::MySql {
        for log in ["events", "audit_events"] {
            rights.push(format!("TRIGGER ON {log}"));
            rights.push(format!("SELECT, UPDATE ON {log}_slots"));
        }
    } else {
        rights.push("SELECT ON SEQUENCE events_id_seq, audit_events_id_seq".to_owned());
    }
    let rights: Vec<_> = rights.iter().map(String::as_str).collect();
    let worker = Database::connect(db.as_account(&rights).await).await.unwrap();
    let seen = Seen::default();
    Dispatcher::builder(&worker).state(seen.clone()).build().unwrap().drain().await.unwrap();
    assert_eq!(seen.lines(), ["handled"]);
    worker.close().await.unwrap();
}
