//! The file and the program, each made by hand.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::linked::{Action, Linked};
use super::{LockError, Mode, run};
use crate::names::Location;

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("events-lock-{}-{:x}", std::process::id(), fastrand::u64(..)));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("events.lock")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn content(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn object(fields: Value, required: &[&str]) -> Value {
    json!({"properties": fields, "required": required, "type": "object"})
}

fn action(version: u32, upcasts: &[u32], schema: Value) -> Action {
    Action { aliases: Vec::new(), version, upcasts: upcasts.to_vec(), schema }
}

fn text(names: &[&str]) -> Value {
    object(
        names
            .iter()
            .map(|name| (name.to_string(), json!({"type": "string"})))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        names,
    )
}

impl Action {
    fn alias(mut self, alias: &str) -> Self {
        self.aliases.push(alias.to_owned());
        self
    }
}

fn linked<const N: usize>(actions: [(&str, Action); N]) -> Linked {
    linked_as("events", "issue", actions)
}

fn linked_as<const N: usize>(log: &str, subject: &str, actions: [(&str, Action); N]) -> Linked {
    let actions = actions.into_iter().map(|(name, action)| (name.to_owned(), action)).collect();
    Linked { subjects: [((log.to_owned(), subject.to_owned()), actions)].into(), ..Linked::default() }
}

fn with_inboxes(mut linked: Linked, names: &[&str]) -> Linked {
    let at = Location { file: "src/lib.rs", line: 1 };
    linked.inboxes = names.iter().map(|name| (name.to_string(), at)).collect();
    linked
}

/// A file that has `before`, checked with `after`.
fn change(before: &Linked, after: &Linked) -> (Folder, Result<(), LockError>) {
    let folder = Folder::new();
    run(&folder.file(), Mode::Update, before).unwrap();
    assert_eq!(run(&folder.file(), Mode::Check, before), Ok(()), "what was written is up to date");
    let result = run(&folder.file(), Mode::Check, after);
    (folder, result)
}

/// The problems; an update refuses them too and leaves the file alone, and accepting takes them.
#[track_caller]
fn broken(before: &Linked, after: &Linked) -> Vec<String> {
    let (folder, result) = change(before, after);
    let Err(LockError::Broken { problems, .. }) = &result else { panic!("not broken: {result:?}") };
    let was = folder.text();
    assert_eq!(run(&folder.file(), Mode::Update, after), result);
    assert_eq!(folder.text(), was);
    assert_eq!(run(&folder.file(), Mode::Accept, after), Ok(()));
    assert_eq!(run(&folder.file(), Mode::Check, after), Ok(()));
    problems.iter().map(ToString::to_string).collect()
}

/// The changes that the file lacks; an update takes them.
#[track_caller]
fn outdated(before: &Linked, after: &Linked) -> (Vec<String>, Value) {
    let (folder, result) = change(before, after);
    let Err(LockError::Outdated { changes, .. }) = result else { panic!("not outdated: {result:?}") };
    assert_eq!(run(&folder.file(), Mode::Update, after), Ok(()));
    assert_eq!(run(&folder.file(), Mode::Check, after), Ok(()));
    (changes, folder.content()["events"]["events"]["issue"].clone())
}

const MOVED: &str = "`moved` of `issue` in log `events`";

#[test]
fn a_file_that_is_not_there_is_made_on_demand() {
    let folder = Folder::new();
    let program = with_inboxes(linked([("moved", action(1, &[], text(&["to"])))]), &["notify", "mail"]);
    let error = run(&folder.file(), Mode::Check, &program).unwrap_err();
    assert!(matches!(&error, LockError::Outdated { .. }));
    assert!(
        format!("{error:?}").contains("there is no such file\nRun the same again with EVENTS_LOCK=update"),
        "{error:?}"
    );
    assert!(!folder.file().exists());
    run(&folder.file(), Mode::Update, &program).unwrap();
    let text = folder.text();
    assert!(text.starts_with("{\n  \"about\": \"Everything that") && text.ends_with("}\n"), "{text}");
    assert_eq!(
        folder.content(),
        json!({
            "about": folder.content()["about"],
            "format": 1,
            "events": {"events": {"issue": {"moved": {"versions": [
                {"version": 1, "schema": {"properties": {"to": {"type": "string"}}, "required": ["to"], "type": "object"}},
            ]}}}},
            "inboxes": ["mail", "notify"],
        })
    );
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn what_is_up_to_date_is_not_written() {
    let program = linked([("moved", action(1, &[], text(&["to"])))]);
    let (folder, _) = change(&program, &program);
    // Another layout and other line ends, as version control may make them.
    let odd = folder.text().replace('\n', "\r\n");
    fs::write(folder.file(), &odd).unwrap();
    for mode in [Mode::Check, Mode::Update, Mode::Accept] {
        assert_eq!(run(&folder.file(), mode, &program), Ok(()));
    }
    assert_eq!(folder.text(), odd);
}

#[test]
fn a_field_that_is_gone_or_retyped_or_required_is_broken_without_an_upcast() {
    let before = linked([("moved", action(1, &[], text(&["from", "to"])))]);
    let gone = linked([("moved", action(1, &[], text(&["to"])))]);
    assert_eq!(
        broken(&before, &gone),
        [format!(
            "{MOVED}, version 1: field `from` is gone, and what is stored in it would be lost; keep it as an `Option` (a field \
             that was renamed: `#[serde(alias = \"from\")]` on the new one), or raise it to `version = 2` with an \
             `upcast(1 = ...)` that says what becomes of it"
        )]
    );
    let mut retyped = text(&["from", "to", "why"]);
    retyped["properties"]["to"]["type"] = "integer".into();
    assert_eq!(
        broken(&before, &linked([("moved", action(1, &[], retyped.clone()))])),
        [
            format!(
                "{MOVED}, version 1: field `to` was a string and is an integer; keep a type that reads both, or raise it to \
                 `version = 2` with an `upcast(1 = ...)` that converts what is stored"
            ),
            format!(
                "{MOVED}, version 1: field `why` is new and required, and stored events lack it; give it `#[serde(default)]`, or \
                 make it an `Option`, or raise it to `version = 2` with an `upcast(1 = ...)` that fills it in"
            ),
        ]
    );
    // A version alone mends nothing.
    let problems = broken(&before, &linked([("moved", action(2, &[], retyped.clone()))]));
    assert_eq!(problems.len(), 2);
    assert!(problems[0].ends_with("or add an `upcast(1 = ...)` that converts what is stored"), "{problems:?}");
    // With the upcast all of it is fine, and the old version stays in the file.
    let (changes, names) = outdated(&before, &linked([("moved", action(2, &[1], retyped.clone()))]));
    assert_eq!(changes, [format!("{MOVED} has an upcast from version 1"), format!("{MOVED} has a new version 2")]);
    assert_eq!(
        names["moved"]["versions"],
        json!([{"version": 1, "upcast": true, "schema": text(&["from", "to"])}, {"version": 2, "schema": retyped}])
    );
}

#[test]
fn what_stored_data_survives_is_only_missing_in_the_file() {
    let before = with_inboxes(linked([("moved", action(1, &[], text(&["to"])))]), &["mail"]);
    let optional = object(json!({"to": {"type": "string"}, "why": {"type": "string"}}), &["to"]);
    let after = linked([("moved", action(1, &[], optional)), ("closed", action(1, &[], text(&[])))]);
    let (changes, _) = outdated(&before, &with_inboxes(after, &["mail", "notify"]));
    assert_eq!(
        changes,
        [
            "`closed` of `issue` in log `events` is a new action".to_owned(),
            format!("{MOVED}, version 1: its metadata has changed"),
            "inbox `notify` is new".to_owned(),
        ]
    );
    let (changes, _) = outdated(&before, &with_inboxes(linked([("moved", action(3, &[], text(&["to"])))]), &["mail"]));
    assert_eq!(changes, [format!("{MOVED} has a new version 3")]);
}

#[test]
fn a_renamed_action_needs_an_alias() {
    let before = linked([("moved", action(1, &[], text(&["to"])))]);
    let after = |transferred: Action| {
        linked([
            ("transferred", transferred),
            ("archived", action(1, &[], text(&[]))),
            ("moves", action(1, &[], text(&[]))),
        ])
    };
    let problems = broken(&before, &after(action(1, &[], text(&["to"]))));
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("`moved` of `issue` in log `events` is gone"), "{problems:?}");
    assert!(
        problems[0].contains("renamed to `transferred`, write `#[event(alias = \"moved\")]` on it, or `#[event(name"),
        "of those that are new, the one of the same fields: {problems:?}"
    );
    let problems = broken(&before, &after(action(1, &[], text(&["where"]))));
    assert!(problems[0].contains("renamed to `moves`"), "else the one that is called most like it: {problems:?}");

    let (_, names) = outdated(&before, &after(action(1, &[], text(&["to"])).alias("moved")));
    assert_eq!(names["moved"]["alias_of"], "transferred");
    assert_eq!(
        names["moved"]["versions"],
        json!([{"version": 1, "schema": text(&["to"])}]),
        "its rows are still stored"
    );
}

#[test]
fn what_is_stored_under_an_alias_is_looked_at_for_ever() {
    let before = linked([("moved", action(1, &[], text(&["to"])).alias("sent"))]);
    let problems = broken(&before, &linked([("moved", action(1, &[], text(&["to"])))]));
    assert!(problems[0].starts_with("`sent` of `issue` in log `events` is gone"), "{problems:?}");

    // Stored as `moved` only; then renamed, then changed.
    let (folder, _) = change(&linked([("moved", action(1, &[], text(&["to"])))]), &linked([]));
    let renamed = linked([("transferred", action(1, &[], text(&["to"])).alias("moved"))]);
    run(&folder.file(), Mode::Update, &renamed).unwrap();
    let changed = linked([("transferred", action(2, &[], text(&["where"])).alias("moved"))]);
    let error = run(&folder.file(), Mode::Check, &changed).unwrap_err();
    let LockError::Broken { problems, .. } = error else { panic!("{error}") };
    let at: Vec<_> = problems.iter().map(|problem| problem.to_string().split(';').next().unwrap().to_owned()).collect();
    assert_eq!(at.len(), 4, "{at:?}");
    assert!(at[0].starts_with("`moved`") && at[3].starts_with("`transferred`"), "{at:?}");
    let upcast = linked([("transferred", action(2, &[1], text(&["where"])).alias("moved"))]);
    assert!(matches!(run(&folder.file(), Mode::Check, &upcast), Err(LockError::Outdated { .. })));
}

#[test]
fn an_alias_may_become_an_action_of_its_own_if_it_reads_what_is_stored() {
    let (folder, _) = change(&linked([("moved", action(1, &[], text(&["to"])))]), &linked([]));
    run(&folder.file(), Mode::Update, &linked([("sent", action(1, &[], text(&["to"])).alias("moved"))])).unwrap();
    let split =
        |fields: &[&str]| linked([("sent", action(1, &[], text(&["to"]))), ("moved", action(1, &[], text(fields)))]);
    let error = run(&folder.file(), Mode::Check, &split(&["from"])).unwrap_err();
    assert!(error.to_string().contains("`moved` of `issue` in log `events`, version 1: field `to` is gone"), "{error}");
    let error = run(&folder.file(), Mode::Check, &split(&["to"])).unwrap_err();
    assert!(error.to_string().contains("`moved` of `issue` in log `events` is an action of its own now"), "{error}");
}

#[test]
fn a_version_never_goes_back() {
    let before = linked([("moved", action(3, &[], text(&["to"])))]);
    let problems = broken(&before, &linked([("moved", action(2, &[], text(&["to"])))]));
    assert_eq!(
        problems,
        [format!(
            "{MOVED} was recorded as version 3, and is at version 2 now, which can't read those events; put `version = 3` back, or \
             go on to a later one"
        )]
    );
}

#[test]
fn an_upcast_stays_also_where_the_schemas_fit() {
    // Once euros, then cents: both integers.
    let before = linked([("moved", action(3, &[1, 2], text(&["to"])))]);
    let problems = broken(&before, &linked([("moved", action(3, &[2], text(&["to"])))]));
    assert_eq!(
        problems,
        [format!(
            "{MOVED}: the upcast from version 1 is gone, and events of that version are still stored; put `upcast(1 = ...)` back"
        )],
        "of a version that was before the file"
    );
}

#[test]
fn a_version_without_a_step_is_compared_with_the_one_it_is_read_as() {
    let number = object(json!({"to": {"type": "integer"}}), &["to"]);
    let optional = object(json!({"to": {"type": "string"}, "why": {"type": "string"}}), &["to"]);
    let (folder, _) = change(&linked([("moved", action(1, &[], text(&["to"])))]), &linked([]));
    run(&folder.file(), Mode::Update, &linked([("moved", action(2, &[], optional))])).unwrap();
    // 1 is read as 2, from which a step leads: its own schema need not fit the current one.
    let good = linked([("moved", action(3, &[2], number.clone()))]);
    assert_eq!(run(&folder.file(), Mode::Update, &good), Ok(()));
    // Without the step both do not fit; in the file there was one.
    let error = run(&folder.file(), Mode::Check, &linked([("moved", action(3, &[], number))])).unwrap_err();
    assert!(error.to_string().contains("the upcast from version 2 is gone"), "{error}");
    assert!(!error.to_string().contains("version 1:"), "1 fits 2, of which it was said: {error}");
}

#[test]
fn an_enum_that_moves_is_told_once() {
    let actions = || [("moved", action(1, &[], text(&["to"]))), ("closed", action(1, &[], text(&[])))];
    let before = linked(actions());
    let problems = broken(&before, &linked_as("events", "ticket", actions()));
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].contains("if they are those of `ticket` now, write `subject(..., name = \"issue\")`"),
        "{problems:?}"
    );
    let problems = broken(&before, &linked_as("issue_events", "issue", actions()));
    assert!(
        problems[0].contains("those of `issue` in log `issue_events` now, write `log = \"events\"` (or `table`"),
        "{problems:?}"
    );
    let problems = broken(&before, &linked_as("events", "user", [("deleted", action(1, &[], text(&[])))]));
    assert!(problems[0].contains("an enum that was moved or renamed keeps `log = \"events\"`"), "{problems:?}");
}

#[test]
fn an_inbox_that_is_renamed_needs_its_name() {
    let before = with_inboxes(linked([]), &["mail", "webhooks"]);
    let problems = broken(&before, &with_inboxes(linked([]), &["email", "webhooks", "zebra"]));
    assert_eq!(
        problems,
        [
            "inbox `mail` is gone, and its place in the logs, its retries and its dead letters are stored under that name; if it was \
          renamed to `email`, write `#[inbox(name = \"mail\")]` on it; if it was dropped for good, take it out of the file"
        ]
    );
    // Taken out by hand.
    let (folder, _) = change(&before, &before);
    fs::write(folder.file(), folder.text().replace("\"mail\",", "")).unwrap();
    assert_eq!(run(&folder.file(), Mode::Check, &with_inboxes(linked([]), &["webhooks"])), Ok(()));
}

#[test]
fn every_problem_is_told_at_once() {
    let before = with_inboxes(
        linked([("moved", action(2, &[], text(&["a", "b"]))), ("closed", action(1, &[], text(&[])))]),
        &["x"],
    );
    let after = with_inboxes(linked([("moved", action(1, &[], text(&[])))]), &[]);
    assert_eq!(broken(&before, &after).len(), 3);
    let (folder, result) = change(&before, &after);
    let shown = format!("{:?}", result.unwrap_err());
    assert!(
        shown.starts_with(&format!(
            "stored data would not survive what changed since {}:\n  - ",
            folder.file().display()
        ))
    );
    assert!(shown.ends_with("EVENTS_LOCK=accept takes all of it into the file as it is now."), "{shown}");
}

#[test]
fn accepting_forgets_what_does_not_fit_and_nothing_else() {
    let number = object(json!({"to": {"type": "integer"}}), &["to"]);
    let (folder, _) =
        change(&linked([("moved", action(1, &[], text(&["to"]))), ("closed", action(1, &[], text(&[])))]), &linked([]));
    let program = linked([("moved", action(2, &[], number.clone())), ("closed", action(1, &[], text(&[])))]);
    run(&folder.file(), Mode::Accept, &program).unwrap();
    let names = &folder.content()["events"]["events"]["issue"];
    assert_eq!(names["moved"]["versions"], json!([{"version": 2, "schema": number}]));
    assert_eq!(names["closed"]["versions"], json!([{"version": 1, "schema": text(&[])}]));
}

#[test]
fn a_file_that_is_damaged_or_newer_is_refused_and_left_alone() {
    let program = linked([("moved", action(1, &[], text(&["to"])))]);
    let (folder, _) = change(&program, &program);
    let good = folder.text();
    let twice = good.replace("\"versions\": [", "\"versions\": [{\"version\": 1},");
    for (bad, reason) in [
        ("".to_owned(), "EOF while parsing a value at line 1 column 0"),
        (good.replace("\"format\": 1", "<<<<<<< HEAD\n\"format\": 1"), "key must be a string at line 3"),
        (good[..good.len() / 2].to_owned(), "EOF"),
        ("[]".to_owned(), "invalid"),
        (
            good.replace("\"version\": 1", "\"version\": \"1\""),
            "events.events.issue.moved.versions[0].version: invalid type",
        ),
        (good.replace("\"version\": 1", "\"version\": 0"), "`moved` has a version 0"),
        (twice, "`moved` has version 1 twice"),
        (good.replace("\"upcast", "\"x").replace("\"versions\"", "\"verses\""), "unknown field `verses`"),
        (good.replace("\"format\": 1", "\"format\": 0"), "`format` is 0 and has to be 1"),
    ] {
        fs::write(folder.file(), &bad).unwrap();
        for mode in [Mode::Check, Mode::Update, Mode::Accept] {
            let error = run(&folder.file(), mode, &program).unwrap_err();
            assert!(matches!(error, LockError::Corrupt { .. }), "{error}");
            assert!(error.to_string().contains(reason), "{reason}: {error}");
        }
        assert_eq!(folder.text(), bad);
    }
    fs::write(folder.file(), r#"{"format": 2, "whatever": []}"#).unwrap();
    let error = run(&folder.file(), Mode::Accept, &program).unwrap_err();
    assert!(matches!(error, LockError::Newer { found: 2, known: 1, .. }), "{error}");
}

#[test]
fn what_the_system_refuses_is_a_typed_error_and_leaves_nothing_behind() {
    let folder = Folder::new();
    let program = linked([("moved", action(1, &[], text(&["to"])))]);
    let nowhere = folder.0.join("nowhere").join("events.lock");
    let error = run(&nowhere, Mode::Update, &program).unwrap_err();
    assert!(matches!(error, LockError::Io { what: "can't be written", .. }), "{error}");
    // A folder where the file should be.
    fs::create_dir(folder.file()).unwrap();
    let error = run(&folder.file(), Mode::Update, &program).unwrap_err();
    assert!(matches!(error, LockError::Io { what: "can't be read", .. }), "{error}");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
#[cfg(unix)]
fn a_link_to_the_file_stays_a_link() {
    let folder = Folder::new();
    let real = folder.0.join("real.lock");
    fs::write(&real, "{}").unwrap();
    fs::remove_file(&real).unwrap();
    run(&real, Mode::Update, &linked([])).unwrap();
    std::os::unix::fs::symlink(&real, folder.file()).unwrap();
    run(&folder.file(), Mode::Update, &linked([("moved", action(1, &[], text(&["to"])))])).unwrap();
    assert!(folder.file().symlink_metadata().unwrap().is_symlink());
    assert!(fs::read_to_string(real).unwrap().contains("\"moved\""));
}
