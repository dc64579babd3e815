//! The health of a dispatcher: what it is at, how far behind, and what troubles it. Asked of memory, not of the database.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Dispatcher;
use super::vitals::{InboxVitals, LaneState, LogSigns, locked};
use crate::names::LogName;
use crate::storage::{Pause, Storage, StorageError, StorageErrorKind};

/// How a dispatcher is, as far as it knows at this moment: it answers also when the database does not.
///
/// Times are those of the dispatcher's clock. It serializes, for an endpoint that shows it; what it holds of texts are the
/// errors of handlers and of the database, and no event's metadata.
///
/// ```
/// use event_core::dispatch::{Dispatcher, InboxState};
/// use event_core::storage::Storage;
/// use std::time::Duration;
///
/// fn is_ready<S: Storage>(dispatcher: &Dispatcher<S>) -> bool {
///     let health = dispatcher.health();
///     for (inbox, health) in &health.inboxes {
///         if let InboxState::Paused(pause) = &health.state {
///             println!("{inbox} is paused since {}: {}", pause.since, pause.why);
///         }
///         for (log, place) in &health.logs {
///             if place.behind_for > Duration::from_secs(60) {
///                 println!("{inbox} is behind in {log} by {} ids and {:?}", place.behind, place.behind_for);
///             }
///         }
///     }
///     health.is_well()
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// When this was asked.
    pub at: DateTime<Utc>,
    /// Since when it runs, or drains; `None` while it does neither.
    pub running_since: Option<DateTime<Utc>>,
    /// When the database answered last: to a read or a save of a lane, or to the questions asked every third of a lease.
    pub last_reached: Option<DateTime<Utc>>,
    /// Since when the database can't be reached or can't be worked with, and why; also when it has given no answer for as long
    /// as a lease lasts.
    pub failing: Option<Trouble>,
    /// Each of its inboxes, by stored name.
    pub inboxes: BTreeMap<String, InboxHealth>,
}

/// Something that goes wrong for a while.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Trouble {
    /// When it began.
    pub since: DateTime<Utc>,
    /// What kind of trouble it is.
    pub kind: StorageErrorKind,
    /// The last error's message.
    pub error: String,
}

/// How an inbox is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct InboxHealth {
    /// What it is at.
    #[serde(flatten)]
    pub state: InboxState,
    /// Its place in each of its logs; empty while it is not known: before its first load, and while another worker has it.
    pub logs: BTreeMap<LogName, LogHealth>,
}

/// What an inbox is at.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum InboxState {
    /// This dispatcher neither runs nor drains, or has not begun with the inbox yet.
    NotRunning,
    /// It is at work, or waits for events.
    Running,
    /// Another worker has it.
    HeldElsewhere,
    /// Everything fails in it: nothing is delivered but a probe now and then.
    Paused(Pause),
    /// It had an error of the database, and starts anew from what is stored.
    Reloading(Reloading),
}

/// An inbox that starts anew after an error.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Reloading {
    /// Its trouble; since the first of the errors that followed each other closely.
    #[serde(flatten)]
    pub trouble: Trouble,
    /// When it is to start anew.
    pub again_at: DateTime<Utc>,
}

/// An inbox's place in one log, as of its last read or save.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LogHealth {
    /// When the log was read last, also if there was nothing new. A worker that waits for events reads every few seconds at
    /// least; a paused inbox only for its probes.
    pub last_read: Option<DateTime<Utc>>,
    /// When the cursor was saved last by this dispatcher. An inbox without anything to save does not.
    pub last_save: Option<DateTime<Utc>>,
    /// The highest id read.
    pub high: i64,
    /// The highest id that the log is known to have given out, asked every third of a lease.
    pub newest: i64,
    /// How many ids are not done at most. An upper bound: ids of rolled-back transactions and of events that the inbox does
    /// not take count until they are passed over. Failed deliveries do not; they are rows of their own.
    pub behind: u64,
    /// The age of the oldest event that was read and is not done; zero when all that was read is. What was recorded after the
    /// last read is not known here: that is [`LogHealth::last_read`]'s and [`LogHealth::behind`]'s to show. Serialized as
    /// seconds.
    #[serde(serialize_with = "seconds")]
    pub behind_for: Duration,
    /// Ids that were given out and are not visible: of transactions still open, or rolled back and not proved so yet.
    pub missing: u64,
    /// Ids given to handlers, or waiting for one, and not done.
    pub in_flight: u64,
    /// The oldest of the missing ids.
    pub oldest_hole: Option<OldestHole>,
    /// The lowest id of an event that was inserted with an id that the log did not give out, as of the last third of a lease. Such
    /// an event is not delivered; recording fails once the log's own ids get there.
    pub foreign_id: Option<i64>,
}

/// The oldest missing id of a log, for one inbox.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OldestHole {
    /// The id.
    pub id: i64,
    /// Since when this worker knows that it is missing.
    pub since: DateTime<Utc>,
    /// Who holds it open, where the database tells.
    pub holder: Option<String>,
}

impl Health {
    /// Whether it runs and nothing is wrong: the database answers, no inbox is paused or reloading, and no log holds an event with an
    /// id from elsewhere ([`LogHealth::foreign_id`]). How far behind an inbox may be is for the caller to say.
    pub fn is_well(&self) -> bool {
        let well = |inbox: &InboxHealth| {
            matches!(inbox.state, InboxState::Running | InboxState::HeldElsewhere)
                && inbox.logs.values().all(|log| log.foreign_id.is_none())
        };
        self.running_since.is_some() && self.failing.is_none() && self.inboxes.values().all(well)
    }
}

impl Trouble {
    pub(super) fn new(since: DateTime<Utc>, error: &StorageError) -> Self {
        Self { since, kind: error.kind(), error: error.to_string() }
    }
}

impl<S: Storage> Dispatcher<S> {
    /// How it is: from memory, without asking the database.
    pub fn health(&self) -> Health {
        let (shared, vitals) = (&self.shared, &self.shared.vitals);
        let at = shared.clock.now();
        let inboxes: BTreeMap<_, _> =
            vitals.inboxes.iter().map(|(name, inbox)| ((*name).to_owned(), self.inbox(inbox, at))).collect();
        let worker = locked(&vitals.worker);
        let silent = || {
            let (asked, since) = worker.asks.filter(|(asked, _)| asked.elapsed() > shared.options.lease)?;
            let error = format!("the database has given no answer for {:?}", asked.elapsed());
            Some(Trouble { since, kind: StorageErrorKind::Unreachable, error })
        };
        let logs = inboxes.values().flat_map(|inbox: &InboxHealth| inbox.logs.values());
        let reached = logs.flat_map(|log| [log.last_read, log.last_save]).chain([worker.reached]).flatten().max();
        Health {
            at,
            running_since: worker.since,
            last_reached: reached,
            failing: worker.failing.clone().or_else(silent),
            inboxes,
        }
    }

    fn inbox(&self, vitals: &InboxVitals, at: DateTime<Utc>) -> InboxHealth {
        let state = match (locked(&vitals.state).clone(), locked(&vitals.pause).clone()) {
            (LaneState::NotRunning, _) => InboxState::NotRunning,
            (LaneState::HeldElsewhere, _) => InboxState::HeldElsewhere,
            (LaneState::Reloading(reloading), _) => InboxState::Reloading(reloading),
            (LaneState::Running, Some(pause)) => InboxState::Paused(pause),
            (LaneState::Running, None) => InboxState::Running,
        };
        let known = vitals.logs.iter().filter_map(|(name, log)| Some((name, log.signs()?)));
        let logs = known.map(|(name, signs)| {
            let newest = self.shared.vitals.newest(name).max(signs.high);
            let mut health = LogHealth::new(signs, newest, at);
            health.foreign_id = self.shared.vitals.foreign_id(name);
            (name.clone(), health)
        });
        InboxHealth { state, logs: logs.collect() }
    }
}

impl LogHealth {
    fn new(signs: LogSigns, newest: i64, at: DateTime<Utc>) -> Self {
        let LogSigns { last_read, last_save, high, missing, in_flight, oldest, hole } = signs;
        let behind_for = oldest.and_then(|oldest| (at - oldest).to_std().ok()).unwrap_or_default();
        let missing = missing.count();
        let behind = newest.abs_diff(high) + missing + in_flight;
        Self {
            last_read,
            last_save,
            high,
            newest,
            behind,
            behind_for,
            missing,
            in_flight,
            oldest_hole: hole,
            foreign_id: None,
        }
    }
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
