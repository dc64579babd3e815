//! Inboxes: what is registered, under which name, with which settings. How they are called is the dispatcher's to test.

use std::time::Duration;

use event_core::{
    AnyEvent, Backoff, Event, Inbox, InboxResult, RetryPolicy, Settings, Start, State, handled, inbox, registry,
};

use crate::model::{IssueEvent, ProjectEvent};

#[derive(Clone)]
struct Mailer;

#[inbox(
    on(Assigned, IssueEvent::StatusChanged),
    when = later,
    concurrency = 2,
    timeout = "1m",
    retry(max_attempts = 3, backoff = exponential, base = "250ms", max_wait = "1h", jitter = 0.5),
    start = beginning,
    ordered,
    pause(after = 3)
)]
async fn email_notifications(event: Event<IssueEvent>, State(_mailer): State<Mailer>) -> InboxResult {
    let _ = event.id();
    handled()
}

fn later(event: &Event<IssueEvent>) -> bool {
    event.id() > 1
}

#[inbox]
async fn plain(_event: Event<ProjectEvent>) -> InboxResult {
    handled()
}

#[inbox(on(IssueEvent::Created, ProjectEvent::OwnerChanged), retry(never), pause(never), name = "audit_log")]
async fn audit(_event: AnyEvent) -> InboxResult {
    handled()
}

struct SearchIndex;

#[inbox(when(Self::wanted, Self::wanted))]
impl SearchIndex {
    async fn handle(event: AnyEvent) -> InboxResult {
        assert!(Self::wanted(&event));
        handled()
    }

    fn wanted(_event: &AnyEvent) -> bool {
        true
    }
}

#[test]
fn every_inbox_is_found_and_sorted_by_name() {
    let names: Vec<_> = registry::inboxes().iter().map(|inbox| inbox.name()).collect();
    assert_eq!(names, ["audit_log", "email_notifications", "plain", "search_index"]);
}

#[test]
fn the_marker_stands_for_the_inbox() {
    assert_eq!(email_notifications::descriptor().name(), "email_notifications");
    assert_eq!(audit::descriptor().name(), "audit_log");
    assert_eq!(SearchIndex::descriptor().name(), "search_index");
}

#[test]
fn the_place_in_the_source_is_the_functions() {
    let text = include_str!("inboxes.rs");
    for (inbox, beginning) in [
        (email_notifications::descriptor(), "async fn email_notifications("),
        (SearchIndex::descriptor(), "impl SearchIndex {"),
    ] {
        let location = inbox.location();
        assert!(location.file.ends_with("inboxes.rs"), "{location}");
        assert!(text.lines().nth(location.line as usize - 1).unwrap().starts_with(beginning), "{location}");
    }
}

#[test]
fn settings_are_the_defaults_but_for_what_is_written() {
    assert_eq!(*plain::descriptor().settings(), Settings::DEFAULT);
    assert_eq!(audit::descriptor().settings().retry.max_attempts, 1);
    assert_eq!(audit::descriptor().settings().pause_after, None);
    let settings = email_notifications::descriptor().settings();
    assert_eq!((settings.concurrency, settings.timeout), (2, Duration::from_secs(60)));
    assert_eq!((settings.start, settings.ordered, settings.pause_after), (Start::Beginning, true, Some(3)));
    let RetryPolicy { max_attempts, backoff, base, max_wait, jitter, .. } = settings.retry;
    assert_eq!((max_attempts, backoff, jitter), (3, Backoff::Exponential, 0.5));
    assert_eq!((base, max_wait), (Duration::from_millis(250), Duration::from_secs(3600)));
}

#[test]
fn the_function_stays_an_ordinary_function() {
    // Both are there: a function in the value namespace, a type in the type namespace.
    let _function = plain;
    let _marker: plain = plain {};
}
