//! A rolling deployment: an old program has the inboxes while a new one records what the old one does not know.
//!
//! The old program is this one with some actions forgotten (`forget_action`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use behaviour::models::{AccountEvent, IssueEvent, PageEvent};
use behaviour::raw::RawEvent;
use behaviour::seen::Seen;
use behaviour::worker::{Worker, until};
use behaviour::{TestDb, on_every_database};
use event_core::Clock;
use event_core::dispatch::Builder;
use event_sea_orm::SeaStorage;
use event_sea_orm::prelude::*;

on_every_database! {
    what_the_old_program_does_not_know_waits_for_the_new_one
    it_waits_through_restarts_and_is_delivered_by_a_running_worker
    what_the_new_program_knows_and_does_not_take_goes_silently
    an_unknown_subject_waits_too
    a_newer_version_waits_without_an_attempt
    an_ordered_inbox_keeps_its_order
    a_paused_inbox_keeps_it_too
    a_retry_of_the_new_program_waits_in_the_old_one
    what_another_program_handles_is_passed_over
    the_log_names_each_unknown_action_once
}

/// The events that fail, by id, and how often they still do.
#[derive(Clone, Default)]
struct Fails(Arc<Mutex<HashMap<i64, u32>>>);

impl Fails {
    fn at(self, id: i64, times: u32) -> Self {
        self.0.lock().unwrap().insert(id, times);
        self
    }

    fn act(&self, seen: &Seen, event: &StoredEvent, attempt: u32) -> InboxResult {
        seen.note(format!("{} {} #{attempt}", event.id(), event.action));
        match self.0.lock().unwrap().get_mut(&event.id()) {
            Some(times) if *times > 0 => {
                *times -= 1;
                Err(InboxError::new("fails"))
            }
            _ => handled(),
        }
    }
}

#[inbox(on(Created, Closed), retry(jitter = 0.0), concurrency = 1)]
async fn some(
    event: Event<IssueEvent>,
    State(seen): State<Seen>,
    fails: State<Fails>,
    attempt: Attempt,
) -> InboxResult {
    fails.0.act(&seen, &event, attempt.number)
}

#[inbox(concurrency = 1)]
async fn all(event: Event<IssueEvent>, State(seen): State<Seen>, fails: State<Fails>, attempt: Attempt) -> InboxResult {
    fails.0.act(&seen, &event, attempt.number)
}

#[inbox(on(IssueEvent::Created, IssueEvent::Closed), concurrency = 1)]
async fn untyped(event: AnyEvent, State(seen): State<Seen>, fails: State<Fails>, attempt: Attempt) -> InboxResult {
    fails.0.act(&seen, &event, attempt.number)
}

#[inbox(on(Created, Closed))]
async fn exact(
    event: Event<IssueEvent>,
    _txn: Txn<'_>,
    State(seen): State<Seen>,
    fails: State<Fails>,
    attempt: Attempt,
) -> InboxResult {
    fails.0.act(&seen, &event, attempt.number)
}

#[inbox(on(Created, Closed))]
async fn batches(events: Vec<Event<IssueEvent>>, State(seen): State<Seen>, State(fails): State<Fails>) -> InboxResult {
    for event in &events {
        fails.act(&seen, event, 1)?;
    }
    handled()
}

#[inbox(on(Created, Closed, Commented), ordered, retry(jitter = 0.0), pause(after = 2))]
async fn ordered(
    event: Event<IssueEvent>,
    State(seen): State<Seen>,
    fails: State<Fails>,
    attempt: Attempt,
) -> InboxResult {
    fails.0.act(&seen, &event, attempt.number)
}

#[inbox(on(Created, Closed, Commented), ordered, retry(jitter = 0.0))]
async fn ordered_exact(
    event: Event<IssueEvent>,
    _txn: Txn<'_>,
    State(seen): State<Seen>,
    fails: State<Fails>,
    attempt: Attempt,
) -> InboxResult {
    fails.0.act(&seen, &event, attempt.number)
}

/// Takes nothing of what the others do.
#[inbox(on(Commented))]
async fn comments(event: Event<IssueEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note(format!("{} {}", event.id(), event.action));
    handled()
}

struct Programs {
    seen: Seen,
    fails: Fails,
    clock: Clock,
}

impl Programs {
    fn new() -> Self {
        Self { seen: Seen::default(), fails: Fails::default(), clock: Clock::manual(chrono::Utc::now()) }
    }

    fn new_one(&self, db: &TestDb, inbox: &str) -> Builder<SeaStorage> {
        let builder = Dispatcher::builder(&**db).state(self.seen.clone()).state(self.fails.clone());
        builder.clock(self.clock.clone()).only([inbox])
    }

    /// Does not know that issues are closed.
    fn old_one(&self, db: &TestDb, inbox: &str) -> Builder<SeaStorage> {
        self.new_one(db, inbox).forget_action("issue", "closed")
    }
}

async fn record(db: &TestDb, events: impl IntoIterator<Item = (i64, IssueEvent)>) {
    for (subject, event) in events {
        event.on(subject).by_system().save(&**db).await.unwrap();
    }
}

/// `state attempts` of each failure row, by event.
async fn rows(db: &TestDb) -> Vec<String> {
    db.rows("SELECT event_id, state, attempts FROM event_failures ORDER BY event_id").await
}

fn comment(comment_id: i64) -> IssueEvent {
    IssueEvent::Commented { comment_id }
}

async fn what_the_old_program_does_not_know_waits_for_the_new_one(db: &TestDb) {
    let mut last = 0;
    for inbox in ["some", "all", "untyped", "exact", "batches", "ordered", "ordered_exact"] {
        let programs = Programs::new();
        let old = programs.old_one(db, inbox).build().unwrap();
        let new = programs.new_one(db, inbox).build().unwrap();
        old.register().await.unwrap();
        let subjects = [(1, IssueEvent::Created), (2, IssueEvent::Closed), (3, IssueEvent::Created)];
        record(db, subjects).await;
        let (first, closed, third) = (last + 1, last + 2, last + 3);
        last = third;
        let report = old.drain().await.unwrap();
        assert_eq!(programs.seen.take(), [format!("{first} created #1"), format!("{third} created #1")], "{inbox}");
        let total = report.total();
        assert_eq!((total.waiting, total.failed, total.dead), (1, 0, 0), "{inbox}");
        assert!(report.complete);
        assert_eq!(rows(db).await, [format!("{closed} waiting 0")], "{inbox}");
        assert_eq!(old.dead_letters().newest().await.unwrap(), [], "{inbox}: it is not dead");
        programs.clock.advance(Duration::from_secs(100_000));
        assert_eq!(old.drain().await.unwrap().total().waiting, 0, "{inbox}: it is not looked at again");
        new.drain().await.unwrap();
        assert_eq!(programs.seen.take(), [format!("{closed} closed #1")], "{inbox}: its first attempt");
        assert_eq!(rows(db).await, [""; 0], "{inbox}");
        assert_eq!(new.drain().await.unwrap().total().handled, 0, "{inbox}");
    }
}

async fn it_waits_through_restarts_and_is_delivered_by_a_running_worker(db: &TestDb) {
    let programs = Programs::new();
    programs.old_one(db, "some").build().unwrap().register().await.unwrap();
    for _ in 0..3 {
        let old = Worker::start(programs.old_one(db, "some").build().unwrap());
        record(db, [(1, IssueEvent::Closed), (2, IssueEvent::Created)]).await;
        programs.seen.wait_for(1).await;
        assert_eq!(programs.seen.take().len(), 1);
        old.stop().await;
    }
    assert_eq!(rows(db).await, ["1 waiting 0", "3 waiting 0", "5 waiting 0"]);
    let new = Worker::start(programs.new_one(db, "some").build().unwrap());
    programs.seen.wait_for(3).await;
    until("no row is left", async || rows(db).await.is_empty()).await;
    assert_eq!(programs.seen.take(), ["1 closed #1", "3 closed #1", "5 closed #1"]);
    new.stop().await;
}

async fn what_the_new_program_knows_and_does_not_take_goes_silently(db: &TestDb) {
    let programs = Programs::new();
    let old = programs.old_one(db, "comments").build().unwrap();
    old.register().await.unwrap();
    record(db, [(1, IssueEvent::Closed), (1, comment(1))]).await;
    old.drain().await.unwrap();
    assert_eq!(
        (programs.seen.take(), rows(db).await),
        (vec!["2 commented".to_owned()], vec!["1 waiting 0".to_owned()])
    );
    let report = programs.new_one(db, "comments").build().unwrap().drain().await.unwrap();
    assert_eq!((report.total(), rows(db).await.len()), (Default::default(), 0));
    assert_eq!(programs.seen.take(), [""; 0]);
}

async fn an_unknown_subject_waits_too(db: &TestDb) {
    let programs = Programs::new();
    let old =
        || programs.new_one(db, "some").forget_action("wiki_page", "created").forget_action("wiki_page", "edited");
    old().build().unwrap().register().await.unwrap();
    PageEvent::Created.on("start").by_system().save(&**db).await.unwrap();
    AccountEvent::SignedIn.on(1).by_system().save(&**db).await.unwrap();
    record(db, [(1, IssueEvent::Created)]).await;
    assert_eq!(old().build().unwrap().drain().await.unwrap().total().waiting, 1, "of the log that it reads");
    assert_eq!(programs.seen.take(), ["2 created #1"]);
    assert_eq!(db.rows("SELECT subject_type, state FROM event_failures").await, ["wiki_page waiting"]);
    programs.new_one(db, "some").build().unwrap().drain().await.unwrap();
    assert_eq!((programs.seen.take().len(), rows(db).await.len()), (0, 0), "pages are not what the inbox takes");
}

async fn a_newer_version_waits_without_an_attempt(db: &TestDb) {
    for (nth, inbox) in ["some", "exact", "batches"].into_iter().enumerate() {
        let programs = Programs::new();
        let dispatcher = programs.new_one(db, inbox).build().unwrap();
        dispatcher.register().await.unwrap();
        RawEvent::of("closed", 9, "{}").write(db).await.unwrap();
        for _ in 0..3 {
            // Each drain claims the inbox, and looks whether the program can read it by now.
            let report = dispatcher.drain().await.unwrap();
            assert_eq!((report.total().failed, report.complete), (0, true), "{inbox}");
        }
        assert_eq!(rows(db).await[nth], format!("{} waiting 0", nth + 1), "{inbox}");
        let error = db.text(&format!("SELECT error FROM event_failures WHERE inbox = '{inbox}'")).await;
        assert!(error.contains("action `closed` of subject `issue`") && error.contains("up to version 1"), "{error}");
        assert!(error.contains("version 9"), "{error}");
        // Versions of what the inbox passes over do not matter.
        assert_eq!((programs.seen.take().len(), dispatcher.dead_letters().newest().await.unwrap().len()), (0, 0));
    }
    let programs = Programs::new();
    let untyped = programs.new_one(db, "untyped").build().unwrap();
    untyped.register().await.unwrap();
    RawEvent::of("closed", 9, "{}").write(db).await.unwrap();
    assert_eq!(untyped.drain().await.unwrap().total().handled, 1, "an inbox of `AnyEvent` decodes nothing");
}

async fn an_ordered_inbox_keeps_its_order(db: &TestDb) {
    let mut last = 0;
    for inbox in ["ordered", "ordered_exact"] {
        let programs = Programs::new();
        let old = programs.old_one(db, inbox).build().unwrap();
        old.register().await.unwrap();
        let at = |nth: i64| last + nth;
        record(db, [(1, IssueEvent::Created), (1, IssueEvent::Closed), (1, comment(1)), (2, comment(2))]).await;
        // One behind an event that fails, and that is not over when the new program comes.
        record(db, [(3, IssueEvent::Created), (3, IssueEvent::Closed), (3, comment(3))]).await;
        // In a transaction the batch is tried first, and then each event.
        let _fails = programs.fails.clone().at(at(5), if inbox == "ordered" { 1 } else { 2 });
        old.drain().await.unwrap();
        let mut seen = programs.seen.take();
        seen.sort();
        seen.dedup();
        let (first, fourth, fifth) = (at(1), at(4), at(5));
        let expected = [format!("{first} created #1"), format!("{fourth} commented #1"), format!("{fifth} created #1")];
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(seen, expected, "{inbox}");
        assert_eq!(
            rows(db).await,
            [(2, "waiting 0"), (3, "parked 0"), (5, "retrying 1"), (6, "parked 0"), (7, "parked 0")]
                .map(|(nth, row)| format!("{} {row}", at(nth))),
            "{inbox}"
        );
        let new = programs.new_one(db, inbox).build().unwrap();
        new.drain().await.unwrap();
        assert_eq!(
            programs.seen.take(),
            [format!("{} closed #1", at(2)), format!("{} commented #1", at(3))],
            "{inbox}"
        );
        programs.clock.advance(Duration::from_secs(60));
        // The old one has it for a while: what was parked comes to be unknown.
        old.drain().await.unwrap();
        assert_eq!(programs.seen.take(), [format!("{} created #2", at(5))], "{inbox}");
        assert_eq!(rows(db).await, [format!("{} waiting 0", at(6)), format!("{} parked 0", at(7))], "{inbox}");
        new.drain().await.unwrap();
        assert_eq!(
            programs.seen.take(),
            [format!("{} closed #1", at(6)), format!("{} commented #1", at(7))],
            "{inbox}"
        );
        assert_eq!(rows(db).await, [""; 0], "{inbox}");
        last += 7;
    }
}

async fn a_paused_inbox_keeps_it_too(db: &TestDb) {
    let programs = Programs::new();
    let old = programs.old_one(db, "ordered").build().unwrap();
    old.register().await.unwrap();
    let _fails = programs.fails.clone().at(1, 9).at(2, 9);
    record(db, [(1, IssueEvent::Created), (2, IssueEvent::Created)]).await;
    old.drain().await.unwrap();
    record(db, [(3, IssueEvent::Closed), (4, IssueEvent::Created)]).await;
    programs.seen.take();
    for _ in 0..3 {
        programs.clock.advance(Duration::from_secs(300));
        old.drain().await.unwrap();
    }
    assert!(programs.seen.take().contains(&"4 created #1".to_owned()), "it was no probe");
    assert!(rows(db).await.contains(&"3 waiting 0".to_owned()), "{:?}", rows(db).await);
    programs.fails.0.lock().unwrap().clear();
    programs.new_one(db, "ordered").build().unwrap().drain().await.unwrap();
    assert!(programs.seen.take().contains(&"3 closed #1".to_owned()));
}

async fn a_retry_of_the_new_program_waits_in_the_old_one(db: &TestDb) {
    let programs = Programs::new();
    let (old, new) = (programs.old_one(db, "some").build().unwrap(), programs.new_one(db, "some").build().unwrap());
    new.register().await.unwrap();
    let _fails = programs.fails.clone().at(1, 1);
    record(db, [(1, IssueEvent::Closed)]).await;
    new.drain().await.unwrap();
    programs.clock.advance(Duration::from_secs(60));
    assert_eq!(old.drain().await.unwrap().total().waiting, 1);
    assert_eq!(rows(db).await, ["1 waiting 1"], "the attempt that it had stays counted");
    new.drain().await.unwrap();
    assert_eq!((programs.seen.take(), rows(db).await.len()), (vec!["1 closed #1".into(), "1 closed #2".into()], 0));
    // So does a dead letter that an operator retries in the wrong program.
    let _fails = programs.fails.clone().at(2, 99);
    record(db, [(1, IssueEvent::Closed)]).await;
    for _ in 0..12 {
        new.drain().await.unwrap();
        programs.clock.advance(Duration::from_secs(100_000));
    }
    let dead = old.dead_letters().newest().await.unwrap().remove(0);
    programs.fails.0.lock().unwrap().clear();
    assert!(old.dead_letters().retry(&dead).await.unwrap());
    old.drain().await.unwrap();
    assert_eq!(rows(db).await, ["2 waiting 0"]);
    programs.seen.take();
    new.drain().await.unwrap();
    assert_eq!((programs.seen.take(), rows(db).await.len()), (vec!["2 closed #1".into()], 0));
}

async fn what_another_program_handles_is_passed_over(db: &TestDb) {
    let programs = Programs::new();
    let dispatcher = programs.new_one(db, "some").build().unwrap();
    dispatcher.register().await.unwrap();
    for _ in 0..2 {
        RawEvent::of("paid", 1, "{}").of_subject("invoice").write(db).await.unwrap();
    }
    assert_eq!(dispatcher.drain().await.unwrap().total().waiting, 2);
    let told = programs.new_one(db, "some").foreign_subjects(["invoice"]).build().unwrap();
    told.drain().await.unwrap();
    assert_eq!(rows(db).await, [""; 0], "those that waited go");
    RawEvent::of("paid", 1, "{}").of_subject("invoice").write(db).await.unwrap();
    told.drain().await.unwrap();
    assert_eq!((rows(db).await.len(), programs.seen.take().len()), (0, 0));
}

async fn the_log_names_each_unknown_action_once(db: &TestDb) {
    let (programs, told) = (Programs::new(), Seen::default());
    let old = programs.old_one(db, "some").build().unwrap();
    old.register().await.unwrap();
    let worker = Worker::start_telling(old, &told);
    RawEvent::of("paid", 1, "{}").of_subject("invoice").write(db).await.unwrap();
    record(db, (0..5).map(|subject| (subject, IssueEvent::Closed))).await;
    record(db, [(1, IssueEvent::Created)]).await;
    programs.seen.wait_for(1).await;
    worker.stop().await;
    let lines: Vec<_> = told.lines().into_iter().filter(|line| line.contains("this program does not know")).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("subject=\"invoice\"") && lines[1].contains("action=\"closed\""), "{lines:?}");
}
