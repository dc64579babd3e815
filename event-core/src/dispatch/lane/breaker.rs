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
        Self { settings, row: HashSet::new(), pause, probe: None, probe_failed: false, changed }
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
    /// fail, though others would succeed, can keep the inbox paused; by the number of probes, which outlives this worker.
    pub(super) fn event_is_next(&self) -> bool {
        self.pause.as_ref().is_some_and(|pause| pause.probes % 2 == 1)
    }

    /// This delivery is the probe.
    pub(super) fn probe(&mut self, event: EventRef) {
        self.probe = Some(event);
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
        if matches!(result, Ok(Outcome::Handled)) {
            return self.handled(event);
        }
        let is_probe = self.probe.take_if(|probe| probe == event).is_some();
        let Some(error) = failure(result) else { return Turn::Nothing };
        let (since, probes, turn) = match &self.pause {
            None => {
                self.row.insert(event.clone());
                if self.failures_left() != Some(0) {
                    return Turn::Nothing;
                }
                self.row.clear();
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

    /// Takes in the end of an attempt that went well.
    pub(super) fn handled(&mut self, event: &EventRef) -> Turn {
        self.probe.take_if(|probe| probe == event);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::{discarded, handled, skipped, snoozed};

    fn breaker(after: u32) -> Breaker {
        let settings =
            BreakerSettings { after: Some(after), first: Duration::from_secs(1), longest: Duration::from_secs(300) };
        Breaker::new(settings, None, DateTime::UNIX_EPOCH)
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(seconds)
    }

    fn event(id: i64) -> EventRef {
        EventRef::new("events", id)
    }

    fn failed() -> InboxResult {
        Err(InboxError::new("no route to host"))
    }

    /// Fails with so many events, from the first id.
    fn fail(breaker: &mut Breaker, ids: std::ops::RangeInclusive<i64>) -> Turn {
        ids.map(|id| breaker.ended(&event(id), &failed(), at(0))).last().unwrap()
    }

    #[test]
    fn failures_of_different_events_in_a_row_pause_it() {
        let mut breaker = breaker(3);
        assert_eq!(fail(&mut breaker, 1..=2), Turn::Nothing);
        // The same event again is no further one.
        assert_eq!(fail(&mut breaker, 2..=2), Turn::Nothing);
        assert_eq!((breaker.failures_left(), breaker.is_paused()), (Some(1), false));
        assert_eq!(fail(&mut breaker, 3..=3), Turn::Paused);
        let PauseChange::Paused(pause) = breaker.to_save() else { panic!("a pause is saved") };
        assert_eq!((pause.since, pause.why.as_str(), pause.probes), (at(0), "error: no route to host", 0));
        assert!((at(0) + chrono::TimeDelta::milliseconds(850)..=at(1)).contains(&pause.until), "{pause:?}");
    }

    #[test]
    fn a_success_begins_the_row_anew() {
        let mut breaker = breaker(3);
        fail(&mut breaker, 1..=2);
        assert_eq!(breaker.ended(&event(9), &handled(), at(0)), Turn::Nothing);
        assert_eq!(fail(&mut breaker, 1..=2), Turn::Nothing);
        assert_eq!(fail(&mut breaker, 3..=3), Turn::Paused);
    }

    #[test]
    fn what_says_nothing_of_the_inbox_is_left_out() {
        let nothing = [
            skipped("not ours"),
            snoozed(at(60)),
            discarded("too old"),
            Err(InboxError::new("no such address").no_retry()),
            Err(InboxError::of_kind(ErrorKind::Decode, "no action `vanished`")),
        ];
        let mut breaker = breaker(2);
        fail(&mut breaker, 1..=1);
        for result in &nothing {
            assert_eq!(breaker.ended(&event(7), result, at(0)), Turn::Nothing, "{result:?} is no failure");
        }
        assert_eq!(fail(&mut breaker, 2..=2), Turn::Paused, "and none of them a success");
        for result in &nothing {
            breaker.probe(event(8));
            assert_eq!(breaker.counted(&event(8), 4, result), 4);
            assert_eq!(breaker.ended(&event(8), result, at(5)), Turn::Nothing);
            assert!(breaker.probes_at().unwrap() <= at(1), "the next probe is due at once: {result:?}");
        }
    }

    #[test]
    fn time_outs_and_panics_are_failures() {
        for kind in [ErrorKind::TimedOut, ErrorKind::Panic, ErrorKind::Handler] {
            let mut breaker = breaker(1);
            assert_eq!(breaker.ended(&event(1), &Err(InboxError::of_kind(kind, "x")), at(0)), Turn::Paused);
            assert_eq!(breaker.pause().unwrap().why, format!("{}: x", kind.as_str()));
        }
        let mut later = breaker(1);
        let error = InboxError::new("busy").retry_after(Duration::from_secs(9));
        assert_eq!(later.ended(&event(1), &Err(error), at(0)), Turn::Paused);
    }

    #[test]
    fn failed_probes_come_later_and_later_and_count_no_attempt() {
        let mut breaker = breaker(1);
        fail(&mut breaker, 1..=1);
        let mut now = breaker.probes_at().unwrap();
        for (nth, seconds) in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300].into_iter().enumerate() {
            breaker.probe(event(1));
            assert_eq!(breaker.probes_at(), None, "one at a time");
            assert_eq!(breaker.counted(&event(1), 2, &failed()), 1);
            assert_eq!(breaker.ended(&event(1), &failed(), now), Turn::Nothing);
            let wait = (breaker.probes_at().unwrap() - now).as_seconds_f64();
            let seconds = f64::from(seconds);
            assert!((seconds * 0.85..=seconds).contains(&wait), "{wait} s after {} probes", nth + 1);
            assert_eq!(breaker.pause().unwrap().probes as usize, nth + 1);
            now = breaker.probes_at().unwrap();
        }
        breaker.pause.as_mut().unwrap().probes = u32::MAX;
        breaker.probe(event(1));
        breaker.ended(&event(1), &failed(), now);
        assert!(breaker.probes_at().unwrap() <= now + chrono::TimeDelta::seconds(300));
        assert_eq!(breaker.counted(&event(1), 1, &failed()), 1, "the first one counts");
    }

    #[test]
    fn what_began_before_the_pause_is_no_probe() {
        let mut breaker = breaker(2);
        fail(&mut breaker, 1..=2);
        let before = breaker.pause().cloned();
        assert_eq!(breaker.counted(&event(3), 5, &failed()), 5);
        assert_eq!(fail(&mut breaker, 3..=5), Turn::Nothing);
        assert_eq!(breaker.pause().cloned(), before);
        assert_eq!(breaker.ended(&event(6), &handled(), at(0)), Turn::GoesOn, "but a success is one");
        breaker.saved();
        assert_eq!((breaker.to_save(), breaker.is_paused()), (PauseChange::Unchanged, false));
    }

    #[test]
    fn rows_and_events_take_turns() {
        let mut breaker = breaker(1);
        fail(&mut breaker, 1..=1);
        assert!(!breaker.event_is_next());
        breaker.probe(event(1));
        breaker.ended(&event(1), &failed(), at(0));
        assert!(breaker.event_is_next());
        let stored = breaker.pause().cloned();
        let mut next_owner = Breaker::new(breaker.settings, stored, at(0));
        assert!(next_owner.event_is_next());
        next_owner.probe(event(2));
        next_owner.ended(&event(2), &failed(), at(0));
        assert!(!next_owner.event_is_next());
    }

    #[test]
    fn a_stored_pause_goes_on_within_todays_settings() {
        let stored = Pause { since: at(0), until: at(100_000), why: "error: x".to_owned(), probes: 4 };
        let settings =
            BreakerSettings { after: Some(10), first: Duration::from_secs(1), longest: Duration::from_secs(60) };
        let breaker = Breaker::new(settings, Some(stored.clone()), at(1_000));
        assert_eq!(breaker.pause().unwrap().until, at(1_060));
        assert_eq!(breaker.pause().unwrap().probes, 4);
        let never = Breaker::new(BreakerSettings { after: None, ..settings }, Some(stored), at(1_000));
        assert_eq!((never.is_paused(), never.to_save()), (false, PauseChange::Ended));
    }
}
