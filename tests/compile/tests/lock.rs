//! `events.lock` of a program: of real enums and inboxes, by the calls and the environment that a user has.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use event_core::lock::{self, LockError};
use event_core::{DomainEvent, Event, InboxResult, Metadata, handled, inbox};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

struct Parcel;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Place {
    /// A word about it, which changes nothing.
    city: String,
    #[serde(default)]
    street: Option<String>,
}

/// Has no `JsonSchema`.
#[derive(Serialize, Deserialize)]
struct Opaque {
    price: i64,
}

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(Parcel))]
enum ParcelEvent {
    #[event(alias = "sent", version = 3, upcast(1 = as_it_is, 2 = as_it_is))]
    Moved {
        #[serde(alias = "target", alias = "goal")]
        place: Place,
        opaque: Option<Opaque>,
    },
    Closed,
}

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(Parcel), log = "scans")]
enum ScannerEvent {
    Scanned { times: u32 },
}

fn as_it_is(metadata: Metadata) -> Metadata {
    metadata
}

#[inbox(on(Moved))]
async fn notify(event: Event<ParcelEvent>) -> InboxResult {
    let _ = event;
    handled()
}

#[inbox(name = "scan_counts")]
async fn count_scans(event: Event<ScannerEvent>) -> InboxResult {
    let _ = event;
    handled()
}

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = env::temp_dir().join(format!("events-lock-{test}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("events.lock")
    }

    fn content(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.file()).unwrap()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn every_linked_event_and_inbox_is_in_the_file() {
    let folder = Folder::new("content");
    lock::update(folder.file()).unwrap();
    assert_eq!(lock::check(folder.file()), Ok(()));
    let place = json!({
        "type": "object",
        "properties": {"city": {"type": "string"}, "street": {"type": ["null", "string"]}},
        "required": ["city"],
    });
    let moved = json!({
        "$defs": {"Place": place},
        "properties": {
            "place": {"$ref": "#/$defs/Place"},
            "opaque": {"anyOf": [{}, {"type": "null"}]},
        },
        "required": ["place"],
        "type": "object",
        "x-aliases": {"place": ["target", "goal"]},
    });
    let mut content = folder.content();
    content.as_object_mut().unwrap().remove("about");
    assert_eq!(
        content,
        json!({
            "format": 1,
            "events": {
                "events": {"parcel": {
                    "closed": {"versions": [{"version": 1, "schema": {"type": "object"}}]},
                    "moved": {"versions": [
                        {"version": 1, "upcast": true},
                        {"version": 2, "upcast": true},
                        {"version": 3, "schema": moved},
                    ]},
                    "sent": {"alias_of": "moved", "versions": []},
                }},
                "scans": {"parcel": {
                    "scanned": {"versions": [{"version": 1, "schema": {
                        "type": "object",
                        "properties": {"times": {"type": "integer", "format": "uint32", "minimum": 0}},
                        "required": ["times"],
                    }}]},
                }},
            },
            "inboxes": ["notify", "scan_counts"],
        })
    );
}

#[test]
fn a_file_of_another_time_is_compared_with_the_program() {
    let folder = Folder::new("another-time");
    lock::update(folder.file()).unwrap();
    let mut content = folder.content();
    let parcel = &mut content["events"]["events"]["parcel"];
    // What was stored once: a field under the name that serde still reads, one that is gone, and an inbox.
    parcel["moved"]["versions"][2]["schema"] = json!({
        "type": "object",
        "properties": {"goal": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
        "required": ["goal"],
    });
    parcel["closed"]["versions"][0]["schema"] = json!({"type": "object", "properties": {"reason": {"type": "string"}}});
    content["inboxes"] = json!(["notify", "counts"]);
    let text = content.to_string();
    fs::write(folder.file(), &text).unwrap();
    let error = lock::check(folder.file()).unwrap_err();
    let LockError::Broken { problems, .. } = &error else { panic!("{error}") };
    assert_eq!(problems.len(), 2, "{error}");
    assert!(
        error.to_string().contains("`closed` of `parcel` in log `events`, version 1: field `reason` is gone"),
        "{error}"
    );
    assert!(error.to_string().contains("inbox `counts` is gone"), "{error}");
    assert_eq!(lock::update(folder.file()), Err(error));
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), text);
    lock::accept(folder.file()).unwrap();
    assert_eq!(lock::check(folder.file()), Ok(()));
}

/// Not a test by itself: what another process runs, with an environment of its own.
#[test]
#[ignore = "run by the test below"]
fn check_in_the_environment() -> Result<(), LockError> {
    lock::check(env::var_os("THE_LOCK").unwrap())
}

fn check_with(file: &Path, mode: &str) -> Output {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "check_in_the_environment", "--ignored", "--nocapture"])
        .env("THE_LOCK", file)
        .env("EVENTS_LOCK", mode)
        .output()
        .unwrap()
}

#[test]
fn the_environment_says_whether_the_file_is_written() {
    let folder = Folder::new("environment");
    let says = |mode: &str, what: &str| {
        let output = check_with(&folder.file(), mode);
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.success(), what.is_empty(), "{mode}: {text}");
        assert!(text.contains(what), "{mode}: {text}");
    };
    for mode in ["", "check"] {
        says(mode, "there is no such file\nRun the same again with EVENTS_LOCK=update, and commit the file.");
        assert!(!folder.file().exists());
    }
    says("updat", "EVENTS_LOCK is `updat`; it can be `check`, `update` or `accept`");
    says("update", "");
    says("check", "");
    let broken = fs::read_to_string(folder.file()).unwrap().replace("\"scan_counts\"", "\"scan_count\"");
    fs::write(folder.file(), &broken).unwrap();
    for mode in ["check", "update"] {
        says(mode, "if it was renamed to `scan_counts`, write `#[inbox(name = \"scan_count\")]` on it");
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), broken);
    }
    says("accept", "");
    says("check", "");
}
