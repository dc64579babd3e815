//! Assertions on what was recorded. They panic, as assertions do, and show what stands in the log instead.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::panic::Location;
use std::sync::Arc;

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::kit::TestKit;
use crate::event::{Action, ActionDescriptor, DomainEvent};
use crate::recorded::{Recorded, StoredEvent};
use crate::storage::Storage;

/// How many events a message lists.
const LINES_MAX: usize = 30;

impl<S: Storage> TestKit<S> {
    /// The events of `E` that were recorded, oldest first.
    ///
    /// # Panics
    /// When the storage can't be read, or an event of `E`'s subject can't be decoded.
    #[track_caller]
    pub fn recorded<E: DomainEvent>(&self) -> impl Future<Output = Vec<Recorded<E>>> + '_ {
        let at = Location::caller();
        async move { of_enum(at, self.in_log(at, E::descriptor().log()).await) }
    }

    /// Asserts that this very event was recorded, and gives the newest such.
    ///
    /// # Panics
    /// When it was not: with what was recorded, and how the nearest differs.
    #[track_caller]
    pub fn assert_recorded<E: DomainEvent>(&self, event: &E) -> impl Future<Output = Recorded<E>> + '_ {
        let at = Location::caller();
        let action = event.action();
        let metadata = event.encode();
        async move {
            let metadata = match metadata {
                Ok(metadata) => metadata,
                Err(error) => panic!("{at}: {error}"),
            };
            self.find::<E>(at, action, &Wanted::All(Value::Object(metadata))).await
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
        let at = Location::caller();
        async move { self.find::<A::Event>(at, action, &Wanted::Fields(fields)).await }
    }

    /// Asserts that no event of this action was recorded.
    ///
    /// # Panics
    /// When one was: with those.
    #[track_caller]
    pub fn assert_not_recorded<A: Action>(&self, action: A) -> impl Future<Output = ()> + '_ {
        let at = Location::caller();
        async move {
            let recorded: Vec<Recorded<A::Event>> = of_enum(at, self.in_log(at, A::Event::descriptor().log()).await);
            let found = recorded.iter().filter(|recorded| recorded.event.action() == action);
            let found: Vec<_> = found.map(|recorded| recorded.stored().clone()).collect();
            if !found.is_empty() {
                panic!("{at}: `{action}` was recorded:{}", lines(&found));
            }
        }
    }

    async fn find<E: DomainEvent>(&self, at: &Location<'_>, action: E::Action, wanted: &Wanted) -> Recorded<E> {
        let in_log = self.in_log(at, E::descriptor().log()).await;
        let mut recorded = of_enum::<E>(at, in_log.clone());
        let found = recorded
            .iter()
            .rposition(|recorded| recorded.event.action() == action && wanted.is_met_by(&metadata_of(recorded)));
        match found {
            Some(found) => recorded.swap_remove(found),
            None => {
                let mut text = not_found(&recorded, &in_log, action, wanted);
                if let Some(id) = self.forgotten.get(E::descriptor().log()) {
                    let _ = write!(text, "\n(up to id {id} they were forgotten by `forget_recorded`)");
                }
                panic!("{at}: {text}")
            }
        }
    }

    /// What stands in the log and was not forgotten.
    async fn in_log(&self, at: &Location<'_>, log: &'static str) -> Vec<Arc<StoredEvent>> {
        match self.stored(log).await {
            Ok(stored) => stored,
            Err(error) => panic!("{at}: the log can't be read: {error}"),
        }
    }
}

/// Those of them that are events of `E`.
fn of_enum<E: DomainEvent>(at: &Location<'_>, stored: Vec<Arc<StoredEvent>>) -> Vec<Recorded<E>> {
    let decode = |event: Arc<StoredEvent>| match Recorded::from_stored(event.clone()) {
        Ok(recorded) => recorded,
        Err(error) => panic!("{at}: {} can't be decoded: {error}", event.at),
    };
    stored.into_iter().filter(|event| event.is::<E>()).map(decode).collect()
}

/// The metadata as the current version has it.
fn metadata_of<E: DomainEvent>(recorded: &Recorded<E>) -> Value {
    let upcast = |action: &ActionDescriptor| {
        action.upcast(E::descriptor().name(), recorded.version, &recorded.metadata).ok().map(Cow::into_owned)
    };
    let action = E::descriptor().action(&recorded.action);
    Value::Object(action.and_then(upcast).unwrap_or_else(|| recorded.metadata.clone().into()))
}

/// The metadata that is looked for.
enum Wanted {
    /// Exactly this.
    All(Value),
    /// These fields; there may be more.
    Fields(Value),
}

impl Wanted {
    fn is_met_by(&self, found: &Value) -> bool {
        match self {
            Self::All(wanted) => found == wanted,
            Self::Fields(wanted) => found_of(found, wanted) == *wanted,
        }
    }

    /// What is wanted and what was found of it, to be compared.
    fn beside(&self, found: &Value) -> (&Value, Value) {
        match self {
            Self::All(wanted) => (wanted, found.clone()),
            Self::Fields(wanted) => (wanted, found_of(found, wanted)),
        }
    }
}

/// The part of `found` that `wanted` speaks of: of objects the fields that it names, of everything else all.
fn found_of(found: &Value, wanted: &Value) -> Value {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted
            .iter()
            .filter_map(|(name, wanted)| Some((name.clone(), found_of(found.get(name)?, wanted))))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        _ => found.clone(),
    }
}

fn not_found<E: DomainEvent>(
    recorded: &[Recorded<E>],
    in_log: &[Arc<StoredEvent>],
    action: E::Action,
    wanted: &Wanted,
) -> String {
    let mut text = match wanted {
        Wanted::All(fields) => format!("no `{action}` {fields} was recorded"),
        Wanted::Fields(fields) => format!("no `{action}` with {fields} was recorded"),
    };
    if let Some(nearest) = recorded.iter().rev().find(|recorded| recorded.event.action() == action) {
        let found = metadata_of(nearest);
        let (wanted, part) = wanted.beside(&found);
        let _ = write!(text, "; the newest `{action}` differs (- wanted, + recorded):\n{}", diff(wanted, &part));
        // The diff ends with its own line break.
        text.truncate(text.trim_end().len());
    }
    let event = E::descriptor();
    if in_log.is_empty() {
        let _ = write!(text, "; the log `{}` is empty", event.log());
    } else {
        if recorded.is_empty() {
            let _ = write!(text, ", nor anything else of `{}`", event.name());
        }
        let _ = write!(text, "\nthe log `{}` holds, oldest first:{}", event.log(), lines(in_log));
    }
    text
}

/// A line for each of the newest events.
fn lines(events: &[Arc<StoredEvent>]) -> String {
    let left_out = events.len().saturating_sub(LINES_MAX);
    let mut text = if left_out > 0 { format!("\n  ... {left_out} more") } else { String::new() };
    for event in &events[left_out..] {
        let _ = write!(text, "\n  {}", line(event));
    }
    text
}

fn line(event: &StoredEvent) -> String {
    let actor = event.actor.as_ref().map_or_else(|| "system".to_owned(), ToString::to_string);
    format!(
        "{} {} on {} by {actor}: {}",
        event.at,
        event.action,
        event.subject,
        Value::Object(event.metadata.clone().into())
    )
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
