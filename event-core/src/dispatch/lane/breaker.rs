//! The breaker of an inbox: notices that everything fails, and holds deliveries back but for a probe now and then, so that an
//! outage of what the handler needs (a mail server, say) does not turn a day's events into retries and dead letters. Pure
//! state, no I/O.
//!
//! What is evidence. A handled event shows that the inbox works. An error that may be retried, a time-out or a panic is a
//! failure. Everything else says nothing about whether the next event can be handled, and is left out, in the row of failures
//! as in a probe:
//!
//! * skipped: mostly nothing was tried. Were it a success, an inbox that skips every second event would never pause;
//! * snoozed and discarded: the handler's own decision about this event, whatever the outside was like;
//! * undecodable, and an error not worth a retry: the event's fault, which no waiting mends.
//!
//! The failures in a row are of different events, so that a single event that fails at every attempt pauses nothing.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::dispatch::verdict::later;
use crate::inbox::{ErrorKind, InboxError, InboxResult, Outcome, Retry};
use crate::names::EventRef;
use crate::storage::{Pause, PauseChange, stored_text};

/// By how much of itself a wait is shortened at random at most, so that what paused together does not probe together.
const JITTER: f64 = 0.15;

/// When to pause, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct BreakerSettings {
    /// Failures in a row, of different events; `None` for never.
    pub(super) after: Option<u32>,
    /// The wait before the first probe; twice as long before each further one.
    pub(super) first: Duration,
    /// The longest wait.
    pub(super) longest: Duration,
}

#[derive(Debug)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    /// The events of the failures in a row, while not paused.
    row: HashSet<EventRef>,
    pause: Option<Pause>,
    /// The event of the probe under way.
    probe: Option<EventRef>,
    /// The last probe was a failure row's: an event's turn is next.
    event_next: bool,
    /// A probe of this pause failed since the lane was loaded.
    probe_failed: bool,
    /// The pause differs from the stored one.
    changed: bool,
}

/// What an attempt's end changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Nothing,
    Paused,
    GoesOn,
}

impl Breaker {
    /// With the pause that stood when the inbox was claimed.
    pub(super) fn new(settings: BreakerSettings, stored: Option<Pause>, now: DateTime<Utc>) -> Self {
        let changed = stored.is_some() && settings.after.is_none();
        let mut pause = stored.filter(|_| !changed);
        if let Some(pause) = &mut pause {
            // Written by another worker's clock, or under other settings.
            pause.until = pause.until.min(later(now, settings.longest));
        }
        Self { settings, row: HashSet::new(), pause, probe: None, event_next: false, probe_failed: false, changed }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.pause.is_some()
    }

    pub(super) fn pause(&self) -> Option<&Pause> {
        self.pause.as_ref()
    }

    /// How many more failures in a row pause the inbox; `None` if none do.
    pub(super) fn failures_left(&self) -> Option<usize> {
        let after = usize::try_from(self.settings.after?).unwrap_or(usize::MAX);
        Some(after.saturating_sub(self.row.len()))
    }

    /// When the next probe may run; `None` while one is under way, or without a pause.
    pub(super) fn probes_at(&self) -> Option<DateTime<Utc>> {
        self.pause.as_ref().filter(|_| self.probe.is_none()).map(|pause| pause.until)
    }

    /// Whether a probe of this pause failed here already: a drain tries no other.
    pub(super) fn probe_failed(&self) -> bool {
        self.probe_failed
    }

    /// Whether an event's turn is before a failure row's. They take turns, so that neither rows nor new events that always
    /// fail, though others would succeed, can keep the inbox paused.
    pub(super) fn event_is_next(&self) -> bool {
        self.event_next
    }

    /// This delivery is the probe.
    pub(super) fn probe(&mut self, event: EventRef, is_row: bool) {
        self.probe = Some(event);
        self.event_next = is_row;
    }

    /// The probe was not started after all.
    pub(super) fn drop_probe(&mut self) {
        self.probe = None;
    }

    /// The attempt to count for attempt number `attempt` of this event. A probe that fails counts none beyond the first: an
    /// outage must not use up the attempts of the events that are tried in it.
    pub(super) fn counted(&self, event: &EventRef, attempt: u32, result: &InboxResult) -> u32 {
        let failed = self.probe.as_ref() == Some(event) && failure(result).is_some();
        if failed { attempt.saturating_sub(1).max(1) } else { attempt }
    }

    /// Takes in the end of an attempt.
    pub(super) fn ended(&mut self, event: &EventRef, result: &InboxResult, now: DateTime<Utc>) -> Turn {
        let is_probe = self.probe.take_if(|probe| probe == event).is_some();
        if matches!(result, Ok(Outcome::Handled)) {
            return self.worked();
        }
        let Some(error) = failure(result) else { return Turn::Nothing };
        let (since, probes, turn) = match &self.pause {
            None => {
                self.row.insert(event.clone());
                if self.failures_left() != Some(0) {
                    return Turn::Nothing;
                }
                self.row.clear();
                self.event_next = false;
                (now, 0, Turn::Paused)
            }
            Some(pause) if is_probe => (pause.since, pause.probes.saturating_add(1), Turn::Nothing),
            // Begun before the pause.
            Some(_) => return Turn::Nothing,
        };
        let why = stored_text(&format!("{}: {}", error.kind().as_str(), error.message()));
        self.pause = Some(Pause { since, until: later(now, self.wait(probes)), why, probes });
        self.probe_failed = is_probe;
        self.changed = true;
        turn
    }

    fn worked(&mut self) -> Turn {
        self.row.clear();
        match self.pause.take() {
            None => Turn::Nothing,
            Some(_) => {
                self.changed = true;
                Turn::GoesOn
            }
        }
    }

    fn wait(&self, probes: u32) -> Duration {
        let doubled = 2_u32.checked_pow(probes).and_then(|factor| self.settings.first.checked_mul(factor));
        let wait = doubled.unwrap_or(self.settings.longest).min(self.settings.longest);
        wait.mul_f64(1.0 - JITTER * fastrand::f64())
    }

    /// What a save has to say of it.
    pub(super) fn to_save(&self) -> PauseChange {
        match &self.pause {
            _ if !self.changed => PauseChange::Unchanged,
            Some(pause) => PauseChange::Paused(pause.clone()),
            None => PauseChange::Ended,
        }
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.changed
    }

    pub(super) fn saved(&mut self) {
        self.changed = false;
    }
}

/// The error of a result that is a failure of the inbox.
fn failure(result: &InboxResult) -> Option<&InboxError> {
    let error = result.as_ref().err()?;
    (error.kind() != ErrorKind::Decode && error.retry() != Retry::Never).then_some(error)
}
