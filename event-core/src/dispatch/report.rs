//! What was done: counters per inbox, and the report of a drain.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::inbox::{InboxResult, Outcome};
use crate::storage::Pause;

/// Deliveries of one inbox, counted since the dispatcher was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InboxReport {
    /// Handled.
    pub handled: u64,
    /// Skipped by a filter or by the handler.
    pub skipped: u64,
    /// Put off by the handler.
    pub snoozed: u64,
    /// Given up by the handler.
    pub discarded: u64,
    /// Failed attempts, those that made a dead letter included.
    pub failed: u64,
    /// Dead letters.
    pub dead: u64,
    /// Events that this program does not know, kept for one that does. They used no attempt.
    pub waiting: u64,
}

/// What a drain did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Per inbox.
    pub inboxes: BTreeMap<String, InboxReport>,
    /// Whether everything due was done, but for what `held_elsewhere` and `paused` name. Not so when handlers kept recording
    /// events past the drain's bound.
    pub complete: bool,
    /// Inboxes that another worker holds; nothing was done for them here.
    pub held_elsewhere: Vec<String>,
    /// Inboxes that were left paused because everything fails in them, with why and until when to leave them alone.
    pub paused: BTreeMap<String, Pause>,
}

impl Report {
    /// The sum over all inboxes.
    pub fn total(&self) -> InboxReport {
        let mut total = InboxReport::default();
        for inbox in self.inboxes.values() {
            total.handled += inbox.handled;
            total.skipped += inbox.skipped;
            total.snoozed += inbox.snoozed;
            total.discarded += inbox.discarded;
            total.failed += inbox.failed;
            total.dead += inbox.dead;
            total.waiting += inbox.waiting;
        }
        total
    }
}

/// The counters behind an [`InboxReport`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    handled: AtomicU64,
    skipped: AtomicU64,
    snoozed: AtomicU64,
    discarded: AtomicU64,
    failed: AtomicU64,
    dead: AtomicU64,
    waiting: AtomicU64,
}

impl Counters {
    pub(crate) fn count(&self, result: &InboxResult) {
        let counter = match result {
            Ok(Outcome::Handled) => &self.handled,
            Ok(Outcome::Skipped(_)) => &self.skipped,
            Ok(Outcome::Snoozed(_)) => &self.snoozed,
            Ok(Outcome::Discarded(_)) => &self.discarded,
            Err(_) => &self.failed,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_dead(&self) {
        self.dead.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_waiting(&self) {
        self.waiting.fetch_add(1, Relaxed);
    }

    pub(crate) fn report(&self) -> InboxReport {
        InboxReport {
            handled: self.handled.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            snoozed: self.snoozed.load(Relaxed),
            discarded: self.discarded.load(Relaxed),
            failed: self.failed.load(Relaxed),
            dead: self.dead.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
        }
    }
}

impl InboxReport {
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            handled: self.handled - before.handled,
            skipped: self.skipped - before.skipped,
            snoozed: self.snoozed - before.snoozed,
            discarded: self.discarded - before.discarded,
            failed: self.failed - before.failed,
            dead: self.dead - before.dead,
            waiting: self.waiting - before.waiting,
        }
    }
}
