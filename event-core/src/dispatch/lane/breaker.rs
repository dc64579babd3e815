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
//! The failures in a row are of different subjects. A customer whose endpoint is down fails with every event, however many there
//! are; that says nothing about other customers, and must not delay them. So one subject alone pauses nothing: its events are
//! retried later and later, each by itself.
//!
//! For the same reason probes go to subjects that have not failed yet, while there are any. Such a probe that fails is
//! evidence of one more subject, not repeated evidence: the wait does not double for it. A subject that has not failed need not
//! wait for the next probe either, since an earlier failure says little about it: it is tried a first wait after the last
//! probe. Worked example, with `after` = 10 and a first wait of one second: 12 customers are down, 700 are not. The tenth failure pauses
//! the inbox; a second later it tries the eleventh, then the twelfth, then one of the 700, which succeeds and ends the pause.
//! After [`OTHERS_MOST`] different subjects have failed without a success in between, it is an outage, whatever subject is next:
//! from there on every probe waits twice as long as the one before.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::dispatch::verdict::later;
use crate::inbox::{ErrorKind, InboxError, InboxResult, Outcome, Retry};
use crate::names::{EventRef, LogName, SubjectRef};
use crate::recorded::StoredEvent;
use crate::storage::{Pause, PauseChange, stored_text};

/// By how much of itself a wait is shortened at random at most, so that what paused together does not probe together.
const JITTER: f64 = 0.15;

/// How many different subjects a pause tries before it takes all others to fail, too.
const OTHERS_MOST: usize = 100;

/// A subject in its log.
type SubjectInLog = (LogName, SubjectRef);

/// When to pause, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct BreakerSettings {
    /// Failures in a row, of different subjects; `None` for never.
    pub(super) after: Option<u32>,
    /// The wait before the first probe, and before one of a subject that has not failed; twice as long after each that repeats
    /// what is known.
    pub(super) first: Duration,
    /// The longest wait.
    pub(super) longest: Duration,
}

#[derive(Debug)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    /// The subjects of the failures in a row; while paused, those that have failed in the pause, too.
    failed: HashSet<SubjectInLog>,
    pause: Option<Pause>,
    /// Failed probes of this lane's that repeated what was known.
    repeated: u32,
    /// From when on a subject that has not failed may be tried before the next probe is due.
    others_at: Option<DateTime<Utc>>,
    /// Whether an event's turn is before a failure row's.
    events_turn: bool,
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
        // By the number of probes, which outlives the worker that had the inbox.
        let events_turn = pause.as_ref().is_some_and(|pause| pause.probes % 2 == 1);
        Self {
            settings,
            failed: HashSet::new(),
            pause,
            repeated: 0,
            others_at: None,
            events_turn,
            probe: None,
            probe_failed: false,
            changed,
        }
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
        Some(after.saturating_sub(self.failed.len()))
    }

    /// When the next probe may run; `None` while one is under way, or without a pause.
    pub(super) fn probes_at(&self) -> Option<DateTime<Utc>> {
        self.pause.as_ref().filter(|_| self.probe.is_none()).map(|pause| pause.until)
    }

    /// When the lane has to look whether there is something to try; `None` while a probe is under way, or without a pause.
    pub(super) fn looks_at(&self) -> Option<DateTime<Utc>> {
        let probes_at = self.probes_at()?;
        Some(self.tries_others_at().map_or(probes_at, |others_at| others_at.min(probes_at)))
    }

    /// From when on a subject that has not failed may be tried, before the next probe is due.
    pub(super) fn tries_others_at(&self) -> Option<DateTime<Utc>> {
        self.probes_at()?;
        self.others_at.filter(|_| self.failed.len() < OTHERS_MOST)
    }

    /// There was nothing of another subject to try: not looked for again at once.
    pub(super) fn found_no_others(&mut self, now: DateTime<Utc>) {
        self.others_at = Some(later(now, self.settings.first));
    }

    /// Whether the subject has failed neither in the row that paused the inbox nor in the pause.
    pub(super) fn has_not_failed(&self, log: &LogName, subject: &SubjectRef) -> bool {
        // A copy of the key for each look is cheap beside the delivery that it decides about.
        self.failed.len() < OTHERS_MOST && !self.failed.contains(&(log.clone(), subject.clone()))
    }

    /// Whether a probe of this pause failed here already: a drain tries no other.
    pub(super) fn probe_failed(&self) -> bool {
        self.probe_failed
    }

    /// Whether an event's turn is before a failure row's. They take turns, so that neither rows nor new events that always
    /// fail, though others would succeed, can keep the inbox paused.
    pub(super) fn event_is_next(&self) -> bool {
        self.events_turn
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
    pub(super) fn ended(&mut self, event: &StoredEvent, result: &InboxResult, now: DateTime<Utc>) -> Turn {
        if matches!(result, Ok(Outcome::Handled)) {
            return self.handled(&event.at);
        }
        let is_probe = self.probe.take_if(|probe| *probe == event.at).is_some();
        let Some(error) = failure(result) else { return Turn::Nothing };
        let subject = (event.at.log.clone(), event.subject.clone());
        let (since, probes, turn) = match &self.pause {
            None => {
                self.failed.insert(subject);
                if self.failures_left() != Some(0) {
                    return Turn::Nothing;
                }
                self.repeated = 0;
                self.events_turn = false;
                (now, 0, Turn::Paused)
            }
            Some(pause) if is_probe => {
                let is_news = self.failed.len() < OTHERS_MOST && self.failed.insert(subject);
                self.repeated = self.repeated.saturating_add(u32::from(!is_news));
                self.events_turn = !self.events_turn;
                (pause.since, pause.probes.saturating_add(1), Turn::Nothing)
            }
            // Begun before the pause.
            Some(_) => return Turn::Nothing,
        };
        let why = stored_text(&format!("{}: {}", error.kind().as_str(), error.message()));
        self.pause = Some(Pause { since, until: later(now, self.wait()), why, probes });
        self.others_at = Some(later(now, self.settings.first));
        self.probe_failed = is_probe;
        self.changed = true;
        turn
    }

    /// Takes in the end of an attempt that went well.
    pub(super) fn handled(&mut self, event: &EventRef) -> Turn {
        self.probe.take_if(|probe| probe == event);
        self.failed.clear();
        match self.pause.take() {
            None => Turn::Nothing,
            Some(_) => {
                self.changed = true;
                Turn::GoesOn
            }
        }
    }

    fn wait(&self) -> Duration {
        let doubled = 2_u32.checked_pow(self.repeated).and_then(|factor| self.settings.first.checked_mul(factor));
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

    /// An event of a subject of its own.
    fn event(id: i64) -> StoredEvent {
        event_of(id, id)
    }

    fn event_of(id: i64, subject: i64) -> StoredEvent {
        let subject = SubjectRef::new("customer", subject);
        StoredEvent::new(
            EventRef::new("events", id),
            subject,
            "ordered".to_owned(),
            serde_json::Map::new(),
            at(0),
            at(0),
        )
    }

    fn at_of(id: i64) -> EventRef {
        event(id).at
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
            breaker.probe(at_of(8));
            assert_eq!(breaker.counted(&at_of(8), 4, result), 4);
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
            breaker.probe(at_of(1));
            assert_eq!(breaker.probes_at(), None, "one at a time");
            assert_eq!(breaker.counted(&at_of(1), 2, &failed()), 1);
            assert_eq!(breaker.ended(&event(1), &failed(), now), Turn::Nothing);
            let wait = (breaker.probes_at().unwrap() - now).as_seconds_f64();
            let seconds = f64::from(seconds);
            assert!((seconds * 0.85..=seconds).contains(&wait), "{wait} s after {} probes", nth + 1);
            assert_eq!(breaker.pause().unwrap().probes as usize, nth + 1);
            now = breaker.probes_at().unwrap();
        }
        breaker.pause.as_mut().unwrap().probes = u32::MAX;
        breaker.probe(at_of(1));
        breaker.ended(&event(1), &failed(), now);
        assert!(breaker.probes_at().unwrap() <= now + chrono::TimeDelta::seconds(300));
        assert_eq!(breaker.counted(&at_of(1), 1, &failed()), 1, "the first one counts");
    }

    #[test]
    fn one_subject_alone_pauses_nothing() {
        let mut breaker = breaker(3);
        for id in 1..=100 {
            assert_eq!(breaker.ended(&event_of(id, id % 2), &failed(), at(0)), Turn::Nothing, "two subjects of three");
        }
        assert_eq!(breaker.failures_left(), Some(1));
        assert_eq!(breaker.ended(&event_of(101, 2), &failed(), at(0)), Turn::Paused);
    }

    #[test]
    fn a_probe_of_another_subject_is_no_repeated_evidence() {
        let mut breaker = breaker(3);
        fail(&mut breaker, 1..=3);
        let wait = |breaker: &mut Breaker, id: i64| {
            breaker.probe(at_of(id));
            breaker.ended(&event(id), &failed(), at(0));
            (breaker.probes_at().unwrap() - at(0)).as_seconds_f64().ceil()
        };
        let is_other = |breaker: &Breaker, id: i64| breaker.has_not_failed(&event(id).at.log, &event(id).subject);
        assert!(!is_other(&breaker, 3) && is_other(&breaker, 4));
        let waits: Vec<_> = [4, 5, 4, 6, 1, 7].map(|id| wait(&mut breaker, id)).to_vec();
        assert_eq!(waits, [1.0, 1.0, 2.0, 2.0, 4.0, 4.0]);
        assert_eq!(breaker.tries_others_at(), Some(at(1)), "of another subject an event is tried before");
        assert_eq!(breaker.pause().unwrap().probes, 6);
        // A hundred subjects in a row are all there are.
        for id in 8..=100 {
            assert!(is_other(&breaker, id));
            wait(&mut breaker, id);
        }
        assert_eq!((is_other(&breaker, 101), breaker.tries_others_at()), (false, None));
        // 8 s, less the jitter.
        assert!((7.0..=8.0).contains(&wait(&mut breaker, 101)));
        assert_eq!(breaker.handled(&at_of(1)), Turn::GoesOn);
        fail(&mut breaker, 1..=3);
        assert!(is_other(&breaker, 4) && breaker.probes_at().unwrap() <= at(1), "the next pause begins small");
    }

    #[test]
    fn what_began_before_the_pause_is_no_probe() {
        let mut breaker = breaker(2);
        fail(&mut breaker, 1..=2);
        let before = breaker.pause().cloned();
        assert_eq!(breaker.counted(&at_of(3), 5, &failed()), 5);
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
        breaker.probe(at_of(1));
        breaker.ended(&event(1), &failed(), at(0));
        assert!(breaker.event_is_next());
        let stored = breaker.pause().cloned();
        let mut next_owner = Breaker::new(breaker.settings, stored, at(0));
        assert!(next_owner.event_is_next());
        next_owner.probe(at_of(2));
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
