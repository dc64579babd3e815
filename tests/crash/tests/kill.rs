//! One process records while the dispatching one is killed again and again.
//!
//! `CRASH_KILLS` and `CRASH_EVENTS` make it longer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use behaviour::{Kind, TestDb, on_every_database};

on_every_database! {
    killed_workers_lose_nothing_and_double_no_transactional_effect
    an_event_that_ends_its_process_takes_no_innocent_one_along
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

fn crash(args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_crash")).args(args).stdout(Stdio::piped()).spawn().unwrap()
}

async fn ids(db: &TestDb, sql: &str) -> Vec<i64> {
    db.rows(sql).await.iter().map(|id| id.parse().unwrap()).collect()
}

/// How many of `expected` are missing from `found`, how many are there more than once, and how many nobody expects.
fn compare(expected: &[i64], found: &[i64]) -> (usize, usize, usize) {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for id in found {
        *counts.entry(*id).or_default() += 1;
    }
    let lost = expected.iter().filter(|id| !counts.contains_key(id)).count();
    let repeated = counts.values().map(|count| count - 1).sum();
    let strange = counts.keys().filter(|id| expected.binary_search(id).is_err()).count();
    (lost, repeated, strange)
}

fn read_ids(path: &Path) -> Vec<i64> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| line.parse().unwrap()).collect()
}

async fn killed_workers_lose_nothing_and_double_no_transactional_effect(db: &TestDb) {
    // On servers the torture does this and much more.
    let kills = setting("CRASH_KILLS", if db.kind() == Kind::Sqlite { 25 } else { 10 });
    let events = setting("CRASH_EVENTS", 4_000);
    let url = db.url();
    let dir = tempfile::tempdir().unwrap();
    let mails = dir.path().join("mails");
    let file = mails.display().to_string();
    for table in ["effects", "stumbling_effects"] {
        db.sql(&format!("CREATE TABLE {table} (event bigint NOT NULL)")).await.unwrap();
    }

    let mut recorder = crash(&["record", url, &events.to_string(), "6"]);
    let mut out = recorder.stdout.take().unwrap();
    // Read beside, or the pipe fills and the recorder waits.
    let acknowledged = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect::<Vec<i64>>()
    });
    let mut seed = fastrand_seed();
    for _ in 0..kills {
        let mut worker = crash(&["dispatch", url, &file]);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Past the lease of the one killed before, and then some.
        tokio::time::sleep(Duration::from_millis(220 + (seed >> 33) % 700)).await;
        // SIGKILL: nothing in the process runs any more.
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
    assert!(recorder.wait().unwrap().success());
    let mut acknowledged = acknowledged.join().unwrap();
    acknowledged.sort_unstable();
    let delivered = read_ids(&mails).len();
    assert!(crash(&["drain", url, &file]).wait().unwrap().success());

    let committed = ids(db, "SELECT id FROM events ORDER BY id").await;
    assert_eq!(acknowledged, committed, "what was acknowledged is there, and nothing else");
    let (lost, doubled, strange) = compare(&committed, &ids(db, "SELECT event FROM effects").await);
    let (lost2, doubled2, strange2) = compare(&committed, &ids(db, "SELECT event FROM stumbling_effects").await);
    let (lost3, repeated, strange3) = compare(&committed, &read_ids(&mails));
    let dead = ids(db, "SELECT count(*) FROM event_failures").await[0];
    println!(
        "kills {kills}, committed {}, {delivered} mailed before the last worker; transactional: lost {lost}, doubled {doubled}; with failures: lost {lost2}, doubled \
         {doubled2}; others: lost {lost3}, repeated {repeated}; failure rows left {dead}",
        committed.len()
    );
    assert_eq!((lost, doubled, strange), (0, 0, 0));
    assert_eq!((lost2, doubled2, strange2), (0, 0, 0));
    assert_eq!((lost3, strange3, dead), (0, 0, 0));
}

async fn an_event_that_ends_its_process_takes_no_innocent_one_along(db: &TestDb) {
    db.sql("CREATE TABLE effects (event bigint NOT NULL)").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (url, done) = (db.url(), dir.path().join("done"));
    let file = done.display().to_string();
    assert!(crash(&["record", url, "3", "1"]).wait().unwrap().success());
    let mut starts = 1;
    while !crash(&["drain-poisoned", url, &file]).wait().unwrap().success() {
        starts += 1;
        assert!(starts < 40, "it ends its process again and again");
    }
    let dead = db.rows("SELECT inbox, event_id, kind, attempts FROM event_failures").await;
    assert_eq!(dead, ["poisonous 1 crash 12"], "after {starts} starts");
    // The first delivery, two that ran beside others, twelve alone, and the one that lived.
    assert_eq!(starts, 1 + 2 + 12 + 1);
    let mut handled = read_ids(&done);
    handled.sort_unstable();
    handled.dedup();
    assert_eq!(handled, [1, 2, 3]);
    assert_eq!(ids(db, "SELECT event FROM effects ORDER BY event").await, [1, 2, 3], "once each");
}

fn fastrand_seed() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos().into()
}
