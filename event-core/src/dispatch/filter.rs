//! Which events of one log an inbox takes, which it passes over, and which this program does not know.
//!
//! During a rolling deployment an old program reads what a new one records. An action that no linked enum has may be one that
//! the new program's inbox takes. So it is never passed over: the lane keeps it as a waiting failure row.

use std::sync::Arc;

use crate::event::EventDescriptor;
use crate::recorded::StoredEvent;

/// What an inbox does with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// It is delivered.
    Takes,
    /// Its action is known, and not one that the inbox takes.
    Passes,
    /// This program has no such subject or action, or reads it up to an older version only.
    Unknown,
}

/// An action, as it is compared with stored events.
#[derive(Clone, Debug)]
pub(crate) struct KnownAction {
    pub(crate) subject: &'static str,
    /// One of the names that it may be stored under.
    pub(crate) name: &'static str,
    /// The newest version that this program reads.
    pub(crate) version: u32,
}

/// What this program can tell of one log's events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    actions: Vec<KnownAction>,
    /// Subjects whose events other programs handle.
    foreign: Vec<String>,
}

impl Known {
    pub(crate) fn of_log(log: &str, events: &[&'static EventDescriptor], overrides: &Overrides) -> Self {
        let of_log = events.iter().filter(|event| event.log() == log);
        Self {
            actions: of_log.flat_map(|event| actions_of(event, overrides)).collect(),
            foreign: overrides.foreign.clone(),
        }
    }
}

/// What the dispatcher's builder was told of names that no linked enum has, or that it is to treat so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    /// Subjects whose events other programs handle.
    pub(crate) foreign: Vec<String>,
    /// Subjects and actions that count as unknown: tests simulate an older program.
    pub(crate) forgotten: Vec<(String, String)>,
}

/// Every name of every action of an enum.
pub(crate) fn actions_of(
    event: &'static EventDescriptor,
    overrides: &Overrides,
) -> impl Iterator<Item = KnownAction> + use<> {
    let subject = event.subject();
    let forgotten: Vec<_> =
        overrides.forgotten.iter().filter(|(of, _)| of == subject).map(|(_, action)| action.clone()).collect();
    let known = event.actions().iter().filter(move |action| !forgotten.iter().any(|name| action.is_called(name)));
    known.flat_map(move |action| {
        action.names().map(move |name| KnownAction { subject, name, version: action.version() })
    })
}

/// Which events of one log an inbox takes. Asked at every event, and of few names: a search from end to end is faster than
/// hashing them.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    /// `None`: everything, also what this program does not know; the handler gets it without its type.
    wanted: Option<Vec<KnownAction>>,
    known: Arc<Known>,
    /// Whether the handler gets the event as one of an enum, so that the version matters.
    typed: bool,
}

impl Filter {
    pub(crate) fn everything(known: Arc<Known>) -> Self {
        Self { wanted: None, known, typed: false }
    }

    pub(crate) fn actions(wanted: Vec<KnownAction>, typed: bool, known: Arc<Known>) -> Self {
        Self { wanted: Some(wanted), known, typed }
    }

    pub(crate) fn interest(&self, event: &StoredEvent) -> Interest {
        self.interest_in(&event.subject.kind, &event.action, event.version)
    }

    /// The interest in an event of which only the names are at hand, as if its version were one that this program reads.
    pub(crate) fn interest_in_name(&self, subject: &str, action: &str) -> Interest {
        self.interest_in(subject, action, 0)
    }

    fn interest_in(&self, subject: &str, action: &str, version: u32) -> Interest {
        let Some(wanted) = &self.wanted else { return Interest::Takes };
        let find = |actions: &[KnownAction]| {
            actions.iter().find(|known| known.name == action && known.subject == subject).map(|known| known.version)
        };
        match find(wanted) {
            Some(known) if self.typed && version > known => Interest::Unknown,
            Some(_) => Interest::Takes,
            // A row whose names can't be read: a dead letter tells of it.
            None if subject.is_empty() || action.is_empty() => Interest::Takes,
            None if find(&self.known.actions).is_some() || self.is_foreign(subject) => Interest::Passes,
            None => Interest::Unknown,
        }
    }

    fn is_foreign(&self, subject: &str) -> bool {
        self.known.foreign.iter().any(|foreign| foreign == subject)
    }

    /// Why an event is unknown, in words.
    pub(crate) fn why_unknown(&self, event: &StoredEvent) -> String {
        let (log, subject, action, version) = (&event.at.log, &event.subject.kind, &event.action, event.version);
        let newer = self.wanted.iter().flatten().find(|known| known.name == *action && known.subject == *subject);
        match newer {
            Some(known) => format!(
                "this program reads action `{action}` of subject `{subject}` in log `{log}` up to version {}, and the event has \
                 version {version}",
                known.version
            ),
            None => format!("this program has no action `{action}` of subject `{subject}` in log `{log}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(subject: &'static str, name: &'static str, version: u32) -> KnownAction {
        KnownAction { subject, name, version }
    }

    fn of(wanted: Vec<KnownAction>, typed: bool) -> Filter {
        let actions = vec![known("issue", "closed", 2), known("issue", "opened", 1), known("page", "edited", 1)];
        Filter::actions(wanted, typed, Arc::new(Known { actions, foreign: vec!["invoice".to_owned()] }))
    }

    #[test]
    fn what_no_linked_enum_has_is_unknown_and_not_passed_over() {
        let filter = of(vec![known("issue", "closed", 2)], true);
        for (subject, action, version, interest) in [
            ("issue", "closed", 1, Interest::Takes),
            ("issue", "closed", 2, Interest::Takes),
            ("issue", "closed", 3, Interest::Unknown),
            ("issue", "opened", 1, Interest::Passes),
            ("issue", "opened", 9, Interest::Passes),
            ("issue", "edited", 1, Interest::Unknown),
            ("issue", "", 1, Interest::Takes),
            ("", "closed", 1, Interest::Takes),
            ("page", "edited", 1, Interest::Passes),
            ("page", "closed", 1, Interest::Unknown),
            ("ticket", "closed", 1, Interest::Unknown),
            ("invoice", "paid", 1, Interest::Passes),
        ] {
            assert_eq!(filter.interest_in(subject, action, version), interest, "{subject} {action} {version}");
        }
    }

    #[test]
    fn an_inbox_without_a_type_takes_any_version_and_one_without_actions_takes_everything() {
        let untyped = of(vec![known("issue", "closed", 2)], false);
        assert_eq!(untyped.interest_in("issue", "closed", 3), Interest::Takes);
        assert_eq!(untyped.interest_in("issue", "renamed", 1), Interest::Unknown);
        let everything = Filter::everything(Arc::default());
        assert_eq!(everything.interest_in("ticket", "renamed", 7), Interest::Takes);
    }
}
