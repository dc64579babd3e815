//! Throttles: an action recorded at most once in so long a time.

use std::borrow::Cow;
use std::time::Duration;

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

use crate::names::{ActorRef, SubjectRef};

/// The longest time of a throttle: a hundred years.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How often an action is recorded at most: once per subject in so long a time, or once per subject and actor, or once per key of
/// the caller's.
///
/// `#[event(throttle = "5m")]` on a variant gives its default; `.throttle(...)` on a recording replaces it.
///
/// The time is that of the events ([`.at(...)`](crate::Recording::at)), and a recording is compared with two others: the newest one,
/// and the one recorded last. So history may be imported from old to new or from new to old, also while new events are recorded.
/// Imported in no order, more of it is kept than one in so long a time.
///
/// ```
/// use std::time::Duration;
/// use event_core::Throttle;
///
/// let viewed = Throttle::per_subject(Duration::from_secs(300));
/// assert_eq!(Throttle::from(Duration::from_secs(300)), viewed);
/// let by_each = Throttle::per_actor(Duration::from_secs(300));
/// let by_session = Throttle::per_key(Duration::from_secs(300), "session 7");
/// # let _ = (by_each, by_session);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throttle {
    pub(crate) every: Duration,
    scope: Scope,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    Subject,
    SubjectAndActor,
    Key(Cow<'static, str>),
}

impl Throttle {
    /// Once per subject in this time.
    pub const fn per_subject(every: Duration) -> Self {
        Self { every, scope: Scope::Subject }
    }

    /// Once per subject and actor; the system counts as one.
    pub const fn per_actor(every: Duration) -> Self {
        Self { every, scope: Scope::SubjectAndActor }
    }

    /// Once per key, whatever the subject and the actor; the key counts within the log and the action.
    pub fn per_key(every: Duration, key: impl Into<Cow<'static, str>>) -> Self {
        Self { every, scope: Scope::Key(key.into()) }
    }

    /// What counts together, as a name of 64 characters. A hash: the parts together may be longer than a key of an index.
    pub(crate) fn name(&self, action: &str, subject: &SubjectRef, actor: Option<&ActorRef>) -> String {
        let mut hash = Sha256::new();
        let mut add = |part: &str| {
            // With their lengths, so that no two lists of parts are one text.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        };
        add(action);
        match &self.scope {
            Scope::Key(key) => add(key),
            Scope::Subject | Scope::SubjectAndActor => {
                add(&subject.kind);
                add(&subject.id);
            }
        }
        if let (Scope::SubjectAndActor, Some(actor)) = (&self.scope, actor) {
            add(&actor.kind);
            add(&actor.id);
        }
        // How many parts there are says which scope it is, but for a subject without an actor: "per actor" by the system.
        add(match self.scope {
            Scope::Subject => "subject",
            Scope::SubjectAndActor => "actor",
            Scope::Key(_) => "key",
        });
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl From<Duration> for Throttle {
    /// Once per subject.
    fn from(every: Duration) -> Self {
        Self::per_subject(every)
    }
}

/// A throttle that a recording has to pass: taken until then if it is free now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThrottleGate {
    /// What counts together: 64 characters.
    pub name: String,
    /// How long it is taken by an event.
    pub every: TimeDelta,
    /// When the event happens.
    pub now: DateTime<Utc>,
    /// Until when it is taken, once passed: `now` and `every`.
    pub until: DateTime<Utc>,
    /// `every` before `now`, or the first time that databases can store.
    pub since: DateTime<Utc>,
    /// `every` after `until`, or the last time that databases can store.
    pub beyond: DateTime<Utc>,
}

/// What a throttle remembers of the events that passed it.
///
/// Two times, since events are not recorded in the order of their times: history is imported while new events come. The newest
/// event's keeps what is new apart; the last recorded one's keeps what is imported apart, from old to new or from new to old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub struct ThrottleState {
    /// Until when it is taken by the newest event.
    pub until: DateTime<Utc>,
    /// When the event happened that was recorded last.
    pub last_at: DateTime<Utc>,
}

impl ThrottleGate {
    pub(crate) fn new(name: String, now: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        let every = until - now;
        let since = now.checked_sub_signed(every).filter(|time| time.year() >= 1);
        let beyond = until.checked_add_signed(every).filter(|time| time.year() <= 9999);
        Self {
            name,
            every,
            now,
            until,
            since: since.unwrap_or_else(first_time),
            beyond: beyond.unwrap_or_else(last_time),
        }
    }

    /// Until when the event is throttled; `None` if it may be recorded. Databases decide the same in their statement.
    #[doc(hidden)]
    pub fn taken_until(&self, state: &ThrottleState) -> Option<DateTime<Utc>> {
        let apart_from_newest = state.until <= self.now || state.until >= self.beyond;
        let apart_from_last = state.last_at <= self.since || state.last_at >= self.until;
        match (apart_from_last, apart_from_newest) {
            (true, true) => None,
            (false, _) => Some(state.last_at.checked_add_signed(self.every).unwrap_or_else(last_time)),
            (true, false) => Some(state.until),
        }
    }

    /// What is remembered once the event is recorded.
    pub(crate) fn taken(&self, before: Option<ThrottleState>) -> ThrottleState {
        let until = before.map_or(self.until, |before| before.until.max(self.until));
        ThrottleState { until, last_at: self.now }
    }
}

/// 0001-01-01T00:00:00Z
fn first_time() -> DateTime<Utc> {
    DateTime::from_timestamp(-62_135_596_800, 0).unwrap_or_default()
}

/// 9999-12-31T23:59:59Z
fn last_time() -> DateTime<Utc> {
    DateTime::from_timestamp(253_402_300_799, 0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(throttle: &Throttle, subject: &str, actor: Option<&str>) -> String {
        let actor = actor.map(|id| ActorRef::new("user", id));
        throttle.name("viewed", &SubjectRef::new("issue", subject), actor.as_ref())
    }

    #[test]
    fn what_counts_together_has_one_name() {
        let minute = Duration::from_secs(60);
        let (subject, actor) = (Throttle::per_subject(minute), Throttle::per_actor(minute));
        let key = Throttle::per_key(minute, "a");
        assert_eq!(name(&subject, "1", Some("2")), name(&subject, "1", None));
        assert_ne!(name(&subject, "1", None), name(&subject, "2", None));
        assert_ne!(name(&actor, "1", Some("2")), name(&actor, "1", Some("3")));
        assert_ne!(name(&actor, "1", None), name(&subject, "1", None));
        assert_eq!(name(&key, "1", Some("2")), name(&key, "2", None));
        assert_eq!(name(&subject, "1", None).len(), 64);
    }
}
