//! What was found at link time: every event enum and every inbox of every linked crate.
//!
//! A crate that nobody refers to is not linked, and registers nothing: `use handlers as _;` in the program is the cure, and
//! naming the expected inboxes when the dispatcher is built is the check.

use crate::event::EventDescriptor;
use crate::inbox::InboxDescriptor;

/// What the derive submits.
#[doc(hidden)]
pub struct EventRegistration(pub fn() -> &'static EventDescriptor);
inventory::collect!(EventRegistration);

/// What `#[inbox]` submits.
#[doc(hidden)]
pub struct InboxRegistration(pub fn() -> &'static InboxDescriptor);
inventory::collect!(InboxRegistration);

/// Every linked event enum, sorted by log, subject and name.
pub fn events() -> Vec<&'static EventDescriptor> {
    let mut events: Vec<_> = inventory::iter::<EventRegistration>.into_iter().map(|found| (found.0)()).collect();
    events.sort_by_key(|event| (event.log(), event.subject(), event.name(), event.location()));
    events
}

/// Every linked inbox, sorted by name.
pub fn inboxes() -> Vec<&'static InboxDescriptor> {
    let mut inboxes: Vec<_> = inventory::iter::<InboxRegistration>.into_iter().map(|found| (found.0)()).collect();
    inboxes.sort_by_key(|inbox| (inbox.name(), inbox.location()));
    inboxes
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
