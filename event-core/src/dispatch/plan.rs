//! What the dispatcher will do, checked as a whole: which inbox takes what of which log, and everything that is wrong.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::filter::{Filter, Known, KnownAction, Overrides, actions_of};
use crate::event::EventDescriptor;
use crate::inbox::{ActionRef, InboxDescriptor, Needs, States, TakenEvents};
use crate::names::{Location, LogName, NAME_MAX};
use crate::registry;

/// Something that keeps the dispatcher from being built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Two inboxes have one stored name, and would share one cursor.
    #[error("{second}: inbox `{name}` has the name of the one at {first}; give one of them `#[inbox(name = \"...\")]`")]
    DuplicateInbox {
        /// The name.
        name: &'static str,
        /// One place.
        first: Location,
        /// The other.
        second: Location,
    },
    /// Two enums claim one action of one subject, by its name or an alias.
    #[error(
        "{second}: action `{action}` of subject `{subject}` in log `{log}` belongs to an enum at {first} already; rename the \
         variant, or one of the subjects (`subject(..., name = \"...\")`)"
    )]
    DuplicateAction {
        /// The log.
        log: &'static str,
        /// The subject.
        subject: &'static str,
        /// The action.
        action: &'static str,
        /// One enum's place.
        first: Location,
        /// The other's.
        second: Location,
    },
    /// An enum's own table is the log of another enum too, which has other foreign keys or none.
    #[error(
        "{second}: the table `{log}` is that of the enum at {first}, which has another subject, other actors or no table of its \
         own; give one of them another `table` or `log`"
    )]
    MixedTable {
        /// The table.
        log: &'static str,
        /// One enum's place.
        first: Location,
        /// The other's.
        second: Location,
    },
    /// A `State<T>` that nobody provided.
    #[error("{at}: inbox `{inbox}` takes `State<{ty}>`, and nobody provided one: add `.state(...)` with a `{ty}`")]
    MissingState {
        /// The inbox.
        inbox: &'static str,
        /// The type.
        ty: &'static str,
        /// Its place.
        at: Location,
    },
    /// An argument that works on a database alone, and the log is in memory.
    #[error(
        "{at}: inbox `{inbox}` takes `{argument}`, and there is no database here: test it on one \
         (`event_sea_orm::TestKit::new(&db, ...)`; SQLite in memory will do), call its function with values of your own, or leave it out by \
         `.only([...])`"
    )]
    NeedsDatabase {
        /// The inbox.
        inbox: &'static str,
        /// The argument, as the user writes it.
        argument: &'static str,
        /// Its place.
        at: Location,
    },
    /// An inbox that the caller expects is not linked.
    #[error(
        "inbox `{name}` is expected and not linked; linked are: {linked}. A crate that nobody refers to is not linked: write \
         `use that_crate as _;` in the program"
    )]
    NotLinked {
        /// The expected name.
        name: String,
        /// Those that are there.
        linked: String,
    },
    /// A transactional inbox that takes a connection too.
    #[error(
        "{at}: inbox `{inbox}` takes a transaction and a database connection; the connection would wait for the \
         transaction's locks: use the transaction for both"
    )]
    TransactionAndConnection {
        /// The inbox.
        inbox: &'static str,
        /// Its place.
        at: Location,
    },
    /// An inbox that takes a batch and an argument that is about one event.
    #[error(
        "{at}: inbox `{inbox}` takes a batch, and an argument that is about one event (`Subject`, `Actor`): load what all of them \
         need in the handler, or take `Event<YourEvent>`"
    )]
    BatchAndOneEvent {
        /// The inbox.
        inbox: &'static str,
        /// Its place.
        at: Location,
    },
    /// An inbox without an event, or with two.
    #[error(
        "{at}: inbox `{inbox}` has {found} event arguments; it needs one, `Event<YourEvent>` or `AnyEvent`, or a `Vec` of them"
    )]
    EventArguments {
        /// The inbox.
        inbox: &'static str,
        /// How many.
        found: usize,
        /// Its place.
        at: Location,
    },
    /// An action of another enum in `on`.
    #[error(
        "{at}: inbox `{inbox}` takes `{event}`, and its `on` names `{action}` of subject `{subject}`, which is no action of it"
    )]
    ForeignAction {
        /// The inbox.
        inbox: &'static str,
        /// The enum it takes.
        event: &'static str,
        /// The action's subject.
        subject: &'static str,
        /// The action.
        action: &'static str,
        /// Its place.
        at: Location,
    },
    /// A setting out of its bounds.
    #[error("{at}: inbox `{inbox}`: {problem}")]
    BadSetting {
        /// The inbox.
        inbox: &'static str,
        /// What is wrong.
        problem: String,
        /// Its place.
        at: Location,
    },
}

/// Everything that keeps the dispatcher from being built, all at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildErrors(pub(crate) Vec<BuildError>);

impl BuildErrors {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &BuildError> {
        self.0.iter()
    }
}

impl std::fmt::Display for BuildErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the dispatcher can't be built:")?;
        for error in &self.0 {
            write!(f, "\n  - {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for BuildErrors {}

/// One inbox, ready to be run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) descriptor: &'static InboxDescriptor,
    pub(crate) logs: Vec<(LogName, Filter)>,
    pub(crate) transactional: bool,
    /// Whether the handler takes several events at once.
    pub(crate) takes_batch: bool,
}

impl Plan {
    /// Whether it works on one thing at a time: a transaction, a batch.
    pub(crate) fn is_serial(&self) -> bool {
        self.transactional || self.takes_batch
    }

    pub(crate) fn name(&self) -> &'static str {
        self.descriptor.name()
    }
}

/// Checks all inboxes and enums together, and plans each inbox. Those that are expected may be any of the `linked` ones.
pub(crate) fn plan(
    inboxes: &[&'static InboxDescriptor],
    linked: &[&'static InboxDescriptor],
    events: &[&'static EventDescriptor],
    expected: &[String],
    states: &States,
    overrides: &Overrides,
) -> Result<Vec<Plan>, BuildErrors> {
    let mut errors = Vec::new();
    check_names(inboxes, &mut errors);
    check_expected(linked, expected, &mut errors);
    check_actions(events, &mut errors);
    check_tables(events, &mut errors);
    let mut plans = Vec::new();
    for &inbox in inboxes {
        let mut needs = Needs::default();
        (inbox.parts.needs)(&mut needs);
        check_inbox(inbox, &needs, states, &mut errors);
        if let [taken] = needs.events[..] {
            let logs = filters(inbox, taken, events, overrides, &mut errors);
            plans.push(Plan { descriptor: inbox, logs, transactional: needs.transaction, takes_batch: needs.batch });
        }
    }
    if errors.is_empty() { Ok(plans) } else { Err(BuildErrors(errors)) }
}

/// The logs that an inbox reads; whatever else is wrong with it is told by [`plan`].
pub(crate) fn logs_of(inbox: &'static InboxDescriptor) -> Vec<LogName> {
    let mut needs = Needs::default();
    (inbox.parts.needs)(&mut needs);
    let logs = |&taken: &TakenEvents| filters(inbox, taken, registry::events(), &Overrides::default(), &mut Vec::new());
    needs.events.iter().flat_map(logs).map(|(log, _)| log).collect()
}

fn check_names(inboxes: &[&'static InboxDescriptor], errors: &mut Vec<BuildError>) {
    let mut places = HashMap::new();
    for inbox in inboxes {
        if let Some(first) = places.insert(inbox.name(), inbox.location()) {
            errors.push(BuildError::DuplicateInbox { name: inbox.name(), first, second: inbox.location() });
        }
    }
}

fn check_expected(linked: &[&'static InboxDescriptor], expected: &[String], errors: &mut Vec<BuildError>) {
    let linked: Vec<_> = linked.iter().map(|inbox| inbox.name()).collect();
    for name in expected {
        if !linked.contains(&name.as_str()) {
            let linked = if linked.is_empty() { "none".to_owned() } else { linked.join(", ") };
            errors.push(BuildError::NotLinked { name: name.clone(), linked });
        }
    }
}

fn check_actions(events: &[&'static EventDescriptor], errors: &mut Vec<BuildError>) {
    let mut places = HashMap::new();
    for event in events {
        for action in event.actions().iter().flat_map(|action| action.names()) {
            let key = (event.log(), event.subject(), action);
            if let Some(first) = places.insert(key, event.location()) {
                let (log, subject, action) = key;
                errors.push(BuildError::DuplicateAction { log, subject, action, first, second: event.location() });
            }
        }
    }
}

/// Enums may share a table of their own if all of its columns are the same to them.
fn check_tables(events: &[&'static EventDescriptor], errors: &mut Vec<BuildError>) {
    let shape = |event: &EventDescriptor| {
        let actors: Vec<_> = event.actors().iter().map(|actor| actor.name()).collect();
        event.has_own_table().then(|| (event.subject(), actors))
    };
    let mut first_of: HashMap<_, &EventDescriptor> = HashMap::new();
    for event in events {
        let first = first_of.entry(event.log()).or_insert(event);
        if shape(first) != shape(event) {
            errors.push(BuildError::MixedTable { log: event.log(), first: first.location(), second: event.location() });
        }
    }
}

fn check_inbox(inbox: &'static InboxDescriptor, needs: &Needs, states: &States, errors: &mut Vec<BuildError>) {
    let (name, at) = (inbox.name(), inbox.location());
    for &(type_id, ty) in &needs.states {
        if !states.has(type_id) {
            errors.push(BuildError::MissingState { inbox: name, ty, at });
        }
    }
    for &(type_id, argument) in &needs.database {
        if !states.has(type_id) {
            errors.push(BuildError::NeedsDatabase { inbox: name, argument, at });
        }
    }
    if needs.transaction && needs.connection {
        errors.push(BuildError::TransactionAndConnection { inbox: name, at });
    }
    if needs.batch && needs.one_event {
        errors.push(BuildError::BatchAndOneEvent { inbox: name, at });
    }
    if needs.events.len() != 1 {
        errors.push(BuildError::EventArguments { inbox: name, found: needs.events.len(), at });
    }
    let settings = inbox.settings();
    let mut bad = |problem: &str| errors.push(BuildError::BadSetting { inbox: name, problem: problem.to_owned(), at });
    if name.is_empty() || name.chars().count() > NAME_MAX {
        bad(&format!("its name has to have 1 to {NAME_MAX} characters"));
    }
    if settings.concurrency == 0 {
        bad("`concurrency` has to be at least 1");
    }
    if settings.timeout.is_zero() {
        bad("`timeout` has to be longer than nothing");
    }
    if settings.retry.max_attempts == 0 {
        bad("`max_attempts` has to be at least 1; the first attempt counts");
    }
    if settings.pause_after == Some(0) {
        bad("`pause_after` has to be at least 1; `None` for never");
    }
    if settings.batch == Some(0) {
        bad("`batch` has to be at least 1");
    }
    if settings.batch.is_some() && !needs.batch {
        bad(
            "`batch` is for an inbox that takes several events at once: take `Vec<Event<YourEvent>>`, or leave `batch` out",
        );
    }
}

fn filters(
    inbox: &'static InboxDescriptor,
    taken: TakenEvents,
    events: &[&'static EventDescriptor],
    overrides: &Overrides,
    errors: &mut Vec<BuildError>,
) -> Vec<(LogName, Filter)> {
    let on = (inbox.parts.on)();
    if let TakenEvents::Of(event) = taken {
        for action in &on {
            let own =
                action.log == event.log() && action.subject == event.subject() && event.action(action.action).is_some();
            if !own {
                errors.push(BuildError::ForeignAction {
                    inbox: inbox.name(),
                    event: event.name(),
                    subject: action.subject,
                    action: action.action,
                    at: inbox.location(),
                });
            }
        }
    }
    let known = |log: &str| Arc::new(Known::of_log(log, events, overrides));
    let mut logs: Vec<(LogName, Filter)> = match taken {
        TakenEvents::Any if on.is_empty() => {
            let logs: BTreeSet<_> = events.iter().map(|event| event.log()).collect();
            logs.into_iter().map(|log| (LogName::from_static(log), Filter::everything(known(log)))).collect()
        }
        TakenEvents::Of(event) => {
            let takes = |action: &KnownAction| {
                on.is_empty() || on.iter().any(|on| on.action == action.name || on.aliases.contains(&action.name))
            };
            let wanted = actions_of(event, overrides).filter(takes).collect();
            vec![(LogName::from_static(event.log()), Filter::actions(wanted, true, known(event.log())))]
        }
        TakenEvents::Any => {
            let logs: BTreeSet<_> = on.iter().map(|action| action.log).collect();
            let wanted = |log: &str| {
                let takes = |action: &KnownAction| {
                    let names = |on: &ActionRef| on.action == action.name || on.aliases.contains(&action.name);
                    on.iter().any(|on| on.log == log && on.subject == action.subject && names(on))
                };
                let of_log = events.iter().filter(|event| event.log() == log);
                of_log.flat_map(|event| actions_of(event, overrides)).filter(takes).collect()
            };
            let filter = |log| (LogName::from_static(log), Filter::actions(wanted(log), false, known(log)));
            logs.into_iter().map(filter).collect()
        }
    };
    logs.sort_by(|a, b| a.0.cmp(&b.0));
    logs
}
