//! What this program stores and reads, as far as the file is about it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::normal::normal;
use super::problem::Problem;
use crate::event::EventDescriptor;
use crate::inbox::InboxDescriptor;
use crate::names::Location;

/// A log and a subject's name: what the actions of one or several enums have in common.
pub(super) type Subject = (String, String);

#[derive(Clone, Debug, Default)]
pub(super) struct Linked {
    pub(super) subjects: BTreeMap<Subject, Actions>,
    pub(super) inboxes: BTreeMap<String, Location>,
}

/// The actions of a subject, by name.
pub(super) type Actions = BTreeMap<String, Action>;

#[derive(Clone, Debug)]
pub(super) struct Action {
    pub(super) aliases: Vec<String>,
    pub(super) version: u32,
    /// The versions that an upcast leads from.
    pub(super) upcasts: Vec<u32>,
    pub(super) schema: Value,
}

impl Linked {
    /// Everything that is linked, and which of it contradicts itself.
    pub(super) fn of(events: &[&EventDescriptor], inboxes: &[&InboxDescriptor]) -> (Self, Vec<Problem>) {
        let (mut linked, mut problems) = (Self::default(), Vec::new());
        let mut places: BTreeMap<_, Location> = BTreeMap::new();
        for event in events {
            let subject = (event.log().to_owned(), event.subject().to_owned());
            let actions = linked.subjects.entry(subject).or_default();
            for action in event.actions() {
                for name in action.names() {
                    if let Some(first) = places.insert((event.log(), event.subject(), name), event.location()) {
                        problems.push(Problem::TwoActions {
                            log: event.log().to_owned(),
                            subject: event.subject().to_owned(),
                            name: name.to_owned(),
                            first,
                            second: event.location(),
                        });
                    }
                }
                let known = Action {
                    aliases: action.aliases().iter().map(|&alias| alias.to_owned()).collect(),
                    version: action.version(),
                    upcasts: action.upcasts().iter().map(|step| step.from()).collect(),
                    schema: normal(&action.schema().to_value()),
                };
                actions.insert(action.name().to_owned(), known);
            }
        }
        for inbox in inboxes {
            if let Some(first) = linked.inboxes.insert(inbox.name().to_owned(), inbox.location()) {
                problems.push(Problem::TwoInboxes { name: inbox.name().to_owned(), first, second: inbox.location() });
            }
        }
        (linked, problems)
    }
}

/// The action that is stored under that name, and its name of today.
pub(super) fn called<'a>(actions: &'a Actions, name: &str) -> Option<(&'a str, &'a Action)> {
    let by_name = actions.get_key_value(name);
    let found = by_name.or_else(|| actions.iter().find(|(_, action)| action.aliases.iter().any(|alias| alias == name)));
    found.map(|(name, action)| (name.as_str(), action))
}
