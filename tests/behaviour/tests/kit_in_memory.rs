//! The test kit without a database: what needs one is refused when the kit is built, and a handler is called by itself.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use behaviour::models::{IssueEvent, issue, user};
use event_core::testing::TestKit;
use event_sea_orm::prelude::*;

#[inbox]
async fn takes_a_subject(_event: Event<IssueEvent>, _issue: Subject<issue::Model>) -> InboxResult {
    handled()
}

#[inbox]
async fn takes_an_actor(_event: Event<IssueEvent>, _user: Option<Actor<user::Model>>) -> InboxResult {
    handled()
}

#[inbox]
async fn takes_a_connection(_event: Event<IssueEvent>, _db: Db) -> InboxResult {
    handled()
}

#[inbox]
async fn takes_a_transaction(_event: Event<IssueEvent>, _txn: Txn<'_>) -> InboxResult {
    handled()
}

#[inbox]
async fn takes_the_event_alone(event: Event<IssueEvent>) -> InboxResult {
    match event.event {
        IssueEvent::Closed => handled(),
        _ => skipped("not closed"),
    }
}

#[tokio::test]
async fn what_needs_a_database_is_refused_when_the_kit_is_built() {
    for (inbox, argument) in [
        ("takes_a_subject", "`Subject<_>`"),
        ("takes_an_actor", "`Actor<_>`"),
        ("takes_a_connection", "`Db`"),
        ("takes_a_transaction", "`Txn<'_>`"),
    ] {
        let error = TestKit::in_memory(|dispatcher| dispatcher.only([inbox])).await.unwrap_err().to_string();
        assert!(error.contains(&format!("`{inbox}` takes {argument}, and there is no database")), "{error}");
        assert!(error.contains("event_sea_orm::TestKit::new"), "{error}");
    }
    let kit = TestKit::in_memory(|dispatcher| dispatcher.only(["takes_the_event_alone"])).await.unwrap();
    assert!(kit.process::<takes_the_event_alone>(IssueEvent::Closed.on(7)).await.unwrap().is_handled());
}

#[tokio::test]
async fn a_handler_is_called_with_an_event_in_one_line() {
    assert!(matches!(takes_the_event_alone(Event::of(IssueEvent::Closed.on(7))).await, Ok(Outcome::Handled)));
    let issue = issue::Model { id: 7, title: "Printer".to_owned() };
    let event = Event::of(IssueEvent::Created.on(7).by_system());
    assert_eq!((event.id(), event.subject.id.as_str()), (1, "7"));
    assert!(takes_a_subject(event, Subject(issue)).await.is_ok());
}

#[test]
#[should_panic(expected = "can't be an event")]
fn a_recording_that_is_not_valid_is_no_event() {
    let _ = Event::of(IssueEvent::Closed.on(""));
}
