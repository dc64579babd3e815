//! Failures: retried with growing waits, panics and time-outs among them, then dead letters that can be worked with.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use behaviour::models::{AccountEvent, IssueEvent, IssueEventAction};
use behaviour::raw::{RawEvent, RawFailure};
use behaviour::seen::Seen;
use behaviour::{TestDb, on_every_database};
use chrono::TimeDelta;
use event_core::storage::{DeadLetterQuery, FailureState};
use event_sea_orm::TestKit;
use event_sea_orm::prelude::*;

on_every_database! {
    a_failure_is_retried_later_and_later_and_then_dead
    a_success_after_failures_leaves_nothing_behind
    a_failure_delays_no_other_event
    errors_say_themselves_whether_they_are_retried
    a_panic_is_a_failure_like_any
    a_handler_that_hangs_is_dropped_and_retried
    a_snooze_counts_no_attempt
    what_is_discarded_leaves_no_dead_letter
    what_can_not_be_decoded_is_dead_at_once_with_the_reason
    a_row_that_is_no_event_is_dead_for_those_who_want_it_and_stops_nobody
    dead_letters_are_listed_retried_and_discarded
    an_operator_never_acts_on_what_is_no_longer_so
    dead_letters_are_paged
    one_hook_is_told_of_every_failure
    the_errors_text_is_cut_and_has_no_nul
    an_ordered_inbox_parks_what_comes_behind_a_failure
    an_ordered_inbox_goes_on_behind_a_dead_letter
    an_operators_retry_keeps_the_order
    a_due_row_of_a_log_that_is_gone_is_dead
    two_logs_have_failures_of_the_same_id
}

/// What handlers are to do: a word per event id, the first left is the next attempt's.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<std::collections::HashMap<i64, Vec<&'static str>>>>);

impl Script {
    fn set(&self, id: i64, words: &[&'static str]) {
        self.0.lock().unwrap().insert(id, words.to_vec());
    }

    fn next(&self, id: i64) -> &'static str {
        let mut all = self.0.lock().unwrap();
        match all.get_mut(&id) {
            Some(words) if !words.is_empty() => words.remove(0),
            _ => "ok",
        }
    }
}

#[derive(Debug)]
struct Inner;
impl std::fmt::Display for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("connection refused")
    }
}
impl std::error::Error for Inner {}

#[derive(Debug)]
struct Outer;
impl std::fmt::Display for Outer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the mail was not sent")
    }
}
impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&Inner)
    }
}

async fn act(event: &StoredEvent, attempt: Attempt, seen: &Seen, script: &Script) -> InboxResult {
    let word = script.next(event.id());
    seen.note(format!("{} #{} {word}", event.id(), attempt.number));
    match word {
        "fail" => Err(Outer)?,
        "never" => Err(Outer).no_retry()?,
        "after" => Err(Outer).retry_after(Duration::from_secs(7))?,
        "panic" => panic!("out of cheese"),
        "hang" => std::future::pending().await,
        "snooze" => return snoozed(chrono::Utc::now() + TimeDelta::hours(1)),
        "past" => return snoozed(chrono::Utc::now() - TimeDelta::hours(1)),
        "discard" => return discarded("nobody cares any more"),
        "nul" => return Err(InboxError::new("a\0b".repeat(5_000))),
        _ => {}
    }
    handled()
}

#[inbox(retry(max_attempts = 3, jitter = 0.0), timeout = "50ms", concurrency = 1)]
async fn scripted(
    event: Event<IssueEvent>,
    attempt: Attempt,
    State(seen): State<Seen>,
    State(script): State<Script>,
) -> InboxResult {
    act(&event, attempt, &seen, &script).await
}

#[inbox(retry(max_attempts = 3, jitter = 0.0), ordered)]
async fn in_order(
    event: Event<IssueEvent>,
    attempt: Attempt,
    State(seen): State<Seen>,
    State(script): State<Script>,
) -> InboxResult {
    tokio::task::yield_now().await;
    act(&event, attempt, &seen, &script).await
}

#[inbox(retry(max_attempts = 3, jitter = 0.0))]
async fn of_both_logs(
    event: AnyEvent,
    attempt: Attempt,
    State(seen): State<Seen>,
    State(script): State<Script>,
) -> InboxResult {
    act(&event, attempt, &seen, &script).await
}

async fn kit(db: &TestDb, inbox: &'static str) -> (TestKit, Seen, Script) {
    let (seen, script) = (Seen::default(), Script::default());
    let states = (seen.clone(), script.clone());
    let kit = TestKit::new(&**db, |dispatcher| dispatcher.state(states.0).state(states.1).only([inbox])).await.unwrap();
    (kit, seen, script)
}

async fn record(db: &TestDb, subject: i64) {
    IssueEvent::Closed.on(subject).by_system().save(&**db).await.unwrap();
}

async fn a_failure_is_retried_later_and_later_and_then_dead(db: &TestDb) {
    let (kit, seen, script) = kit(db, "scripted").await;
    script.set(1, &["fail", "fail", "fail"]);
    record(db, 1).await;
    let report = kit.drain().await.unwrap();
    assert_eq!((report.total().failed, report.total().dead), (1, 0));
    kit.drain().await.unwrap();
    assert_eq!(seen.take(), ["1 #1 fail"], "not before its time");
    // 1^4 and 2^4 seconds.
    kit.advance(Duration::from_millis(999));
    kit.drain().await.unwrap();
    assert_eq!(seen.take().len(), 0);
    kit.advance(Duration::from_millis(1));
    kit.drain().await.unwrap();
    assert_eq!(seen.take(), ["1 #2 fail"]);
    kit.advance(Duration::from_millis(15_999));
    kit.drain().await.unwrap();
    assert_eq!(seen.take().len(), 0);
    kit.advance(Duration::from_millis(1));
    let report = kit.drain().await.unwrap();
    assert_eq!(seen.take(), ["1 #3 fail"]);
    assert_eq!((report.total().failed, report.total().dead), (1, 1));
    let dead = kit.dead_letters().await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].attempts, dead[0].state, dead[0].kind.as_str()), (3, FailureState::Dead, "error"));
    assert_eq!(dead[0].error, "the mail was not sent: connection refused");
    assert_eq!((dead[0].subject.to_string(), dead[0].action.as_str()), ("issue 1".to_owned(), "closed"));
    assert_eq!(dead[0].last_failed_at - dead[0].first_failed_at, TimeDelta::seconds(17));
    kit.advance(Duration::from_secs(1_000_000));
    kit.drain().await.unwrap();
    assert_eq!(seen.take().len(), 0, "dead is dead");
}

async fn a_success_after_failures_leaves_nothing_behind(db: &TestDb) {
    let (kit, seen, script) = kit(db, "scripted").await;
    script.set(1, &["fail", "fail"]);
    record(db, 1).await;
    let report = kit.run_to_end().await.unwrap();
    assert_eq!(seen.lines(), ["1 #1 fail", "1 #2 fail", "1 #3 ok"]);
    assert_eq!((report.total().failed, report.total().handled, report.total().dead), (2, 1, 0));
    assert_eq!(db.number("SELECT count(*) FROM event_failures").await, 0);
}

async fn a_failure_delays_no_other_event(db: &TestDb) {
    let (kit, seen, script) = kit(db, "scripted").await;
    script.set(1, &["fail"]);
    record(db, 1).await;
    record(db, 1).await;
    kit.drain().await.unwrap();
    assert_eq!(seen.lines(), ["1 #1 fail", "2 #1 ok"]);
}

async fn errors_say_themselves_whether_they_are_retried(db: &TestDb) {
    let (kit, seen, script) = kit(db, "scripted").await;
    script.set(1, &["never"]);
    script.set(2, &["after"]);
    record(db, 1).await;
    record(db, 1).await;
    let report = kit.drain().await.unwrap();
    assert_eq!(report.total().dead, 1);
    kit.advance(Duration::from_millis(6_999));
    kit.drain().await.unwrap();
    assert_eq!(seen.lines().len(), 2);
    kit.advance(Duration::from_millis(1));
    kit.drain().await.unwrap();
    assert_eq!(seen.lines(), ["1 #1 never", "2 #1 after", "2 #2 ok"]);
}

async fn a_panic_is_a_failure_like_any(db: &TestDb) {
    let (kit, seen, script) = kit(db, "scripted").await;
    script.set(1, &["panic", "panic", "panic"]);
    record(db, 1).await;
    record(db, 1).await;
    kit.run_to_end().await.unwrap();
    assert_eq!(seen.lines(), ["1 #1 panic", "2 #1 ok", "1 #2 panic", "1 #3 panic"]);
    let dead = kit.dead_letters().await.unwrap();
    assert_eq!((dead[0].kind.as_str(), dead[0].error.as_str()), ("panic", "the handler panicked: out of cheese"));
}

async fn a_handler_that_hangs_is_dropped_and_retried(db: &TestDb) {
    let (kit, seen, script) = kit(db, "scripted").await;
    script.set(1, &["hang", "hang", "hang"]);
    record(db, 1).await;
    kit.run_to_end().await.unwrap();
    assert_eq!(seen.lines(), ["1 #1 hang", "1 #2 hang", "1 #3 hang"]);
    assert_eq!(kit.dead_letters().await.unwrap()[0].kind, "timeout");
}

async fn a_snooze_counts_no_attempt(db: &TestDb) {
    let (kit, seen, script) = kit(db, "scripted").await;
    script.set(1, &["fail", "snooze", "snooze", "past", "past", "fail"]);
    record(db, 1).await;
    let report = kit.run_to_end().await.unwrap();
    let expected = ["1 #1 fail", "1 #2 snooze", "1 #2 snooze", "1 #2 past", "1 #2 past", "1 #2 fail", "1 #3 ok"];
    assert_eq!(seen.lines(), expected);
    assert_eq!((report.total().snoozed, report.total().failed), (4, 2));
}

async fn what_is_discarded_leaves_no_dead_letter(db: &TestDb) {
    let (kit, _seen, script) = kit(db, "scripted").await;
    script.set(1, &["discard"]);
    record(db, 1).await;
    let report = kit.run_to_end().await.unwrap();
    assert_eq!((report.total().discarded, report.total().dead), (1, 0));
    assert_eq!(db.number("SELECT count(*) FROM event_failures").await, 0);
}

async fn insert(db: &TestDb, action: &str, version: i32, metadata: &str) {
    RawEvent::of(action, version, metadata).write(db).await.unwrap();
}

async fn what_can_not_be_decoded_is_dead_at_once_with_the_reason(db: &TestDb) {
    let (kit, seen, _script) = kit(db, "scripted").await;
    insert(db, "commented", 1, r#"{"comment_id": "geheim"}"#).await;
    insert(db, "status_changed", 1, r#"{"from": "open"}"#).await;
    let report = kit.drain().await.unwrap();
    assert_eq!((report.total().dead, seen.lines().len()), (2, 0), "handlers never see them");
    let mut dead = kit.dead_letters().await.unwrap();
    dead.sort_by_key(|letter| letter.key.event.id);
    for (letter, words) in
        dead.iter().zip([["at `comment_id`", "invalid type: string, expected i64"], ["at `to`", "missing field `to`"]])
    {
        assert_eq!((letter.kind.as_str(), letter.attempts), ("undecodable", 1));
        for word in words {
            assert!(letter.error.contains(word), "{word}: {}", letter.error);
        }
        assert!(!letter.error.contains("geheim"), "values stay out: {}", letter.error);
    }
}

async fn a_row_that_is_no_event_is_dead_for_those_who_want_it_and_stops_nobody(db: &TestDb) {
    let (kit, seen, _script) = kit(db, "scripted").await;
    // The log refuses broken JSON; a column that an older hand filled is what is left to get wrong.
    insert(db, "closed", -1, "{}").await;
    record(db, 1).await;
    kit.drain().await.unwrap();
    assert_eq!(seen.lines(), ["2 #1 ok"]);
    let dead = kit.dead_letters().await.unwrap();
    assert!(dead[0].error.contains("can't be read") && dead[0].error.contains("`version`"), "{}", dead[0].error);
}

async fn dead_letters_are_listed_retried_and_discarded(db: &TestDb) {
    let (kit, seen, script) = kit(db, "scripted").await;
    for id in 1..=3 {
        script.set(id, &["never"]);
        record(db, id).await;
    }
    kit.drain().await.unwrap();
    let letters = kit.dispatcher().dead_letters();
    let dead = letters.newest().await.unwrap();
    let ids: Vec<_> = dead.iter().map(|letter| letter.key.event.id).collect();
    assert_eq!(ids, [3, 2, 1], "the newest first");
    assert!(letters.retry(&dead[0]).await.unwrap());
    assert!(letters.discard(&dead[1]).await.unwrap());
    seen.take();
    kit.drain().await.unwrap();
    assert_eq!(seen.lines(), ["3 #1 ok"], "attempts begin anew");
    let left: Vec<_> = letters.newest().await.unwrap().iter().map(|letter| letter.key.event.id).collect();
    assert_eq!(left, [1]);
    assert_eq!(
        db.number("SELECT count(*) FROM events").await,
        3,
        "events stay, whatever becomes of their dead letters"
    );
}

async fn an_operator_never_acts_on_what_is_no_longer_so(db: &TestDb) {
    let (kit, _seen, script) = kit(db, "scripted").await;
    script.set(1, &["never"]);
    record(db, 1).await;
    kit.drain().await.unwrap();
    let letters = kit.dispatcher().dead_letters();
    let dead = letters.newest().await.unwrap().remove(0);
    assert!(letters.retry(&dead).await.unwrap());
    assert!(!letters.retry(&dead).await.unwrap(), "somebody was faster");
    assert!(!letters.discard(&dead).await.unwrap());
    kit.drain().await.unwrap();
    assert!(!letters.discard(&dead).await.unwrap(), "handled meanwhile");
}

async fn dead_letters_are_paged(db: &TestDb) {
    let (kit, _seen, script) = kit(db, "scripted").await;
    for id in 1..=7 {
        script.set(id, &["never"]);
        record(db, id).await;
    }
    kit.drain().await.unwrap();
    let letters = kit.dispatcher().dead_letters();
    let mut query = DeadLetterQuery { limit: 3, ..DeadLetterQuery::default() };
    let mut ids = Vec::new();
    loop {
        let page = letters.list(&query).await.unwrap();
        let Some(last) = page.last() else { break };
        query.after = Some((last.last_failed_at, last.key.clone()));
        ids.extend(page.iter().map(|letter| letter.key.event.id));
    }
    assert_eq!(ids, [7, 6, 5, 4, 3, 2, 1]);
    let other = DeadLetterQuery { inbox: Some("another".to_owned()), ..DeadLetterQuery::default() };
    assert_eq!(letters.list(&other).await.unwrap().len(), 0);
}

async fn one_hook_is_told_of_every_failure(db: &TestDb) {
    let (seen, script, told) = (Seen::default(), Script::default(), Seen::default());
    let (states, hook) = ((seen.clone(), script.clone()), told.clone());
    let kit = TestKit::new(&**db, |dispatcher| {
        dispatcher.state(states.0).state(states.1).only(["scripted", "of_both_logs"]).on_failure(move |failed| {
            let failure = failed.failure;
            hook.note(format!(
                "{} {} #{} dead={}",
                failure.key,
                failed.event.action,
                failure.attempts,
                failed.is_dead()
            ));
        })
    })
    .await
    .unwrap();
    script.set(1, &["fail", "never", "fail"]);
    record(db, 1).await;
    kit.run_to_end().await.unwrap();
    assert_eq!(told.lines().len(), 3, "{:?}", told.lines());
    assert_eq!(told.lines().iter().filter(|line| line.ends_with("dead=true")).count(), 1);
}

async fn the_errors_text_is_cut_and_has_no_nul(db: &TestDb) {
    let (kit, _seen, script) = kit(db, "scripted").await;
    script.set(1, &["nul"]);
    record(db, 1).await;
    kit.drain().await.unwrap();
    let error = db.text("SELECT error FROM event_failures").await;
    assert_eq!((error.chars().count(), error.find('\0')), (4_000, None));
}

async fn an_ordered_inbox_parks_what_comes_behind_a_failure(db: &TestDb) {
    let (kit, seen, script) = kit(db, "in_order").await;
    script.set(1, &["fail"]);
    script.set(4, &["fail"]);
    for subject in [1, 2, 1, 1, 2, 1] {
        record(db, subject).await;
    }
    kit.drain().await.unwrap();
    assert_eq!(seen.take(), ["1 #1 fail", "2 #1 ok", "5 #1 ok"], "the other subject goes on");
    record(db, 1).await;
    kit.drain().await.unwrap();
    assert_eq!(seen.take().len(), 0, "still behind the failure, also after a restart");
    kit.advance(Duration::from_secs(1));
    kit.drain().await.unwrap();
    assert_eq!(seen.take(), ["1 #2 ok", "3 #1 ok", "4 #1 fail"]);
    kit.run_to_end().await.unwrap();
    assert_eq!(seen.take(), ["4 #2 ok", "6 #1 ok", "7 #1 ok"]);
    record(db, 1).await;
    kit.drain().await.unwrap();
    assert_eq!(seen.take(), ["8 #1 ok"]);
    assert_eq!(db.number("SELECT count(*) FROM event_failures").await, 0);
}

async fn an_ordered_inbox_goes_on_behind_a_dead_letter(db: &TestDb) {
    let (kit, seen, script) = kit(db, "in_order").await;
    script.set(1, &["fail", "never"]);
    script.set(2, &["never"]);
    for _ in 0..4 {
        record(db, 1).await;
    }
    kit.run_to_end().await.unwrap();
    assert_eq!(seen.lines(), ["1 #1 fail", "1 #2 never", "2 #1 never", "3 #1 ok", "4 #1 ok"]);
    assert_eq!(kit.dead_letters().await.unwrap().len(), 2);
}

async fn an_operators_retry_keeps_the_order(db: &TestDb) {
    let (kit, seen, script) = kit(db, "in_order").await;
    script.set(1, &["never"]);
    script.set(2, &["fail", "fail"]);
    for _ in 0..4 {
        record(db, 1).await;
    }
    kit.drain().await.unwrap();
    assert_eq!(seen.take(), ["1 #1 never", "2 #1 fail"], "3 and 4 wait for 2");
    let dead = kit.dead_letters().await.unwrap().remove(0);
    assert!(kit.dispatcher().dead_letters().retry(&dead).await.unwrap());
    kit.drain().await.unwrap();
    assert_eq!(seen.take(), ["1 #1 ok"], "its end lets nobody past 2");
    kit.run_to_end().await.unwrap();
    assert_eq!(seen.take(), ["2 #2 fail", "2 #3 ok", "3 #1 ok", "4 #1 ok"]);
    assert_eq!(db.number("SELECT count(*) FROM event_failures").await, 0);
}

async fn a_due_row_of_a_log_that_is_gone_is_dead(db: &TestDb) {
    let (kit, seen, _script) = kit(db, "scripted").await;
    let due = RawFailure {
        inbox: "scripted",
        log: "old_events",
        id: 1,
        attempts: 1,
        next_attempt_at: Some("2026-01-01T00:00:00+00:00"),
        started_at: None,
    };
    due.write(db).await;
    record(db, 1).await;
    kit.drain().await.unwrap();
    assert_eq!(seen.lines(), ["1 #1 ok"], "it holds up nobody");
    assert_eq!(kit.dead_letters().await.unwrap()[0].key.event.to_string(), "old_events/1");
}

async fn two_logs_have_failures_of_the_same_id(db: &TestDb) {
    let (kit, seen, script) = kit(db, "of_both_logs").await;
    script.set(1, &["fail", "fail"]);
    record(db, 1).await;
    AccountEvent::SignedIn.on(1).by_system().save(&**db).await.unwrap();
    kit.drain().await.unwrap();
    assert_eq!(db.number("SELECT count(DISTINCT log) FROM event_failures WHERE event_id = 1").await, 2);
    kit.run_to_end().await.unwrap();
    assert_eq!(seen.lines(), ["1 #1 fail", "1 #1 fail", "1 #2 ok", "1 #2 ok"]);
    kit.assert_not_recorded(IssueEventAction::Created).await;
}
