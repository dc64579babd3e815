//! The program as its user sees it: the built binary, in a directory of its own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Run {
    /// The last line.
    fn done(&self) -> Value {
        let last = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|_| panic!("no JSON in the last line: {self}"))
    }

    /// The lines of a section, trimmed.
    fn section(&self, title: &str) -> Vec<&str> {
        let lines = self.stdout.lines().skip_while(|line| line.strip_suffix(':') != Some(title)).skip(1);
        lines.take_while(|line| !line.is_empty()).map(str::trim).collect()
    }

    /// The sentences of the feed, without their times.
    fn feed(&self) -> Vec<&str> {
        self.section("feed, newest first").into_iter().map(|line| line.split_once("  ").unwrap().1).collect()
    }

    fn count(&self, action: &str) -> Option<u64> {
        let line = self.section("actions").into_iter().find(|line| line.ends_with(&format!("  {action}")))?;
        line.split_whitespace().next()?.parse().ok()
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "code {:?}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// The program in that directory, with the default database.
fn run(dir: &TempDir, arguments: &[&str]) -> Run {
    let program = env!("CARGO_BIN_EXE_github-activity");
    let output = Command::new(program).args(arguments).current_dir(dir.path()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn fixture(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", name].iter().collect();
    path.to_str().unwrap().to_owned()
}

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn databases(dir: &TempDir) -> usize {
    std::fs::read_dir(dir.path())
        .unwrap()
        .filter(|file| file.as_ref().unwrap().path().extension() == Some("db".as_ref()))
        .count()
}

fn ends_on(run: &Run, done: Value) {
    assert_eq!(run.done(), done, "{run}");
}

#[test]
fn payloads_become_sentences_counts_and_an_index() {
    let dir = dir();
    let run = run(&dir, &[&fixture("activity.json")]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run}");
    // Handled: each once by `count_actions`, opened, assigned, closed and commented by a notifier, 4 by `index_labels`.
    let done = json!({"recorded": 11, "already_recorded": 1, "skipped": 3, "handled": 11 + 4 + 4, "dead": 0});
    ends_on(&run, done);
    assert_eq!(
        run.feed(),
        [
            // A member is added at no time that GitHub would tell: now.
            "ada added grace to ada/house",
            "grace starred ada/house",
            "grace forked ada/house to grace/house",
            "grace commented on The door sticks: Oil [31mhelped",
            "grace closed The door sticks",
            "ada assigned grace to The door sticks",
            "ada removed the label paint from The door sticks",
            "ada labeled The door sticks as paint",
            "ada labeled No light as bug",
            "ada labeled The door sticks as bug",
            "ada opened The door sticks",
        ],
        "{run}"
    );
    assert_eq!(run.section("feed, newest first")[1], "2024-01-02 13:00:00  grace starred ada/house");
    assert_eq!(
        run.section("notifications"),
        [
            "ada opened The door sticks",
            "ada assigned grace to The door sticks",
            "grace closed The door sticks",
            "grace commented on The door sticks: Oil [31mhelped",
        ],
        "{run}"
    );
    assert_eq!(run.count("issue.labeled"), Some(3), "{run}");
    assert_eq!(run.count("repository.starred"), Some(1), "{run}");
    assert_eq!(run.section("actions").len(), 9, "{run}");
    assert_eq!(run.section("issues by label"), ["2  bug"], "{run}");
    assert_eq!(run.section("skipped payloads"), ["2  deployment", "1  issues.typed"], "{run}");
    assert_eq!(run.section("dead letters"), ["none"], "{run}");
    assert!(dir.path().join("github-activity.db").exists());
}

#[test]
fn the_same_payload_is_recorded_and_handled_once() {
    let dir = dir();
    let first = run(&dir, &[&fixture("activity.json")]);
    let second = run(&dir, &[&fixture("activity.json")]);
    assert_eq!(second.code, Some(0), "{second}");
    ends_on(&second, json!({"recorded": 0, "already_recorded": 12, "skipped": 3, "handled": 0, "dead": 0}));
    for section in ["feed, newest first", "actions", "issues by label", "skipped payloads"] {
        assert_eq!(first.section(section), second.section(section));
    }
    assert_eq!(second.section("notifications"), ["none"], "nobody is told twice: {second}");
}

#[test]
fn a_redelivered_payload_does_not_bring_old_state_back() {
    let dir = dir();
    let file = |title: &str, time: &str| {
        let issue =
            json!({"id": 1, "number": 1, "title": title, "state": "open", "updated_at": time, "closed_at": null});
        let (sender, repository) =
            (json!({"id": 2, "login": "ada"}), json!({"id": 3, "full_name": "a/b", "private": true}));
        let payload = json!({"action": "edited", "issue": issue, "sender": sender, "repository": repository});
        let path = dir.path().join(format!("{title}.json"));
        std::fs::write(&path, json!([{"name": "issues", "examples": [payload]}]).to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (old, new) = (file("old", "2024-01-01T00:00:00Z"), file("new", "2024-01-02T00:00:00Z"));
    run(&dir, &[&old]);
    run(&dir, &[&new]);
    let again = run(&dir, &[&old]);
    assert_eq!(again.feed(), ["ada edited new", "ada edited new"], "{again}");
}

#[test]
fn a_missing_file_is_named_and_makes_no_database() {
    let dir = dir();
    let run = run(&dir, &["no-such-file.json"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run}");
    assert!(run.stderr.contains("no-such-file.json: can't be read: No such file or directory"), "{run}");
    assert_eq!(databases(&dir), 0);
}

#[test]
fn a_directory_and_no_file_at_all_are_wrong_usage() {
    let dir = dir();
    let directory = run(&dir, &["."]);
    assert_eq!(directory.code, Some(2), "{directory}");
    assert!(directory.stderr.contains(".: can't be read: Is a directory"), "{directory}");
    let nothing = run(&dir, &[]);
    assert_eq!(nothing.code, Some(2), "{nothing}");
    assert!(nothing.stderr.contains("<FILE>"), "{nothing}");
}

#[test]
fn what_came_before_a_cut_stays_recorded() {
    let dir = dir();
    let whole = std::fs::read_to_string(fixture("activity.json")).unwrap();
    // In the middle of the first webhook's sixth payload.
    let (start, _) = whole.split_once("\"grace\"").unwrap();
    std::fs::write(dir.path().join("cut.json"), start).unwrap();
    let cut = run(&dir, &["cut.json"]);
    assert_eq!(cut.code, Some(3), "{cut}");
    let lines = start.lines().count();
    let expected = format!("cut.json: is cut off: EOF while parsing a value at line {lines} column ");
    assert!(cut.stderr.contains(&expected), "{expected}\n{cut}");
    ends_on(&cut, json!({"recorded": 5, "already_recorded": 0, "skipped": 0, "handled": 10, "dead": 0}));

    let whole = run(&dir, &[&fixture("activity.json")]);
    ends_on(&whole, json!({"recorded": 6, "already_recorded": 6, "skipped": 3, "handled": 9, "dead": 0}));
}

#[test]
fn what_is_no_json_or_no_list_of_webhooks_is_said_with_line_and_column() {
    let dir = dir();
    for (text, says) in [
        ("", "is cut off: EOF while parsing a value at line 1 column 0"),
        ("[\n  nonsense", "is no JSON: expected ident at line 2 column 4"),
        ("{\"name\": 1}", "is no list of webhooks with their examples: invalid type: map, expected a list of webhooks"),
        ("[{\"name\": \"star\"}]", "missing field `examples` at line 1 column 17"),
        ("[{\"examples\": []}]", "missing field `name` at line 1 column 17"),
        ("[] []", "is no JSON: trailing characters at line 1 column 4"),
    ] {
        std::fs::write(dir.path().join("bad.json"), text).unwrap();
        let run = run(&dir, &["bad.json"]);
        assert_eq!(run.code, Some(3), "{run}");
        assert!(run.stderr.contains(says), "{says}\n{run}");
        ends_on(&run, json!({"recorded": 0, "already_recorded": 0, "skipped": 0, "handled": 0, "dead": 0}));
    }
}

#[test]
fn a_payload_without_its_subject_is_named_and_ends_the_reading() {
    let dir = dir();
    let run = run(&dir, &[&fixture("no-subject.json")]);
    assert_eq!(run.code, Some(3), "{run}");
    let says = "no-subject.json: payload [1].examples[0] (`issues.reopened`): `issue` is missing";
    assert!(run.stderr.contains(says), "{run}");
    ends_on(&run, json!({"recorded": 1, "already_recorded": 0, "skipped": 0, "handled": 1, "dead": 0}));
    assert_eq!(run.feed(), ["grace starred ada/house"], "{run}");
}

#[test]
fn a_payload_with_something_in_another_form_is_named_without_its_texts() {
    let dir = dir();
    let star = |time: &str, id: Value| {
        let (sender, repository) =
            (json!({"id": 2, "login": "ada"}), json!({"id": id, "full_name": "a/b", "private": true}));
        json!({"action": "created", "starred_at": time, "sender": sender, "repository": repository})
    };
    for (payload, says) in [
        (star("2024-01-01T00:00:00Z", json!("a secret")), "(`star.created`): `repository.id` is not i64"),
        (star("yesterday", json!(3)), "(`star.created`): `starred_at` can't be read: "),
        (star("+12024-01-01T00:00:00Z", json!(3)), "(`star.created`) can't be recorded: "),
        (json!({"action": 1}), "(`star`): `action` is no text"),
        (json!("a secret"), "(`star`): `action` is missing"),
    ] {
        let file = json!([{"name": "star", "examples": [payload]}]).to_string();
        std::fs::write(dir.path().join("form.json"), file).unwrap();
        let run = run(&dir, &["form.json"]);
        assert_eq!(run.code, Some(3), "{run}");
        assert!(run.stderr.contains("payload [0].examples[0] ") && run.stderr.contains(says), "{says}\n{run}");
        assert!(!run.stderr.contains("secret"), "{run}");
        assert_eq!(run.done()["recorded"], 0, "{run}");
    }
}

#[test]
fn a_bad_database_is_said_without_its_password() {
    let dir = dir();
    let file = fixture("activity.json");
    let other = run(&dir, &["--database", "postgres://ada:s3cret@localhost/x", &file]);
    assert_eq!((other.code, other.stdout.as_str()), (Some(4), ""), "{other}");
    assert!(other.stderr.contains("--database: only SQLite is supported here"), "{other}");
    assert!(!other.stderr.contains("s3cret"), "{other}");

    let nowhere = run(&dir, &["--database", "sqlite://no/such/directory/a.db?mode=rwc", &file]);
    assert_eq!((nowhere.code, nowhere.stdout.as_str()), (Some(4), ""), "{nowhere}");
    assert!(nowhere.stderr.contains("--database: can't be opened"), "{nowhere}");
    assert_eq!(databases(&dir), 0);

    std::fs::write(dir.path().join("text.sqlite"), "this is no database, but it is long enough to be looked at")
        .unwrap();
    let text = run(&dir, &["--database", "sqlite://text.sqlite", &file]);
    assert_eq!(text.code, Some(4), "{text}");
    assert!(text.stderr.contains("file is not a database"), "{text}");
}

#[test]
fn the_database_is_the_one_that_is_named() {
    let dir = dir();
    let run = run(&dir, &["--database", "sqlite://mine.db?mode=rwc", &fixture("no-subject.json")]);
    assert_eq!(run.done()["recorded"], 1, "{run}");
    assert!(dir.path().join("mine.db").exists() && databases(&dir) == 1);
}

/// GitHub's own payloads; not committed, since they are not ours. The figures are counted in the file itself by jq:
/// `jq '.[] | select(.name == "issues") | .examples | group_by(.action) | map({(.[0].action): length}) | add'`.
#[test]
fn the_real_file() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/github-webhooks.json");
    if !file.exists() {
        eprintln!("skipped: there is no {}", file.display());
        return;
    }
    let dir = dir();
    let file = file.to_str().unwrap();
    let first = run(&dir, &[file]);
    assert_eq!((first.code, first.stderr.as_str()), (Some(0), ""), "{first}");
    // 72 payloads, all different; 12 notifications and 8 payloads that the label index looks at.
    ends_on(&first, json!({"recorded": 72, "already_recorded": 0, "skipped": 0, "handled": 72 + 12 + 8, "dead": 0}));
    for (action, payloads) in [
        ("issue.opened", 4),
        ("issue.edited", 3),
        ("issue.assigned", 3),
        ("issue.transferred", 1),
        ("comment.created", 5),
        ("label.created", 3),
        ("milestone.closed", 2),
        ("repository.publicized", 3),
        ("repository.forked", 3),
        ("member.added", 3),
        ("repository.starred", 2),
        ("repository.unstarred", 1),
    ] {
        assert_eq!(first.count(action), Some(payloads), "{action}\n{first}");
    }
    assert_eq!(first.count("issue.closed"), None, "{first}");
    let feed = first.section("feed, newest first");
    assert_eq!(feed.len(), 72, "{first}");
    for (line, times) in [
        ("2019-10-25 22:46:30  Codertocat transferred Update package.json to Codertocat/Hello-World", 1),
        ("2019-05-15 15:20:42  Octocoders forked Codertocat/Hello-World to Octocoders/Hello-World", 3),
        ("2019-05-15 15:20:40  Codertocat starred Codertocat/Hello-World", 2),
        ("2019-05-15 15:20:26  Codertocat removed the label bug from Spelling error in the README file", 2),
        ("2019-05-15 15:20:18  Codertocat assigned Codertocat to Spelling error in the README file", 3),
    ] {
        assert_eq!(feed.iter().filter(|entry| **entry == line).count(), times, "{line}\n{first}");
    }
    // What was labeled is unlabeled later in the file.
    assert_eq!(first.section("issues by label"), ["none"], "{first}");

    let second = run(&dir, &[file]);
    ends_on(&second, json!({"recorded": 0, "already_recorded": 72, "skipped": 0, "handled": 0, "dead": 0}));
    assert_eq!(second.section("feed, newest first"), feed);
}
