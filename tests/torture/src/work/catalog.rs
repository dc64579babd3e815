//! The inboxes, as far as the verdict has to know them.

/// What is known of an inbox.
pub(crate) struct InboxFacts {
    pub(crate) name: &'static str,
    /// Its effects are rows of `effects`; of the others a file tells.
    pub(crate) transactional: bool,
    /// Whether one subject's events have to be handled in the order of their ids.
    pub(crate) ordered: bool,
    /// Whether an event may become a dead letter without anything being wrong.
    pub(crate) has_dead: bool,
    pub(crate) takes: fn(action: &str) -> bool,
}

/// The inbox that gets its place in the middle of the run.
pub(crate) const NEWCOMER: &str = "newcomer";

pub(crate) const INBOXES: [InboxFacts; 10] = [
    inbox("projection", true, |_| true),
    inbox("mailer", false, |_| true),
    inbox(NEWCOMER, true, |action| action != "noted"),
    InboxFacts { has_dead: true, ..inbox("stumbling", true, |action| action == "troubled") },
    inbox("swallowing", true, |action| action == "troubled"),
    InboxFacts { has_dead: true, ..inbox("nasty", false, |action| action == "troubled") },
    InboxFacts { ordered: true, ..inbox("ordered_projection", true, |action| action == "stepped") },
    InboxFacts { ordered: true, ..inbox("ordered_mailer", false, |action| action == "stepped") },
    inbox("echo", true, |action| action == "asked"),
    inbox("relay", false, |action| action == "asked"),
];

const fn inbox(name: &'static str, transactional: bool, takes: fn(&str) -> bool) -> InboxFacts {
    InboxFacts { name, transactional, ordered: false, has_dead: false, takes }
}
