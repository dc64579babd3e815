//! A short backlog on every database. What the memory is in a debug build says something too: flat is flat.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

fn run(database: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_backlog"))
        .args(["--database", database, "--events", "20000", "--most-mib", "128"])
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
}

fn run_on(variable: &str) {
    match std::env::var(variable) {
        Ok(url) => run(&url),
        Err(_) if std::env::var("CI").is_ok_and(|ci| ci == "true") => panic!("{variable} is not set"),
        Err(_) => eprintln!("skipped: {variable} is not set"),
    }
}

#[test]
fn on_sqlite() {
    run("sqlite:");
}

#[test]
fn on_postgres() {
    run_on("EVENTS_TEST_POSTGRES_URL");
}

#[test]
fn on_mysql() {
    run_on("EVENTS_TEST_MYSQL_URL");
}
