//! Kinds of actors, and causes: an enum that names kinds takes no other, on whatever way an actor comes.
#![allow(clippy::unwrap_used)]

use event_core::memory::{MemoryError, MemoryLog};
use event_core::testing::{KitError, TestKit};
use event_core::{
    ActorRef, DomainEvent, Event, EventContext, EventRef, InboxResult, RecordOn as _, Recording, RecordingError,
    handled, inbox, with_context,
};
use serde::{Deserialize, Serialize};

struct Payment;
struct Staff;
struct Bot;

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(Payment), actor(Staff), actor(Bot, name = "robot"))]
enum PaymentEvent {
    Failed { reason: String },
}

/// Names no kind.
#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(Payment), log = "open_events")]
enum OpenEvent {
    Seen,
}

#[inbox]
async fn any_payment(_event: Event<PaymentEvent>) -> InboxResult {
    handled()
}

fn failed() -> Recording<PaymentEvent> {
    PaymentEvent::Failed { reason: "no funds".to_owned() }.on(1)
}

fn refused(error: MemoryError) -> RecordingError {
    match error {
        MemoryError::Invalid(error) => error,
        other => panic!("{other}"),
    }
}

const WORDS: &str = "`PaymentEvent`, action `failed`: an actor of kind `stuff`, and the kinds of actors of `PaymentEvent` are \
                     `staff`, `robot`; name the kind in the enum's attribute (`actor(api_key::Entity)`), or say who else did it \
                     (`.by(&user)`, `.by_system()`)";

#[tokio::test]
async fn a_kind_that_the_enum_does_not_name_is_refused() {
    let log = MemoryLog::new();
    let stuff = || ActorRef::new("stuff", "1");
    let error = refused(log.record(failed().by_ref(stuff())).unwrap_err());
    assert!(matches!(&error, RecordingError::UnknownActor { kind, .. } if kind == "stuff"), "{error:?}");
    assert_eq!(error.to_string(), WORDS);
    // The context's actor is no other.
    let context = EventContext::new().by_ref(stuff());
    let error = with_context(context.clone(), async { refused(log.record(failed()).unwrap_err()) }).await;
    assert_eq!(error.to_string(), WORDS);
    // What the recording says itself goes first.
    with_context(context, async { log.record(failed().by_system()) }).await.unwrap();
    for kind in ["staff", "robot"] {
        log.record(failed().by_ref(ActorRef::new(kind, "1"))).unwrap();
    }
    assert_eq!(log.events("events").len(), 3);
}

#[tokio::test]
async fn the_test_kit_refuses_it_too() {
    let kit = TestKit::in_memory(|dispatcher| dispatcher).await.unwrap();
    let error = kit.process::<any_payment>(failed().by_ref(ActorRef::new("stuff", "1"))).await.unwrap_err();
    assert!(matches!(error, KitError::Recording(RecordingError::UnknownActor { .. })), "{error:?}");
}

#[test]
fn an_enum_that_names_no_kind_takes_every_one_that_can_be_stored() {
    let log = MemoryLog::new();
    log.record(OpenEvent::Seen.on(1).by_ref(ActorRef::new("stuff", "1"))).unwrap();
    for (kind, words) in [
        (String::new(), "the actor's kind is empty"),
        ("x".repeat(65), "the actor's kind has 65 characters; 64 at most"),
        ("\0".to_owned(), "the actor's kind holds a NUL character"),
    ] {
        let error = refused(log.record(OpenEvent::Seen.on(1).by_ref(ActorRef::new(kind, "1"))).unwrap_err());
        assert_eq!(error.to_string(), format!("`OpenEvent`, action `seen`: {words}"));
    }
}

#[test]
fn a_cause_is_an_event_that_can_be() {
    let log = MemoryLog::new();
    for (cause, words) in [
        (EventRef::new("events", 0), "the cause's id is 0; ids begin at 1"),
        (EventRef::new("events", -7), "the cause's id is -7; ids begin at 1"),
        (EventRef::new("", 1), "the cause's log is empty"),
        (EventRef::new("x".repeat(65), 1), "the cause's log has 65 characters; 64 at most"),
        (EventRef::new("a\0", 1), "the cause's log holds a NUL character"),
    ] {
        let error = refused(log.record(failed().by_system().caused_by(cause)).unwrap_err());
        assert_eq!(error.to_string(), format!("`PaymentEvent`, action `failed`: {words}"));
    }
    assert!(log.events("events").is_empty());
    log.record(failed().by_system().caused_by(EventRef::new("another_programs_log", 1))).unwrap();
}
