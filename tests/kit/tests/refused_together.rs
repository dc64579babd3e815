//! Everything that keeps the dispatcher from being built is told at once, each with its place.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use event_core::dispatch::BuildError;
use event_core::memory::MemoryLog;
use event_core::testing::{KitError, TestKit};
use event_core::{AnyEvent, Delivery, Dispatcher, FromDelivery, InboxError, InboxResult, Needs, State, handled, inbox};

#[derive(Clone)]
struct Mailer;

#[derive(Clone)]
struct Index(u32);

/// As a database's connection and its transaction say it.
struct Connection;

impl<'a> FromDelivery<'a> for Connection {
    async fn from_delivery(_: &'a Delivery<'a>) -> Result<Self, InboxError> {
        Ok(Self)
    }

    fn declare(needs: &mut Needs) {
        needs.connection();
        needs.transaction();
        // An extractor's own needs count too.
        State::<Index>::declare(needs);
    }
}

const NEWS: u32 = line!() + 3;

#[inbox]
async fn news(_event: AnyEvent, _: State<Mailer>, State(index): State<Index>) -> InboxResult {
    let _ = index.0;
    handled()
}

mod twin {
    use super::*;

    #[inbox(name = "news")]
    async fn other_news(_event: AnyEvent) -> InboxResult {
        handled()
    }
}

#[inbox]
async fn search(_event: AnyEvent, _: Connection) -> InboxResult {
    handled()
}

#[test]
fn all_at_once() {
    let errors = Dispatcher::<MemoryLog>::builder(MemoryLog::new()).expect(["absent"]).build().unwrap_err();
    let count = |wanted: fn(&BuildError) -> bool| errors.iter().filter(|error| wanted(error)).count();
    assert_eq!(count(|error| matches!(error, BuildError::DuplicateInbox { .. })), 1);
    assert_eq!(count(|error| matches!(error, BuildError::NotLinked { .. })), 1);
    assert_eq!(count(|error| matches!(error, BuildError::MissingState { .. })), 3);
    assert_eq!(count(|error| matches!(error, BuildError::TransactionAndConnection { .. })), 1);
    assert_eq!(errors.iter().count(), 6, "{errors}");
    let text = errors.to_string();
    let missing = format!(
        "\n  - {}:{NEWS}: inbox `news` takes `State<refused_together::Mailer>`, and nobody provided one: add \
         `.state(...)` with a `refused_together::Mailer`",
        file!()
    );
    assert!(text.contains(&missing), "{text}");
    assert_eq!(text.matches(file!()).count(), 6, "each has its place, the twins both: {text}");
}

#[tokio::test]
async fn the_kit_is_refused_with_the_same_words() {
    let error = TestKit::in_memory(|dispatcher| dispatcher.state(Mailer).only(["search"])).await.unwrap_err();
    let KitError::Build(errors) = &error else { panic!("{error}") };
    assert_eq!(errors.iter().count(), 2, "{errors}");
    assert!(error.to_string().contains("inbox `search` takes `State<refused_together::Index>`"), "{error}");
    let states = |dispatcher: event_core::dispatch::Builder<MemoryLog>| dispatcher.state(Mailer).state(Index(1));
    assert!(
        TestKit::in_memory(|dispatcher| states(dispatcher).only(["search"])).await.is_err(),
        "the connection is left"
    );
}
