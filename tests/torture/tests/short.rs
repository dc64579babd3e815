//! The torture for a few seconds on every database that there is, and every wrong variant until it is caught.
//!
//! SQLite needs nothing; the servers are those of `EVENTS_TEST_POSTGRES_URL` and `EVENTS_TEST_MYSQL_URL`. Without one its
//! tests say what they skipped, and fail in CI.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

const POSTGRES: &str = "EVENTS_TEST_POSTGRES_URL";
const MYSQL: &str = "EVENTS_TEST_MYSQL_URL";

/// One run at a time: each has a dozen processes, and counts the server's free connections.
static ALONE: Mutex<()> = Mutex::new(());

/// Exit code and report.
fn torture(url: &str, more: &[&str]) -> (i32, Value) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = Command::new(env!("CARGO_BIN_EXE_torture"));
    command.args(["--database", url, "--writers", "16", "--workers", "2", "--chaos-every", "900", "--lease", "800"]);
    command.args(["--silence", "2500", "--lag", "1500"]).args(more);
    let output = command.output().unwrap();
    let (out, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned());
    println!("{told}{out}");
    let report = out.lines().last().unwrap_or_else(|| panic!("no report: {told}"));
    (output.status.code().unwrap(), serde_json::from_str(report).unwrap())
}

fn server(variable: &str) -> Option<String> {
    let url = std::env::var(variable).ok().filter(|url| !url.is_empty());
    if url.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{variable} is not set, and CI has to run everything");
        eprintln!("skipped: {variable} is not set");
    }
    url
}

fn keeps_its_promises(url: &str) {
    let (code, report) = torture(url, &["--seconds", "8", "--seed", "7"]);
    assert_eq!((&report["lost"], &report["doubled"]), (&0.into(), &0.into()), "{report}");
    assert_eq!(code, 0, "{}", report["reasons"]);
    assert!(report["committed"].as_u64().unwrap() > 100, "hardly a test: {report}");
    assert!(report["kills"].as_u64().unwrap() > 0, "hardly a test: {report}");
    for (inbox, outcome) in report["inboxes"].as_object().unwrap() {
        assert!(outcome["handled"].as_u64().unwrap() > 0, "{inbox} did nothing: {report}");
    }
}

/// Runs the variant with one seed after another, until the torture sees that something was lost or doubled.
fn is_caught(url: &str, variant: &str) {
    // Chance has a part in it: mostly the first run finds it, and a run that does not is followed by a longer one.
    for seed in 1..=12_u32 {
        let seconds = (5 + seed).to_string();
        let (code, report) =
            torture(url, &["--seconds", &seconds, "--seed", &seed.to_string(), "--patience", "3", "--break", variant]);
        let sum = report["lost"].as_u64().unwrap() + report["doubled"].as_u64().unwrap();
        if sum > 0 {
            assert_eq!(code, 1, "{report}");
            return;
        }
    }
    panic!("`{variant}` was not caught");
}

#[test]
fn sqlite_keeps_its_promises() {
    keeps_its_promises("sqlite:");
}

macro_rules! on_a_server {
    ($module:ident, $variable:ident, [$($name:ident: $variant:literal),*]) => {
        mod $module {
            use super::*;

            #[test]
            fn keeps_its_promises() {
                if let Some(url) = server($variable) {
                    super::keeps_its_promises(&url);
                }
            }

            $(
                #[test]
                fn $name() {
                    if let Some(url) = server($variable) {
                        is_caught(&url, $variant);
                    }
                }
            )*
        }
    };
}

on_a_server!(postgres, POSTGRES, [
    a_cursor_on_bare_ids_is_caught: "bare-id",
    a_fence_by_the_epoch_alone_is_caught: "epoch-only",
    load_then_bump_is_caught: "load-then-bump",
    a_sequence_with_a_cache_is_caught: "sequence-cache"
]);

on_a_server!(mysql, MYSQL, [
    a_cursor_on_bare_ids_is_caught: "bare-id",
    a_fence_by_the_epoch_alone_is_caught: "epoch-only",
    load_then_bump_is_caught: "load-then-bump"
]);
