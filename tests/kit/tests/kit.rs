//! The test kit without a database: one inbox on one event, the clock, and assertions on what was recorded.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use event_core::memory::{MemoryError, MemoryLog};
use event_core::storage::FailureState;
use event_core::testing::{KitError, Processed, TestKit};
use event_core::{
    ActorRef, AnyEvent, Clock, DomainEvent, Event, EventRef, InboxError, InboxResult, Metadata, RecordOn,
    RecordingError, RetryExt, Saved, State, StoredEvent, SubjectRef, discarded, handled, inbox, skipped, snoozed,
};
use futures_util::FutureExt;
use kit_tests::model::{AccountEvent, IssueEvent, IssueEventAction};
use kit_tests::seen::Seen;

/// What the handlers do next, and the clock they go by.
#[derive(Clone, Default)]
struct Script {
    word: Arc<Mutex<&'static str>>,
    clock: Clock,
}

impl Script {
    fn say(&self, word: &'static str) {
        *self.word.lock().unwrap() = word;
    }
}

#[derive(Debug)]
struct NoMail;
impl std::fmt::Display for NoMail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no mail went out")
    }
}
impl std::error::Error for NoMail {}

async fn act(script: &Script) -> InboxResult {
    let word = *script.word.lock().unwrap();
    match word {
        "skip" => skipped("nobody to tell"),
        "snooze" => snoozed(script.clock.now() + TimeDelta::hours(2)),
        "discard" => discarded("too old"),
        "fail" => Err(NoMail)?,
        "never" => Err(NoMail).no_retry()?,
        "after" => Err(NoMail).retry_after(Duration::from_secs(40))?,
        "for ever" => Err(NoMail).retry_after(Duration::MAX)?,
        "panic" => panic!("out of cheese"),
        "hang" => std::future::pending().await,
        _ => handled(),
    }
}

fn is_long(event: &Event<IssueEvent>) -> bool {
    match event.event {
        IssueEvent::Commented { words: 13, .. } => panic!("an unlucky filter"),
        IssueEvent::Commented { words, .. } => words > 10,
        _ => true,
    }
}

#[inbox(on(Created, Commented), when = is_long, retry(max_attempts = 3, jitter = 0.0), timeout = "20ms")]
async fn mailer(event: Event<IssueEvent>, State(script): State<Script>, State(seen): State<Seen>) -> InboxResult {
    seen.note(format!("mailer {}", event.action));
    act(&script).await
}

struct Digest;

#[inbox(retry(never))]
impl Digest {
    async fn handle(event: AnyEvent, State(script): State<Script>, State(seen): State<Seen>) -> InboxResult {
        seen.note(Self::line(&event));
        act(&script).await
    }

    fn line(event: &AnyEvent) -> String {
        format!("digest {} {}", event.subject, event.action)
    }
}

async fn kit(inboxes: &[&str]) -> (TestKit, Script, Seen) {
    let (script, seen) = (Script::default(), Seen::default());
    let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
    let script = Script { clock: clock.clone(), ..script };
    let states = (script.clone(), seen.clone());
    let kit = TestKit::in_memory(|dispatcher| {
        dispatcher.clock(clock).state(states.0).state(states.1).only(inboxes.iter().copied())
    });
    (kit.await.unwrap(), script, seen)
}

fn comment(words: u32) -> event_core::Recording<IssueEvent> {
    IssueEvent::Commented { comment_id: 1, words }.on(7)
}

fn stored(
    log: &'static str,
    subject: &'static str,
    action: &str,
    version: u32,
    metadata: Metadata,
) -> Arc<StoredEvent> {
    let now = chrono::Utc::now();
    let mut event =
        StoredEvent::new(EventRef::new(log, 9), SubjectRef::new(subject, 1), action.to_owned(), metadata, now, now);
    event.version = version;
    Arc::new(event)
}

#[tokio::test]
async fn one_inbox_on_one_event() {
    let (kit, script, seen) = kit(&["mailer", "digest"]).await;
    assert_eq!(kit.process::<mailer>(IssueEvent::Created.on(7)).await.unwrap(), Processed::Handled);
    assert_eq!(seen.take(), ["mailer created"]);
    // Not of its actions, not of its log.
    assert_eq!(kit.process::<mailer>(IssueEvent::Closed.on(7)).await.unwrap(), Processed::NotTaken);
    assert_eq!(kit.process::<mailer>(AccountEvent::SignedIn.on(7)).await.unwrap(), Processed::NotTaken);
    let filtered = kit.process::<mailer>(comment(3)).await.unwrap();
    assert_eq!(filtered, Processed::Skipped("filtered by `when`".to_owned()));
    assert!(filtered.is_skipped() && !filtered.is_handled());
    assert_eq!(seen.take().len(), 0);
    script.say("skip");
    let skipped = kit.process::<mailer>(comment(11)).await.unwrap();
    assert_eq!(skipped, Processed::Skipped("nobody to tell".to_owned()));
    script.say("snooze");
    let snoozed = kit.process::<mailer>(comment(11)).await.unwrap();
    assert_eq!(snoozed, Processed::Snoozed(script.clock.now() + TimeDelta::hours(2)));
    script.say("discard");
    let discarded = kit.process::<Digest>(AccountEvent::SignedIn.on("x")).await.unwrap();
    assert_eq!(discarded, Processed::Discarded("too old".to_owned()));
    assert_eq!(seen.lines().last().unwrap(), "digest account x signed_in");
    // Nothing was recorded, counted or kept.
    assert_eq!(kit.storage().events("events"), []);
    assert_eq!(kit.dispatcher().report().total(), Default::default());
    assert_eq!(kit.dispatcher().next_due().await.unwrap(), None);
}

#[tokio::test]
async fn a_failure_shows_the_row_that_would_stand() {
    let (kit, script, _) = kit(&["mailer", "digest"]).await;
    script.say("fail");
    let failed = kit.process::<mailer>(IssueEvent::Created.on(7)).await.unwrap();
    let row = failed.failure().unwrap();
    let now = script.clock.now();
    assert_eq!((row.state, row.attempts, row.kind.as_str()), (FailureState::Retrying, 1, "error"));
    assert_eq!(row.error, "no mail went out");
    assert_eq!((row.next_attempt_at, row.first_failed_at), (Some(now + TimeDelta::seconds(1)), now));
    assert_eq!((row.key.inbox.as_str(), row.action.as_str()), ("mailer", "created"));
    assert_eq!(row.subject, SubjectRef::new("issue", 7));
    assert!(!failed.is_dead() && !failed.panicked() && !failed.is_handled() && !failed.is_skipped());
    // The block of the impl is given up after one attempt.
    assert!(kit.process::<Digest>(IssueEvent::Created.on(7)).await.unwrap().is_dead());
    script.say("after");
    let later = kit.process::<mailer>(IssueEvent::Created.on(7)).await.unwrap();
    assert_eq!(later.failure().unwrap().next_attempt_at, Some(now + TimeDelta::seconds(40)));
    script.say("never");
    let dead = kit.process::<mailer>(IssueEvent::Created.on(7)).await.unwrap();
    assert!(dead.is_dead());
    let row = dead.failure().unwrap();
    assert_eq!((row.attempts, row.next_attempt_at, row.kind.as_str()), (1, None, "error"));
    script.say("panic");
    let panicked = kit.process::<mailer>(IssueEvent::Created.on(7)).await.unwrap();
    assert!(panicked.panicked() && !panicked.is_dead());
    assert_eq!(panicked.failure().unwrap().error, "the handler panicked: out of cheese");
    script.say("hang");
    let hung = kit.process::<mailer>(IssueEvent::Created.on(7)).await.unwrap();
    assert_eq!(hung.failure().unwrap().kind, "timeout");
    script.say("ok");
    let unlucky = kit.process::<mailer>(comment(13)).await.unwrap();
    assert_eq!(unlucky.failure().unwrap().error, "the handler panicked: an unlucky filter");
    assert_eq!(kit.dead_letters().await.unwrap(), [], "tried, and not kept");
}

#[tokio::test]
async fn a_wait_longer_than_time_itself_is_not_none() {
    let (kit, script, _) = kit(&["mailer"]).await;
    script.say("for ever");
    let failed = kit.process::<mailer>(IssueEvent::Created.on(7)).await.unwrap();
    let next = failed.failure().unwrap().next_attempt_at.unwrap();
    assert!(next > script.clock.now() + TimeDelta::days(365), "{next}");
}

#[tokio::test]
async fn what_can_not_be_decoded_is_dead_at_once() {
    let (kit, _, seen) = kit(&["mailer", "digest"]).await;
    let mut wrong = Metadata::new();
    wrong.insert("comment_id".to_owned(), "geheim".into());
    let bad = stored("events", "issue", "commented", 1, wrong);
    let failed = kit.process::<mailer>(&bad).await.unwrap();
    let row = failed.failure().unwrap();
    assert!(failed.is_dead());
    assert_eq!(row.kind, "undecodable");
    assert!(row.error.contains("`IssueEvent`") && row.error.contains("comment_id"), "{}", row.error);
    assert!(!row.error.contains("geheim"), "{}", row.error);
    let newer = stored("events", "issue", "created", 2, Metadata::new());
    assert!(kit.process::<mailer>(&newer).await.unwrap().is_dead());
    // Without a type nothing has to be decoded.
    assert!(kit.process::<Digest>(&bad).await.unwrap().is_handled());
    assert_eq!(seen.lines(), ["digest issue 1 commented"]);
}

#[tokio::test]
async fn events_of_the_log_and_events_in_hand_can_be_tried() {
    let (kit, _, seen) = kit(&["mailer", "digest"]).await;
    kit.storage().record(IssueEvent::Created.on(3).by_ref(ActorRef::new("user", 5))).unwrap();
    let recorded = kit.recorded::<IssueEvent>().await.remove(0);
    assert!(kit.process::<mailer>(&recorded).await.unwrap().is_handled());
    assert!(kit.process::<mailer>(recorded.stored()).await.unwrap().is_handled());
    assert!(kit.process::<Digest>(&AnyEvent::new(recorded.stored().clone())).await.unwrap().is_handled());
    assert_eq!(seen.lines(), ["mailer created", "mailer created", "digest issue 3 created"]);
}

#[tokio::test]
async fn an_inbox_that_is_not_in_the_kit_is_an_error() {
    let (kit, _, _) = kit(&["digest"]).await;
    let error = kit.process::<mailer>(IssueEvent::Created.on(7)).await.unwrap_err();
    assert!(matches!(error, KitError::NotInKit("mailer")));
    assert_eq!(error.to_string(), "inbox `mailer` is not in this kit: it was built with `.only(...)` and without it");
    let error = kit.process::<Digest>(IssueEvent::Created.on("")).await.unwrap_err();
    assert!(matches!(error, KitError::Recording(RecordingError::EmptySubject { .. })), "{error}");
}

#[tokio::test]
async fn time_moves_only_when_told() {
    let (kit, script, seen) = kit(&["mailer"]).await;
    script.say("fail");
    kit.storage().record(IssueEvent::Created.on(7).by_system()).unwrap();
    assert_eq!(kit.drain().await.unwrap().total().failed, 1);
    kit.advance(Duration::from_millis(999));
    assert_eq!(kit.drain().await.unwrap().total(), Default::default());
    script.say("snooze");
    kit.advance(Duration::from_millis(1));
    let report = kit.drain().await.unwrap();
    assert_eq!((report.total().snoozed, report.total().failed), (1, 0));
    kit.advance(Duration::from_secs(2 * 60 * 60 - 1));
    assert_eq!(kit.drain().await.unwrap().total(), Default::default());
    script.say("ok");
    kit.advance(Duration::from_secs(1));
    assert_eq!(kit.drain().await.unwrap().total().handled, 1);
    assert_eq!(seen.lines().len(), 3);
    assert_eq!(kit.dispatcher().report().total().failed, 1, "the dispatcher's report is the sum");
}

#[tokio::test]
async fn run_to_end_moves_the_clock_and_sums_up() {
    let (kit, script, seen) = kit(&["mailer"]).await;
    let begun = kit.clock().now();
    script.say("fail");
    for _ in 0..2 {
        kit.storage().record(IssueEvent::Created.on(7).by_system()).unwrap();
    }
    kit.storage().record(comment(1).by_system()).unwrap();
    let report = kit.run_to_end().await.unwrap();
    let total = report.total();
    assert!(report.complete);
    assert_eq!((total.failed, total.dead, total.skipped, total.handled), (6, 2, 1, 0));
    assert_eq!(report.inboxes["mailer"], total);
    assert_eq!(seen.lines().len(), 6);
    // 1 and 16 seconds between the three attempts.
    assert_eq!(kit.clock().now() - begun, TimeDelta::seconds(17));
    assert_eq!(kit.dead_letters().await.unwrap().len(), 2);
    let report = kit.run_to_end().await.unwrap();
    assert_eq!((report.total(), report.complete), (Default::default(), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_of_many_threads_does_too() {
    let (kit, script, _) = kit(&["mailer", "digest"]).await;
    script.say("hang");
    kit.storage().record(IssueEvent::Created.on(7).by_system()).unwrap();
    kit.storage().record(AccountEvent::SignedIn.on(7).by_system()).unwrap();
    script.say("ok");
    let report = kit.run_to_end().await.unwrap();
    assert_eq!(report.total().handled, 3);
    assert_eq!((report.inboxes["mailer"].handled, report.inboxes["digest"].handled), (1, 2));
}

/// The text that the assertion panics with.
async fn message<T>(assertion: impl Future<Output = T>) -> String {
    let Err(panic) = AssertUnwindSafe(assertion).catch_unwind().await else { panic!("the assertion held") };
    panic.downcast_ref::<String>().unwrap().clone()
}

/// A line of this file, as panics name it.
fn at(line: u32) -> String {
    format!("{}:{line}:", file!())
}

#[tokio::test]
async fn what_was_recorded_is_found() {
    let (mut kit, _, _) = kit(&["digest"]).await;
    for words in [4, 5] {
        kit.storage().record(comment(words).by_system()).unwrap();
    }
    kit.storage().record(AccountEvent::Renamed { to: "Ann".into() }.on(1).by_system()).unwrap();
    let events: Vec<_> = kit.recorded::<IssueEvent>().await.iter().map(|recorded| recorded.id()).collect();
    assert_eq!(events, [1, 2]);
    let found = kit.assert_recorded(&IssueEvent::Commented { comment_id: 1, words: 4 }).await;
    assert_eq!((found.id(), found.subject.id.as_str()), (1, "7"));
    let newest = kit.assert_recorded_with(IssueEventAction::Commented, serde_json::json!({"comment_id": 1})).await;
    assert_eq!(newest.id(), 2);
    kit.assert_not_recorded(IssueEventAction::Created).await;
    kit.forget_recorded().await.unwrap();
    kit.assert_not_recorded(IssueEventAction::Commented).await;
    assert_eq!(kit.recorded::<AccountEvent>().await.len(), 0);
    kit.storage().record(comment(6).by_system()).unwrap();
    assert_eq!(kit.recorded::<IssueEvent>().await.len(), 1);
}

#[tokio::test]
async fn a_failed_assertion_shows_how_the_nearest_differs() {
    let (kit, _, _) = kit(&["digest"]).await;
    kit.storage().record(IssueEvent::Created.on(7).by_ref(ActorRef::new("user", 3))).unwrap();
    kit.storage().record(comment(4).by_system()).unwrap();
    let wanted = IssueEvent::Commented { comment_id: 1, words: 5 };
    let (line, text) = (line!(), message(kit.assert_recorded(&wanted)).await);
    let expected = r#" no `commented` {"comment_id":1,"words":5} was recorded; the newest `commented` differs (- wanted, + recorded):
    {
      "comment_id": 1,
  -   "words": 5
  +   "words": 4
    }
the log `events` holds, oldest first:
  events/1 created on issue 7 by user 3: {}
  events/2 commented on issue 7 by system: {"comment_id":1,"words":4}"#;
    assert_eq!(strip(&text, line), expected);
    // Only the fields that were asked for are compared; a misspelt one stands out.
    let fields = serde_json::json!({"words": 4, "comment": 1});
    let (line, text) = (line!(), message(kit.assert_recorded_with(IssueEventAction::Commented, fields)).await);
    let expected = r#" no `commented` with {"comment":1,"words":4} was recorded; the newest `commented` differs (- wanted, + recorded):
    {
  -   "comment": 1,
      "words": 4
    }
the log `events` holds, oldest first:
  events/1 created on issue 7 by user 3: {}
  events/2 commented on issue 7 by system: {"comment_id":1,"words":4}"#;
    assert_eq!(strip(&text, line), expected);
    let (line, text) = (line!(), message(kit.assert_not_recorded(IssueEventAction::Created)).await);
    assert_eq!(strip(&text, line), " `created` was recorded:\n  events/1 created on issue 7 by user 3: {}");
}

/// The message without the place of its caller, which is this line.
fn strip(text: &str, line: u32) -> String {
    let rest = text.strip_prefix(&at(line)).unwrap_or_else(|| panic!("not at {}: {text}", at(line)));
    // The column.
    rest.split_once(':').unwrap().1.to_owned()
}

#[tokio::test]
async fn a_failed_assertion_shows_what_was_recorded_instead() {
    let (mut kit, _, _) = kit(&["digest"]).await;
    let (line, text) = (line!(), message(kit.assert_recorded(&IssueEvent::Closed)).await);
    assert_eq!(strip(&text, line), " no `closed` {} was recorded; the log `events` is empty");
    kit.storage().record(IssueEvent::Created.on(7).by_system()).unwrap();
    kit.storage().record(IssueEvent::Closed.on(7).by_system()).unwrap();
    kit.forget_recorded().await.unwrap();
    let (line, text) = (line!(), message(kit.assert_recorded(&IssueEvent::Closed)).await);
    assert_eq!(
        strip(&text, line),
        " no `closed` {} was recorded; the log `events` is empty\n(up to id 2 they were forgotten by `forget_recorded`)"
    );
    for _ in 0..40 {
        kit.storage().record(IssueEvent::Created.on(7).by_system()).unwrap();
    }
    let text = message(kit.assert_recorded(&IssueEvent::Closed)).await;
    assert_eq!(text.matches("created on issue 7").count(), 30, "the newest only");
    assert!(text.contains("\n  ... 10 more\n  events/13 created"), "{text}");
}

#[tokio::test]
async fn an_idempotency_key_names_one_event() {
    let log = MemoryLog::new();
    let first = log.record(comment(4).by_system().key("import-1")).unwrap();
    assert!(first.is_new());
    let again = log.record(comment(4).by_system().key("import-1").correlation("another try")).unwrap();
    assert_eq!(again, Saved::AlreadyRecorded(EventRef::new("events", 1)));
    let error = log.record(comment(5).by_system().key("import-1")).unwrap_err();
    assert_eq!(error, MemoryError::KeyConflict { existing: EventRef::new("events", 1) });
    assert!(error.to_string().contains("events/1 stands under the same idempotency key"), "{error}");
    // Each log has its own keys.
    assert!(log.record(AccountEvent::SignedIn.on(1).by_system().key("import-1")).unwrap().is_new());
    assert_eq!(log.events("events").len(), 1);
}

#[tokio::test]
async fn attachments_need_a_storage() {
    let log = MemoryLog::new();
    let attached = comment(4).by_system().attach("01997d3e-0000-7000-8000-000000000000");
    assert_eq!(log.record(attached).unwrap_err(), MemoryError::Attachments);
    assert_eq!(log.events("events").len(), 0);
}

#[tokio::test]
async fn a_wrong_recording_is_refused_and_nothing_stands_in_the_log() {
    let log = MemoryLog::new();
    let refused = |recording: event_core::Recording<IssueEvent>| match log.record(recording).unwrap_err() {
        MemoryError::Invalid(error) => error.to_string(),
        other => panic!("{other}"),
    };
    let closed = |id: &str| IssueEvent::Closed.on(id);
    assert_eq!(
        refused(closed("1")),
        "`IssueEvent`, action `closed`: no actor; say who with `.by(&user)` or in the context (`with_context`), or `.by_system()` when nobody did it"
    );
    assert_eq!(
        refused(closed("").by_system()),
        "`IssueEvent`, action `closed`: the id of its subject `issue` is empty; record on a saved model"
    );
    let long = "x".repeat(129);
    for (recording, words) in [
        (closed("1").by_system().key(&*long), "the idempotency key has 129 characters; 128 at most"),
        (closed("1").by_system().key(""), "the idempotency key is empty"),
        (closed("1").by_system().key("a\0b"), "the idempotency key holds a NUL character"),
        (closed("1").by_system().correlation(&*long), "the correlation id has 129 characters; 128 at most"),
        (closed(&long).by_system(), "the subject's id has 129 characters; 128 at most"),
        (closed("1\0").by_system(), "the subject's id holds a NUL character"),
        (closed("1").by_ref(ActorRef::new("user", "\0")), "the actor's id holds a NUL character"),
    ] {
        assert_eq!(refused(recording), format!("`IssueEvent`, action `closed`: {words}"));
    }
    for name in ["events/1", "events/01", "audit_events/+7"] {
        let message = refused(closed("1").by_system().correlation(name));
        assert!(message.contains("a correlation id in the form of `<log>/<id>` names an event"), "{message}");
    }
    assert!(log.events("events").is_empty());
    // At the bounds all is well, counted in characters.
    let most = "ü".repeat(128);
    assert!(log.record(closed(&most).by_system().key(&*most)).unwrap().is_new());
}

#[tokio::test]
async fn the_schemas_of_every_linked_enum_are_printed() {
    let schemas = event_core::registry::schemas();
    let text = format!("{schemas:#}");
    assert!(text.contains("\"issue\"") && text.contains("\"account\""), "{text}");
    assert_eq!(schemas["events"]["issue"]["commented"]["event"], "IssueEvent");
    assert_eq!(schemas["audit_events"]["account"]["renamed"]["version"], 2);
    let commented = &schemas["events"]["issue"]["commented"]["schema"];
    assert_eq!(commented["required"], serde_json::json!(["comment_id", "words"]));
    for event in event_core::registry::events() {
        for action in event.actions() {
            assert!(schemas[event.log()][event.subject()][action.name()]["schema"].is_object(), "{action:?}");
        }
    }
    assert_eq!(IssueEvent::descriptor().name(), "IssueEvent");
}

#[tokio::test]
async fn an_error_in_an_inbox_is_what_its_author_wrote() {
    let error: InboxError = NoMail.into();
    assert_eq!(error.to_string(), "no mail went out");
}
