//! Inboxes that take several events in one call: `Vec<Event<_>>`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use behaviour::models::{AccountEvent, IssueEvent, issue};
use behaviour::seen::Seen;
use behaviour::{Kind, TestDb, on_every_database, statement};
use event_core::EventContext;
use event_core::dispatch::BuildError;
use event_core::storage::StorageErrorKind;
use event_sea_orm::TestKit;
use event_sea_orm::prelude::*;
use sea_orm::ConnectionTrait;

on_every_database! {
    a_call_takes_what_is_there_in_its_order
    its_effects_and_cursor_are_one
    in_a_transaction_the_one_that_fails_is_found_and_the_others_are_done_once
    without_a_transaction_only_the_one_that_fails_is_tried_again
    what_hangs_or_panics_or_can_not_be_read_is_found_too
    one_that_fails_is_tried_once_at_a_time
    a_snooze_holds_for_all
    filters_are_asked_per_event
    the_setting_bounds_a_call
    an_ordered_one_parks_behind_a_failure
    one_that_only_fails_is_paused
    an_error_that_is_swallowed_takes_no_other_event_along
    after_a_crash_what_was_in_flight_runs_alone
    every_logs_events_come_together
    what_it_records_names_no_cause_unless_it_says_so
    the_kit_runs_a_batch_of_one
    what_is_about_one_event_is_refused
}

/// What becomes of an event, by its id.
type Doing = Arc<Mutex<HashMap<i64, &'static str>>>;

#[derive(Clone, Default)]
struct Script(Doing);

impl Script {
    fn says(&self, id: i64, word: &'static str) {
        self.0.lock().unwrap().insert(id, word);
    }

    fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    fn word(&self, id: i64) -> Option<&'static str> {
        self.0.lock().unwrap().get(&id).copied()
    }

    /// Does what one of them says.
    async fn act<'a>(&self, events: impl IntoIterator<Item = &'a StoredEvent>) -> InboxResult {
        for event in events {
            match self.word(event.id()) {
                Some("fail") => return Err(InboxError::new("not today")),
                Some("never") => return Err(InboxError::new("not ever").no_retry()),
                Some("panic") => panic!("out of cheese"),
                Some("hang") => std::future::pending().await,
                Some("snooze") => return snoozed(chrono::Utc::now()),
                _ => {}
            }
        }
        handled()
    }
}

fn ids<'a>(events: impl IntoIterator<Item = &'a StoredEvent>) -> String {
    events.into_iter().map(|event| event.id().to_string()).collect::<Vec<_>>().join(" ")
}

fn stored(events: &[Event<IssueEvent>]) -> impl Iterator<Item = &StoredEvent> + Clone {
    events.iter().map(|event| &***event)
}

/// Writes them with one statement, then says what the script says.
#[inbox(on(Closed), retry(jitter = 0.0), timeout = "200ms")]
async fn project(
    events: Vec<Event<IssueEvent>>,
    txn: Txn<'_>,
    State(script): State<Script>,
    State(seen): State<Seen>,
) -> InboxResult {
    seen.note(ids(stored(&events)));
    let rows: Vec<_> = events.iter().map(|event| format!("({})", event.id())).collect();
    txn.execute_raw(statement(&txn, &format!("INSERT INTO effects (event) VALUES {}", rows.join(", ")), [])).await?;
    if events.iter().any(|event| script.word(event.id()) == Some("swallow")) {
        // On PostgreSQL the transaction can do nothing more.
        drop(txn.execute_unprepared("INSERT INTO nowhere VALUES (1)").await);
    }
    script.act(stored(&events)).await
}

#[inbox(on(Closed), ordered, retry(jitter = 0.0), pause(after = 3), timeout = "200ms")]
async fn gather(
    events: Vec<Event<IssueEvent>>,
    State(script): State<Script>,
    State(seen): State<Seen>,
    attempt: Attempt,
) -> InboxResult {
    seen.note(format!("{} #{}", ids(stored(&events)), attempt.number));
    script.act(stored(&events)).await
}

fn is_odd(event: &Event<IssueEvent>) -> bool {
    event.id() % 2 == 1
}

#[inbox(on(Closed), when = is_odd, batch = 3)]
async fn odd_ones(events: Vec<Event<IssueEvent>>, State(seen): State<Seen>) -> InboxResult {
    seen.note(ids(stored(&events)));
    handled()
}

#[inbox]
async fn everything(events: Vec<AnyEvent>, State(seen): State<Seen>) -> InboxResult {
    let lines: Vec<_> = events.iter().map(|event| format!("{}/{}", event.subject.kind, event.id())).collect();
    seen.note(lines.join(" "));
    handled()
}

#[inbox(on(Closed))]
async fn comments(events: Vec<Event<IssueEvent>>, txn: Txn<'_>) -> InboxResult {
    let last = events.last().map(|event| event.at.clone());
    let comment = IssueEvent::Commented { comment_id: 1 };
    comment.clone().on(1).by_system().save(&txn).await?;
    let caused = EventContext::new().caused_by(last.unwrap());
    event_core::with_context(caused, async { comment.on(1).by_system().save(&txn).await }).await?;
    handled()
}

#[inbox]
async fn of_one(_events: Vec<Event<IssueEvent>>, _issue: Option<Subject<issue::Model>>) -> InboxResult {
    handled()
}

/// What the macro can't see through.
type Issue = Event<IssueEvent>;

#[inbox(batch = 7)]
async fn hidden(_event: Issue) -> InboxResult {
    handled()
}

async fn kit(db: &TestDb, inbox: &'static str) -> (TestKit, Script, Seen) {
    db.sql("CREATE TABLE effects (event bigint NOT NULL)").await.unwrap();
    let (script, seen) = (Script::default(), Seen::default());
    let states = (script.clone(), seen.clone());
    let configure = |dispatcher: event_core::dispatch::Builder<_>| {
        dispatcher.state(states.0).state(states.1).only([inbox]).batch(4, Duration::from_secs(60))
    };
    (TestKit::new(&**db, configure).await.unwrap(), script, seen)
}

async fn record(db: &TestDb, subjects: impl IntoIterator<Item = i64>) {
    for subject in subjects {
        IssueEvent::Closed.on(subject).by_system().save(&**db).await.unwrap();
    }
}

/// The effects, sorted: `1 2 3`.
async fn effects(db: &TestDb) -> String {
    db.rows("SELECT event FROM effects ORDER BY event").await.join(" ")
}

async fn a_call_takes_what_is_there_in_its_order(db: &TestDb) {
    let (kit, _, seen) = kit(db, "project").await;
    record(db, [1; 10]).await;
    let report = kit.drain().await.unwrap();
    assert_eq!(seen.lines(), ["1 2 3 4", "5 6 7 8", "9 10"]);
    assert_eq!((effects(db).await.as_str(), report.total().handled), ("1 2 3 4 5 6 7 8 9 10", 10));
    assert!(db.number("SELECT saves FROM event_cursors").await <= 6, "never a save per event");
}

async fn its_effects_and_cursor_are_one(db: &TestDb) {
    let (kit, _, _) = kit(db, "project").await;
    record(db, [1; 3]).await;
    kit.drain().await.unwrap();
    record(db, [1; 3]).await;
    // A cursor that somebody moved under us: the batch is refused as a whole, and nothing of it stays.
    db.after_insert("effects", "thief", "UPDATE event_cursors SET saves = saves + 1").await;
    assert_eq!(kit.drain().await.unwrap_err().kind(), StorageErrorKind::Fenced);
    assert_eq!(effects(db).await, "1 2 3");
    db.drop_trigger("effects", "thief").await;
    kit.drain().await.unwrap();
    assert_eq!(effects(db).await, "1 2 3 4 5 6");
}

async fn in_a_transaction_the_one_that_fails_is_found_and_the_others_are_done_once(db: &TestDb) {
    let (kit, script, seen) = kit(db, "project").await;
    script.says(3, "fail");
    record(db, [1; 6]).await;
    let report = kit.drain().await.unwrap();
    assert_eq!(seen.take(), ["1 2 3 4", "1", "2", "3", "4", "5 6"]);
    assert_eq!(effects(db).await, "1 2 4 5 6");
    assert_eq!((report.total().handled, report.total().failed), (5, 1));
    assert_eq!(db.rows("SELECT event_id, attempts FROM event_failures").await, ["3 1"]);
    script.clear();
    kit.run_to_end().await.unwrap();
    assert_eq!((seen.lines(), effects(db).await.as_str()), (vec!["3".to_owned()], "1 2 3 4 5 6"));
    assert_eq!(db.number("SELECT count(*) FROM event_failures").await, 0);
}

async fn without_a_transaction_only_the_one_that_fails_is_tried_again(db: &TestDb) {
    let (kit, script, seen) = kit(db, "gather").await;
    script.says(3, "fail");
    record(db, [1, 2, 3, 4, 5]).await;
    kit.drain().await.unwrap();
    // The inbox is ordered: behind the failed one a new batch begins.
    assert_eq!(seen.take(), ["1 2 3 4 #1", "1 #1", "2 #1", "3 #1", "4 5 #1"]);
    assert_eq!(db.rows("SELECT event_id, attempts FROM event_failures").await, ["3 1"]);
    script.clear();
    kit.run_to_end().await.unwrap();
    assert_eq!(seen.lines(), ["3 #2"]);
    assert_eq!(db.number("SELECT count(*) FROM event_failures").await, 0);
}

async fn what_hangs_or_panics_or_can_not_be_read_is_found_too(db: &TestDb) {
    let (kit, script, seen) = kit(db, "project").await;
    script.says(2, "hang");
    script.says(6, "panic");
    record(db, [1; 10]).await;
    db.sql(
        "INSERT INTO events (subject_type, subject_id, action, version, metadata, occurred_at) \
            SELECT subject_type, subject_id, action, -1, metadata, occurred_at FROM events WHERE id = 1",
    )
    .await
    .unwrap();
    record(db, [1]).await;
    let report = kit.drain().await.unwrap();
    assert_eq!(effects(db).await, "1 3 4 5 7 8 9 10 12");
    assert_eq!((report.total().handled, report.total().failed), (9, 3));
    let rows = db.rows("SELECT event_id, kind FROM event_failures ORDER BY event_id").await;
    assert_eq!(rows, ["2 timeout", "6 panic", "11 undecodable"]);
    assert_eq!(seen.count("11"), 0, "no handler sees it");
}

async fn one_that_fails_is_tried_once_at_a_time(db: &TestDb) {
    let (kit, script, seen) = kit(db, "gather").await;
    script.says(1, "fail");
    record(db, [1]).await;
    kit.drain().await.unwrap();
    assert_eq!(seen.lines(), ["1 #1"], "a batch of one is an attempt like any");
    assert_eq!(db.rows("SELECT event_id, attempts FROM event_failures").await, ["1 1"]);
}

async fn a_snooze_holds_for_all(db: &TestDb) {
    let (kit, script, _) = kit(db, "project").await;
    for id in 1..=3 {
        script.says(id, "snooze");
    }
    record(db, [1; 3]).await;
    kit.drain().await.unwrap();
    assert_eq!(effects(db).await, "", "and undoes what was written");
    script.clear();
    let report = kit.run_to_end().await.unwrap();
    assert_eq!((effects(db).await.as_str(), report.total().failed), ("1 2 3", 0));
}

async fn filters_are_asked_per_event(db: &TestDb) {
    let (kit, _, seen) = kit(db, "odd_ones").await;
    record(db, 1..=7).await;
    let report = kit.drain().await.unwrap();
    assert_eq!(seen.lines(), ["1 3", "5", "7"], "of three at a time");
    assert_eq!((report.total().handled, report.total().skipped), (4, 3));
}

async fn the_setting_bounds_a_call(db: &TestDb) {
    let (kit, _, seen) = kit(db, "odd_ones").await;
    assert_eq!(odd_ones::descriptor().settings().batch, Some(3));
    record(db, [1; 9]).await;
    kit.drain().await.unwrap();
    assert_eq!(seen.lines(), ["1 3", "5", "7 9"]);
}

async fn an_ordered_one_parks_behind_a_failure(db: &TestDb) {
    let (kit, script, seen) = kit(db, "gather").await;
    script.says(2, "fail");
    record(db, [1, 2, 2, 1, 2]).await;
    kit.drain().await.unwrap();
    assert_eq!(seen.take(), ["1 2 3 4 #1", "1 #1", "2 #1", "4 #1"]);
    assert_eq!(
        db.rows("SELECT event_id FROM event_failures WHERE state = 'parked' ORDER BY event_id").await,
        ["3", "5"]
    );
    script.clear();
    kit.run_to_end().await.unwrap();
    assert_eq!(seen.lines(), ["2 #2", "3 #1", "5 #1"]);
}

async fn one_that_only_fails_is_paused(db: &TestDb) {
    let (kit, script, seen) = kit(db, "gather").await;
    for id in 1..=8 {
        script.says(id, "fail");
    }
    record(db, 1..=8).await;
    kit.drain().await.unwrap();
    assert_eq!(
        db.number("SELECT count(*) FROM event_failures WHERE state = 'retrying'").await,
        4,
        "three, and the probe"
    );
    assert!(!seen.lines().iter().any(|line| line.starts_with("5 6")), "{:?}", seen.lines());
    script.clear();
    kit.run_to_end().await.unwrap();
    assert_eq!(db.number("SELECT count(*) FROM event_failures").await, 0);
}

async fn an_error_that_is_swallowed_takes_no_other_event_along(db: &TestDb) {
    let (kit, script, _) = kit(db, "project").await;
    script.says(2, "swallow");
    record(db, [1; 4]).await;
    while kit.run_to_end().await.is_err() {}
    let dead: Vec<_> = kit.dead_letters().await.unwrap().iter().map(|letter| letter.key.event.id).collect();
    if db.kind() == Kind::Postgres {
        // A statement that fails is the end of its transaction there: what the handler wrote before can't be kept.
        assert_eq!((effects(db).await.as_str(), dead), ("1 3 4", vec![2]));
    } else {
        assert_eq!((effects(db).await.as_str(), dead), ("1 2 3 4", vec![]));
    }
}

async fn after_a_crash_what_was_in_flight_runs_alone(db: &TestDb) {
    let (kit, _, seen) = kit(db, "gather").await;
    record(db, 1..=7).await;
    kit.dispatcher().register().await.unwrap();
    // As a crash leaves it: read up to 1, and up to 4 may have been started.
    db.sql("UPDATE event_cursors SET high = 1, ceiling = 4, owner = 'dead', lease_until = NULL").await.unwrap();
    kit.drain().await.unwrap();
    assert_eq!(seen.lines(), ["2 #1", "3 #1", "4 #1", "5 #1", "6 7 #1"]);
    assert_eq!(db.number("SELECT count(*) FROM event_failures").await, 0);
}

async fn every_logs_events_come_together(db: &TestDb) {
    let (kit, _, seen) = kit(db, "everything").await;
    record(db, [1, 2]).await;
    AccountEvent::SignedIn.on(1).by_system().save(&**db).await.unwrap();
    kit.drain().await.unwrap();
    let mut all: Vec<_> =
        seen.lines().iter().flat_map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
    all.sort();
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all.iter().any(|event| event.starts_with("user/")) && all.contains(&"issue/1".to_owned()), "{all:?}");
}

async fn what_it_records_names_no_cause_unless_it_says_so(db: &TestDb) {
    let (kit, _, _) = kit(db, "comments").await;
    record(db, [1, 1]).await;
    kit.drain().await.unwrap();
    let recorded: Vec<_> =
        kit.recorded::<IssueEvent>().await.into_iter().filter(|event| event.action == "commented").collect();
    let inbox = |event: &StoredEvent| event.context.as_ref().and_then(|facts| facts.get("inbox").cloned());
    let facts: Vec<_> = recorded.iter().map(|event| (event.causation.clone(), inbox(event))).collect();
    assert_eq!(facts.len(), 2);
    assert!(facts.iter().all(|(_, inbox)| inbox.as_ref().is_some_and(|inbox| inbox == "comments")), "{facts:?}");
    assert!(facts.iter().any(|(cause, _)| cause.is_none()), "{facts:?}");
    assert!(facts.iter().any(|(cause, _)| cause.as_ref().is_some_and(|cause| cause.id == 2)), "{facts:?}");
}

async fn the_kit_runs_a_batch_of_one(db: &TestDb) {
    let (kit, script, _) = kit(db, "project").await;
    script.says(1, "fail");
    assert!(kit.process::<project>(IssueEvent::Closed.on(1)).await.unwrap().failure().is_some());
    assert_eq!(effects(db).await, "");
    script.clear();
    assert!(kit.process::<project>(IssueEvent::Closed.on(1)).await.unwrap().is_handled());
    assert_eq!(effects(db).await, "1");
}

async fn what_is_about_one_event_is_refused(db: &TestDb) {
    let errors = Dispatcher::builder(&**db).only(["of_one", "hidden"]).build().unwrap_err();
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert!(
        errors.iter().any(|error| matches!(error, BuildError::BatchAndOneEvent { inbox: "of_one", .. })),
        "{texts:?}"
    );
    assert!(errors.iter().any(|error| matches!(error, BuildError::BadSetting { inbox: "hidden", .. })), "{texts:?}");
    assert!(texts.iter().any(|text| text.contains("take `Vec<Event<YourEvent>>`")), "{texts:?}");
}
