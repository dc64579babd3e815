//! Assertions on what was recorded. They panic, as assertions do, and show what stands in the log instead.

use std::fmt::Write as _;

use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

use super::kit::TestKit;
use crate::event::{Action, DomainEvent};
use crate::recorded::{Recorded, StoredEvent};
use crate::storage::Storage;

impl<S: Storage> TestKit<S> {
    /// The events of `E` that were recorded, oldest first.
    ///
    /// # Panics
    /// When the storage can't be read, or an event of `E`'s subject can't be decoded.
    #[track_caller]
    pub fn recorded<E: DomainEvent>(&self) -> impl Future<Output = Vec<Recorded<E>>> + '_ {
        let at = std::panic::Location::caller();
        async move {
            let stored = match self.stored(E::descriptor().log()).await {
                Ok(stored) => stored,
                Err(error) => panic!("{at}: the log can't be read: {error}"),
            };
            let decode = |event| match Recorded::from_stored(event) {
                Ok(recorded) => recorded,
                Err(error) => panic!("{at}: a recorded event can't be decoded: {error}"),
            };
            stored.into_iter().filter(|event| event.is::<E>()).map(decode).collect()
        }
    }

    /// Asserts that this very event was recorded, and gives the newest such.
    ///
    /// # Panics
    /// When it was not: with what was recorded, and how the nearest differs.
    #[track_caller]
    pub fn assert_recorded<E: DomainEvent>(&self, event: &E) -> impl Future<Output = Recorded<E>> + '_ {
        let at = std::panic::Location::caller();
        let action = event.action();
        let metadata = event.encode();
        async move {
            let metadata = match metadata {
                Ok(metadata) => metadata,
                Err(error) => panic!("{at}: {error}"),
            };
            self.find::<E>(at, action, &format!("{action}"), &Value::Object(metadata), |found, wanted| found == wanted)
                .await
        }
    }

    /// Asserts that an event of this action was recorded whose metadata contains these fields, and gives the newest such.
    ///
    /// # Panics
    /// When there was none: with what was recorded, and how the nearest differs.
    #[track_caller]
    pub fn assert_recorded_with<A: Action>(
        &self,
        action: A,
        fields: Value,
    ) -> impl Future<Output = Recorded<A::Event>> + '_ {
        let at = std::panic::Location::caller();
        async move { self.find::<A::Event>(at, action, &format!("{action} with"), &fields, contains).await }
    }

    /// Asserts that no event of this action was recorded.
    ///
    /// # Panics
    /// When one was: with those.
    #[track_caller]
    pub fn assert_not_recorded<A: Action>(&self, action: A) -> impl Future<Output = ()> + '_ {
        let at = std::panic::Location::caller();
        async move {
            let recorded = self.recorded::<A::Event>().await;
            let found: Vec<_> = recorded.iter().filter(|recorded| recorded.event.action() == action).collect();
            if !found.is_empty() {
                let found: String = found.iter().fold(String::new(), |list, found| list + "\n  " + &line(found));
                panic!("{at}: `{action}` was recorded:{found}");
            }
        }
    }

    async fn find<E: DomainEvent>(
        &self,
        at: &std::panic::Location<'_>,
        action: E::Action,
        wanted: &str,
        fields: &Value,
        matches: impl Fn(&Value, &Value) -> bool,
    ) -> Recorded<E> {
        let mut recorded = self.recorded::<E>().await;
        let found = recorded.iter().rposition(|recorded| {
            recorded.event.action() == action && matches(&Value::Object(recorded.metadata.clone()), fields)
        });
        match found {
            Some(found) => recorded.swap_remove(found),
            None => panic!("{at}: {}", not_found(&recorded, action, wanted, fields)),
        }
    }
}

/// Whether `found` has everything that `wanted` has; objects may have more.
fn contains(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(name, value)| found.get(name).is_some_and(|found| contains(found, value)))
        }
        _ => found == wanted,
    }
}

fn not_found<E: DomainEvent>(recorded: &[Recorded<E>], action: E::Action, wanted: &str, fields: &Value) -> String {
    let mut text = format!("no `{wanted}` {fields} was recorded");
    if recorded.is_empty() {
        let _ = write!(text, "; nothing of `{}` was", E::descriptor().name());
        return text;
    }
    if let Some(nearest) = recorded.iter().rev().find(|recorded| recorded.event.action() == action) {
        let found = json!(nearest.metadata);
        let _ = write!(text, "; the newest `{action}` differs (- wanted, + recorded):\n{}", diff(fields, &found));
    }
    text.push_str("\nrecorded were, oldest first:");
    for recorded in recorded {
        let _ = write!(text, "\n  {}", line(recorded));
    }
    text
}

fn line(event: &StoredEvent) -> String {
    let actor = event.actor.as_ref().map_or_else(|| "system".to_owned(), ToString::to_string);
    format!("{} {} on {} by {actor}: {}", event.at, event.action, event.subject, Value::Object(event.metadata.clone()))
}

fn diff(wanted: &Value, found: &Value) -> String {
    let (wanted, found) = (format!("{wanted:#}"), format!("{found:#}"));
    let mut text = String::new();
    for change in TextDiff::from_lines(&wanted, &found).iter_all_changes() {
        let sign = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => ' ',
        };
        let _ = writeln!(text, "  {sign} {}", change.value().trim_end());
    }
    text
}
