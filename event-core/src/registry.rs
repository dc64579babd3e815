//! What was found at link time: every event enum and every inbox of every linked crate.
//!
//! A crate that nobody refers to is not linked, and registers nothing: `use handlers as _;` in the program is the cure, and
//! naming the expected inboxes when the dispatcher is built is the check.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use crate::event::{ActionDescriptor, EventDescriptor};
use crate::inbox::InboxDescriptor;
use crate::recorded::StoredEvent;

/// What the derive submits.
#[doc(hidden)]
pub struct EventRegistration(pub fn() -> &'static EventDescriptor);
inventory::collect!(EventRegistration);

/// What `#[inbox]` submits.
#[doc(hidden)]
pub struct InboxRegistration(pub fn() -> &'static InboxDescriptor);
inventory::collect!(InboxRegistration);

/// Every linked event enum, sorted by log, subject and name.
pub fn events() -> &'static [&'static EventDescriptor] {
    static EVENTS: LazyLock<Vec<&'static EventDescriptor>> = LazyLock::new(|| {
        let mut events: Vec<_> = inventory::iter::<EventRegistration>.into_iter().map(|found| (found.0)()).collect();
        events.sort_by_key(|event| (event.log(), event.subject(), event.name(), event.location()));
        events
    });
    &EVENTS
}

/// Every linked inbox, sorted by name.
pub fn inboxes() -> &'static [&'static InboxDescriptor] {
    static INBOXES: LazyLock<Vec<&'static InboxDescriptor>> = LazyLock::new(|| {
        let mut inboxes: Vec<_> = inventory::iter::<InboxRegistration>.into_iter().map(|found| (found.0)()).collect();
        inboxes.sort_by_key(|inbox| (inbox.name(), inbox.location()));
        inboxes
    });
    &INBOXES
}

/// The enum that a stored event belongs to, and its action there, also where it is stored under an alias; `None` where no
/// linked enum knows it.
pub fn describe(event: &StoredEvent) -> Option<(&'static EventDescriptor, &'static ActionDescriptor)> {
    type Described = (&'static EventDescriptor, &'static ActionDescriptor);
    static ACTIONS: LazyLock<HashMap<(&str, &str, &str), Described>> = LazyLock::new(|| {
        let described = |&event: &&'static EventDescriptor| {
            let names = event.actions().iter().flat_map(|action| action.names().map(move |name| (name, action)));
            names.map(move |(name, action)| ((event.log(), event.subject(), name), (event, action)))
        };
        events().iter().flat_map(described).collect()
    });
    ACTIONS.get(&(event.at.log.as_str(), event.subject.kind.as_ref(), event.action.as_str())).copied()
}

/// The name of a subject, an actor or an action as a linked enum has it, for storages that would else keep a copy in every event.
///
/// ```
/// assert_eq!(event_core::registry::name("a name of which no enum knows"), None);
/// ```
pub fn name(name: &str) -> Option<&'static str> {
    static NAMES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
        let names = |event: &&'static EventDescriptor| {
            let actors = event.actors().iter().map(|actor| actor.name());
            actors.chain(event.actions().iter().flat_map(|action| action.names())).chain([event.subject()])
        };
        events().iter().flat_map(names).collect()
    });
    NAMES.get(name).copied()
}

/// The JSON Schemas of every action of every linked enum, as one printable JSON object:
/// `{log: {subject: {action: {"event", "version", "schema"}}}}`.
///
/// ```
/// println!("{:#}", event_core::registry::schemas());
/// ```
pub fn schemas() -> serde_json::Value {
    let mut logs = serde_json::json!({});
    for event in events() {
        for action in event.actions() {
            // Indexing a JSON object by a name that it lacks makes the entry.
            logs[event.log()][event.subject()][action.name()] = serde_json::json!({
                "event": event.name(),
                "version": action.version(),
                "schema": action.schema(),
            });
        }
    }
    logs
}
