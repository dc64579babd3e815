//! What a handler's result means for its event: done, or which failure row.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::plan::Plan;
use crate::inbox::{ErrorKind, InboxResult, Outcome, Retry};
use crate::names::EventRef;
use crate::recorded::StoredEvent;
use crate::storage::{Failure, FailureKey, FailureState, stored_text};

/// The longest wait: what is put off beyond it is put off to it, so that every database can store when.
const LONGEST_WAIT: TimeDelta = TimeDelta::days(100 * 365);
/// The shortest snooze: a handler that snoozes into the past must not be all that the lane does.
const SHORTEST_SNOOZE: Duration = Duration::from_secs(1);

/// The end of an attempt.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// No row is left.
    Done,
    /// This row is to stand.
    Row(Box<Failure>),
}

/// Judges the end of attempt number `attempt`; `before` is the row that stood while it ran.
pub(crate) fn judge(
    plan: &Plan,
    event: &StoredEvent,
    attempt: u32,
    before: Option<&Failure>,
    result: &InboxResult,
    now: DateTime<Utc>,
) -> Verdict {
    match result {
        Ok(Outcome::Snoozed(until)) => {
            let mut row = row(plan, event, before, now);
            row.state = FailureState::Snoozed;
            row.interrupted = 0;
            // A snooze counts no attempt.
            row.attempts = attempt.saturating_sub(1);
            let latest = now.checked_add_signed(LONGEST_WAIT).unwrap_or(now);
            row.next_attempt_at = Some((*until).min(latest).max(later(now, SHORTEST_SNOOZE)));
            Verdict::Row(Box::new(row))
        }
        Ok(_) => Verdict::Done,
        Err(error) => {
            let policy = &plan.descriptor.settings().retry;
            let mut row = row(plan, event, before, now);
            row.attempts = attempt;
            row.interrupted = 0;
            row.kind = error.kind().as_str().to_owned();
            row.error = stored_text(error.message());
            row.last_failed_at = now;
            if error.kind() == ErrorKind::Decode || error.retry() == Retry::Never || attempt >= policy.max_attempts {
                row.state = FailureState::Dead;
                row.next_attempt_at = None;
            } else {
                let wait = match error.retry() {
                    Retry::After(delay) => delay,
                    _ => policy.wait(attempt, fastrand::f64()),
                };
                row.state = FailureState::Retrying;
                row.next_attempt_at = Some(later(now, wait));
            }
            Verdict::Row(Box::new(row))
        }
    }
}

/// The row of an attempt that is about to run and may end the process: counted before the handler starts.
pub(crate) fn begun(plan: &Plan, event: &StoredEvent, before: Option<&Failure>, now: DateTime<Utc>) -> Failure {
    let mut row = row(plan, event, before, now);
    row.attempts += 1;
    row.state = FailureState::Retrying;
    // Nobody picks it up while it runs; the claim that follows a crash makes it due again.
    row.next_attempt_at = None;
    row.started_at = Some(now);
    if row.kind.is_empty() || before.is_some_and(|before| before.state == FailureState::Waiting) {
        row.kind = "crash".to_owned();
        row.error = "begun, and not ended: the process stopped before its handler did".to_owned();
    }
    row
}

/// How many interrupted attempts in a row say nothing, since others ran beside them. After so many the delivery runs alone in its
/// worker.
const BESIDE_OTHERS: u32 = 2;

/// Whether a delivery has to run alone in its worker, or ran alone where its row says that it was begun.
pub(crate) fn runs_alone(row: &Failure) -> bool {
    row.interrupted >= BESIDE_OTHERS
}

/// The row to go on from when an attempt was cut short. One that ran beside others is taken back: another delivery may have
/// ended the process.
pub(crate) fn interrupted(begun: &Failure) -> Failure {
    let mut row = begun.clone();
    if !runs_alone(begun) {
        row.attempts = begun.attempts.saturating_sub(1);
        row.interrupted += 1;
    }
    row
}

/// The dead letter of a delivery whose attempts are used up without an end of its own (the process died in each).
pub(crate) fn exhausted(before: &Failure, now: DateTime<Utc>) -> Failure {
    let mut row = before.clone();
    row.state = FailureState::Dead;
    row.next_attempt_at = None;
    row.started_at = None;
    row.kind = "crash".to_owned();
    row.error = format!(
        "none of {} attempts came to an end, though each ran alone in its worker: the process, or the handler's transaction, ended \
         in it",
        row.attempts
    );
    row.last_failed_at = now;
    row
}

/// The row of an event that waits for an earlier one of its subject.
pub(crate) fn parked(plan: &Plan, event: &StoredEvent, now: DateTime<Utc>) -> Failure {
    let mut row = row(plan, event, None, now);
    row.state = FailureState::Parked;
    row
}

/// The row of an event that this program does not know: it uses no attempt, and is due when a program that knows it has the inbox.
pub(crate) fn waiting(
    plan: &Plan,
    event: &StoredEvent,
    before: Option<&Failure>,
    why: &str,
    now: DateTime<Utc>,
) -> Failure {
    let started_at = before.and_then(|before| before.started_at);
    // What it was interrupted in stays known.
    let mut row = Failure { started_at, ..row(plan, event, before, now) };
    row.state = FailureState::Waiting;
    row.next_attempt_at = None;
    row.kind = "unknown".to_owned();
    row.error = stored_text(&format!("{why}: the event waits, without an attempt, for a program that knows it"));
    row
}

/// The dead letter of an event that the log no longer holds.
pub(crate) fn gone(before: &Failure, now: DateTime<Utc>) -> Failure {
    let mut row = before.clone();
    row.state = FailureState::Dead;
    row.next_attempt_at = None;
    row.started_at = None;
    row.kind = ErrorKind::Decode.as_str().to_owned();
    row.error = "the log no longer holds the event".to_owned();
    row.last_failed_at = now;
    row
}

/// The dead letter of an event in a log that the inbox no longer takes events of.
pub(crate) fn no_longer_taken(before: &Failure, now: DateTime<Utc>) -> Failure {
    let mut row = before.clone();
    row.state = FailureState::Dead;
    row.next_attempt_at = None;
    row.started_at = None;
    row.error = format!(
        "the inbox takes no events of log `{}` any more; the last failure: {}",
        before.key.event.log,
        if before.error.is_empty() { "none" } else { &before.error }
    );
    row.error = stored_text(&row.error);
    row.last_failed_at = now;
    row
}

fn row(plan: &Plan, event: &StoredEvent, before: Option<&Failure>, now: DateTime<Utc>) -> Failure {
    match before {
        Some(before) => Failure { started_at: None, ..before.clone() },
        None => Failure {
            key: FailureKey {
                inbox: plan.name().to_owned(),
                event: EventRef { log: event.at.log.clone(), id: event.at.id },
            },
            subject: event.subject.clone(),
            action: event.action.to_string(),
            state: FailureState::Retrying,
            attempts: 0,
            interrupted: 0,
            next_attempt_at: None,
            kind: String::new(),
            error: String::new(),
            started_at: None,
            first_failed_at: now,
            last_failed_at: now,
        },
    }
}

/// So long from now, as far as every database can store it.
pub(crate) fn later(now: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX).min(LONGEST_WAIT);
    now.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
