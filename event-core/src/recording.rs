//! A recording: an event on its way into a log, with who, when and why; checked before anything is written.

use std::collections::HashSet;
use std::marker::PhantomData;

use chrono::{DateTime, Datelike, SubsecRound, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::context::{self, Correlation, EventContext};
use crate::event::{Action, ActorDescriptor, DomainEvent};
use crate::limits::{event_bytes_max, json_bytes};
use crate::metadata::{EncodeError, Metadata};
use crate::names::{ActorRef, AttachmentId, EventRef, ID_MAX, KEY_MAX, KeyText, NAME_MAX, SubjectRef};
use crate::recorded::StoredEvent;
use crate::registry;
use crate::throttle::{self, Throttle, ThrottleGate};

/// The most attachments of an event.
pub const ATTACHMENTS_MAX: usize = 1_000;

/// What is wrong with a recording, found before anything was written.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// Nobody was named who made it happen.
    #[error(
        "`{event}`, action `{action}`: no actor; say who with `.by(&user)` or in the context (`with_context`), or `.by_system()` when nobody did it"
    )]
    MissingActor {
        /// The event enum.
        event: &'static str,
        /// The action.
        action: &'static str,
    },
    /// The enum names its kinds of actors, and the actor is of another kind. It may come from the context (`with_context`).
    #[error(
        "`{event}`, action `{action}`: an actor of kind `{kind}`, and the kinds of actors of `{event}` are {known}; name the kind in \
         the enum's attribute (`actor(api_key::Entity)`), or say who else did it (`.by(&user)`, `.by_system()`)"
    )]
    UnknownActor {
        /// The event enum.
        event: &'static str,
        /// The action.
        action: &'static str,
        /// The actor's kind; at most [`NAME_MAX`] characters of it.
        kind: String,
        /// The kinds that the enum names, with commas between.
        known: String,
    },
    /// The subject's id is empty.
    #[error("`{event}`, action `{action}`: the id of its subject `{subject}` is empty; record on a saved model")]
    EmptySubject {
        /// The event enum.
        event: &'static str,
        /// The action.
        action: &'static str,
        /// The subject's name.
        subject: &'static str,
    },
    /// A text is empty, too long for its column, or holds NUL, which PostgreSQL can't store.
    #[error("`{event}`, action `{action}`: {what} {problem}")]
    BadText {
        /// The event enum.
        event: &'static str,
        /// The action.
        action: &'static str,
        /// Which text.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The time it happened is none that every database can store.
    #[error(
        "`{event}`, action `{action}`: it can't have happened in the year {year}; databases store the years 1 to 9999"
    )]
    BadTime {
        /// The event enum.
        event: &'static str,
        /// The action.
        action: &'static str,
        /// The year.
        year: i32,
    },
    /// The event can't be metadata.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The event has more bytes than events may have.
    #[error(
        "`{event}`, action `{action}`: its metadata, context and snapshot are {bytes} bytes of JSON; {most} at most. Keep large \
         contents as an attachment, or raise the limit where the program starts: `event_core::set_event_bytes_max(...)`"
    )]
    TooLarge {
        /// The event enum.
        event: &'static str,
        /// The action.
        action: &'static str,
        /// How many bytes of JSON its metadata, context and snapshot have together.
        bytes: usize,
        /// The most that they may have: [`event_bytes_max`](crate::event_bytes_max).
        most: usize,
    },
    /// The correlation id is the name of an event, whose tree it would join.
    #[error(
        "`{event}`, action `{action}`: a correlation id in the form of `<log>/<id>` names an event, and would put this one into its \
         tree. Where it belongs there, say so with `.correlated_with(&event)`; an id that came from outside is a fact \
         (`.context(...)`)"
    )]
    ReservedCorrelation {
        /// The event enum.
        event: &'static str,
        /// The action.
        action: &'static str,
    },
    /// The snapshot can't be JSON.
    #[error("`{event}`, action `{action}`: the snapshot can't be serialised ({reason})")]
    Snapshot {
        /// The event enum.
        event: &'static str,
        /// The action.
        action: &'static str,
        /// Why.
        reason: String,
    },
    /// A snapshot of a serialised value, of an enum that leaves columns out.
    #[error(
        "`{event}`, action `{action}`: the enum leaves columns out (`except(...)`), and a serialised value doesn't say which of its \
         fields they are; use `.snapshot(&model)`, which goes by columns"
    )]
    SnapshotExcept {
        /// The event enum.
        event: &'static str,
        /// The action.
        action: &'static str,
    },
}

/// Who did it, once that is said.
#[derive(Clone, Debug)]
pub(crate) enum By {
    System,
    Actor(ActorRef),
}

/// An event of `E` about to be recorded.
///
/// Made by [`RecordOn::on`], or by `record` of the storage crate; ended by its `save`. Until then nothing is written.
#[derive(Debug)]
#[must_use = "nothing is recorded until `.save(...)` is awaited"]
pub struct Recording<E> {
    draft: Draft,
    event: PhantomData<fn() -> E>,
}

/// A recording without its type, for many of different enums at once.
#[derive(Clone, Debug)]
#[must_use = "nothing is recorded until it is saved"]
pub struct Draft {
    event: &'static str,
    action: &'static str,
    log: &'static str,
    version: u32,
    subject: &'static str,
    subject_id: KeyText,
    actors: &'static [ActorDescriptor],
    by: Option<By>,
    metadata: Result<Metadata, EncodeError>,
    snapshot: Option<Result<Value, RecordingError>>,
    context: Option<Metadata>,
    correlation: Option<Correlation>,
    causation: Option<EventRef>,
    batch_id: Option<String>,
    key: Option<String>,
    occurred_at: Option<DateTime<Utc>>,
    throttle: Option<Throttle>,
    attachments: Vec<AttachmentId>,
}

impl<E: DomainEvent> Recording<E> {
    /// `event` on the subject with this id.
    pub fn new(event: E, subject_id: impl Into<KeyText>) -> Self {
        let enumeration = E::descriptor();
        let action = event.action();
        Self {
            draft: Draft {
                event: enumeration.name(),
                action: action.name(),
                log: enumeration.log(),
                version: action.descriptor().version(),
                subject: enumeration.subject(),
                subject_id: subject_id.into(),
                actors: enumeration.actors(),
                by: None,
                metadata: event.encode(),
                snapshot: None,
                context: None,
                correlation: None,
                causation: None,
                batch_id: None,
                key: None,
                occurred_at: None,
                throttle: action.descriptor().throttle(),
                attachments: Vec::new(),
            },
            event: PhantomData,
        }
    }

    /// `event` on the subject with this id, with what the loaded subject adds to the context.
    #[doc(hidden)]
    pub fn of_model(event: E, subject_id: impl Into<KeyText>, subject: &dyn std::any::Any) -> Self {
        let mut recording = Self::new(event, subject_id);
        recording.draft.context = E::defaults(subject).filter(|facts| !facts.is_empty());
        recording
    }

    /// The actor, by reference; the storage crate's `.by(&user)` makes one from a model and checks its type.
    ///
    /// Its kind must be one that the enum names in `actor(...)`, or the recording is refused with [`RecordingError::UnknownActor`]. An
    /// enum that names no kind takes every kind.
    pub fn by_ref(mut self, actor: ActorRef) -> Self {
        self.draft.by = Some(By::Actor(actor));
        self
    }

    /// Nobody did it: a timer, an import, the program itself.
    pub fn by_system(mut self) -> Self {
        self.draft.by = Some(By::System);
        self
    }

    /// When it happened, if not now; kept to the microsecond.
    pub fn at(mut self, occurred_at: DateTime<Utc>) -> Self {
        self.draft.occurred_at = Some(occurred_at);
        self
    }

    /// An idempotency key, unique in the log: the same event under the same key is recorded once, another event under it is
    /// an error. At most [`KEY_MAX`] characters.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.draft.key = Some(key.into());
        self
    }

    /// What this event belongs together with, across logs and services. At most [`KEY_MAX`] characters, and not the name of an event
    /// (`events/7`): that would put this one into the tree of causes of another, which only
    /// [`correlated_with`](Self::correlated_with) may.
    ///
    /// A correlation id groups events and grants no access: whoever knows an id may record under it.
    pub fn correlation(mut self, id: impl Into<String>) -> Self {
        self.draft.correlation = Some(Correlation::Given(id.into()));
        self
    }

    /// Puts this event into the tree of causes that `event` belongs to: under its correlation id, or under its name if it has none.
    /// What a handler of a single event records is there already.
    pub fn correlated_with(mut self, event: &StoredEvent) -> Self {
        self.draft.correlation = Some(Correlation::of(event));
        self
    }

    /// The event whose handling records this one. Its log may be that of another program; its id is at least 1.
    pub fn caused_by(mut self, cause: EventRef) -> Self {
        self.draft.causation = Some(cause);
        self
    }

    /// One fact about the surroundings (request id, IP address); call it once per fact.
    pub fn context(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.draft.context.get_or_insert_default().insert(name.into(), value.into());
        self
    }

    /// A file that goes with the event, stored before; call it once per file. It becomes the event's as the event is recorded, or
    /// neither does; an attachment belongs to one event. At most [`ATTACHMENTS_MAX`] to an event.
    pub fn attach(mut self, attachment: impl Into<AttachmentId>) -> Self {
        self.draft.attachments.push(attachment.into());
        self
    }

    /// At most once in this time, per subject or as the [`Throttle`] says; in place of the variant's `throttle = "..."`. Time is
    /// that of the events: [`at`](Self::at), or now.
    pub fn throttle(mut self, throttle: impl Into<Throttle>) -> Self {
        self.draft.throttle = Some(throttle.into());
        self
    }

    /// However often it happens, whatever the variant's `throttle = "..."` says.
    pub fn unthrottled(mut self) -> Self {
        self.draft.throttle = None;
        self
    }

    /// A snapshot of your own making, kept with the event as it serialises: a DTO, a `json!`. Of a SeaORM model the storage crate's
    /// `.snapshot(&model)` makes one column by column.
    ///
    /// An enum that leaves columns out (`except(...)`) refuses it with [`RecordingError::SnapshotExcept`], since what serde made of a
    /// value no longer says which column it came from.
    pub fn snapshot_value(mut self, snapshot: &impl Serialize) -> Self {
        let (event, action) = (self.draft.event, self.draft.action);
        self.draft.snapshot = Some(if E::descriptor().except().is_empty() {
            let snapshot = serde_json::to_value(snapshot);
            snapshot.map_err(|error| RecordingError::Snapshot { event, action, reason: error.to_string() })
        } else {
            Err(RecordingError::SnapshotExcept { event, action })
        });
        self
    }

    /// For the storage crate: a snapshot in which columns were left out already.
    #[doc(hidden)]
    pub fn snapshot_of_columns(mut self, columns: Metadata) -> Self {
        self.draft.snapshot = Some(Ok(Value::Object(columns)));
        self
    }

    /// Changes of your own finding: each attribute's name, what it was and what it is; those of further calls are added. Kept in the
    /// context, apart from the metadata, and read by [`StoredEvent::changes`]. The storage crate's `.changes(&before, &after)` finds
    /// a model's.
    ///
    /// The names are taken as given. Those of columns that the enum leaves out (`except(...)`) are dropped, be it the field's name, the
    /// column's or the one that serde writes.
    pub fn changed(self, changes: impl IntoIterator<Item = (impl Into<String>, Value, Value)>) -> Self {
        let changes = changes.into_iter().map(|(name, from, to)| (name.into(), from, to));
        self.changed_columns(changes.filter(|(name, ..)| !E::descriptor().leaves_out_name(name)))
    }

    /// For the storage crate: changes in which columns were left out already.
    #[doc(hidden)]
    pub fn changed_columns(mut self, changes: impl IntoIterator<Item = (String, Value, Value)>) -> Self {
        let changes = changes.into_iter().filter(|(_, from, to)| from != to);
        let changes: Metadata =
            changes.map(|(name, from, to)| (name, serde_json::json!({"from": from, "to": to}))).collect();
        match self.draft.context.as_mut().and_then(|context| context.get_mut(context::CHANGES)) {
            Some(Value::Object(earlier)) => {
                earlier.extend(changes);
                self
            }
            _ if changes.is_empty() => self,
            _ => self.context(context::CHANGES, Value::Object(changes)),
        }
    }
}

impl<E> Clone for Recording<E> {
    fn clone(&self) -> Self {
        Self { draft: self.draft.clone(), event: PhantomData }
    }
}

impl<E> From<Recording<E>> for Draft {
    fn from(recording: Recording<E>) -> Self {
        recording.draft
    }
}

impl Draft {
    /// The same draft, by the system if nobody was named.
    pub(crate) fn or_by_system(mut self) -> Self {
        self.by.get_or_insert(By::System);
        self
    }

    /// What the recording leaves open, from the context that it is saved in.
    fn fill_in(&mut self, context: EventContext) {
        if self.by.is_none() {
            self.by = context.by;
        }
        if self.correlation.is_none() {
            self.correlation = context.correlation;
        }
        if self.causation.is_none() {
            self.causation = context.causation;
        }
        self.batch_id = context.batch_id;
        if !context.facts.is_empty() {
            let facts = self.context.get_or_insert_default();
            for (name, value) in context.facts {
                facts.entry(name).or_insert(value);
            }
        }
    }

    /// Checks everything and gives what is to be written, with what the context fills in; `now` is the time of what has none of its own.
    ///
    /// # Errors
    /// The first thing that is wrong. Nothing was written.
    pub fn finish(mut self, now: DateTime<Utc>) -> Result<NewEvent, RecordingError> {
        if let Some(context) = context::here() {
            self.fill_in(context);
        }
        let (event, action) = (self.event, self.action);
        let actor = match self.by {
            Some(By::Actor(actor)) => Some(actor),
            Some(By::System) => None,
            None => return Err(RecordingError::MissingActor { event, action }),
        };
        if self.subject_id.as_str().is_empty() {
            return Err(RecordingError::EmptySubject { event, action, subject: self.subject });
        }
        if let Some(actor) = &actor
            && !self.actors.is_empty()
            && !self.actors.iter().any(|known| known.name() == actor.kind)
        {
            let known: Vec<_> = self.actors.iter().map(|known| format!("`{}`", known.name())).collect();
            let kind = actor.kind.chars().take(NAME_MAX).collect();
            return Err(RecordingError::UnknownActor { event, action, kind, known: known.join(", ") });
        }
        let check = |what: &'static str, text: Option<&str>, most: usize| match text
            .and_then(|text| text_problem(text, most))
        {
            Some(problem) => Err(RecordingError::BadText { event, action, what, problem }),
            None => Ok(()),
        };
        check("the subject's id", Some(self.subject_id.as_str()), ID_MAX)?;
        check("the actor's kind", actor.as_ref().map(|actor| &*actor.kind), NAME_MAX)?;
        check("the actor's id", actor.as_ref().map(|actor| actor.id.as_str()), ID_MAX)?;
        check("the idempotency key", self.key.as_deref(), KEY_MAX)?;
        check("the batch's id", self.batch_id.as_deref(), KEY_MAX)?;
        check("the cause's log", self.causation.as_ref().map(|cause| cause.log.as_str()), NAME_MAX)?;
        if let Some(cause) = self.causation.as_ref().filter(|cause| cause.id < 1) {
            let problem = format!("is {}; ids begin at 1", cause.id);
            return Err(RecordingError::BadText { event, action, what: "the cause's id", problem });
        }
        check("the correlation id", self.correlation.as_ref().map(Correlation::id), KEY_MAX)?;
        if self.correlation.as_ref().is_some_and(Correlation::is_reserved) {
            return Err(RecordingError::ReservedCorrelation { event, action });
        }
        let occurred_at = self.occurred_at.unwrap_or(now);
        if !(1..=9999).contains(&occurred_at.year()) {
            return Err(RecordingError::BadTime { event, action, year: occurred_at.year() });
        }
        if let Some(problem) = attachments_problem(&self.attachments) {
            return Err(RecordingError::BadText { event, action, what: "the attachments", problem });
        }
        let metadata = self.metadata?;
        let nested = metadata.values().map(depth).max().unwrap_or(0) + 1;
        if nested > DEPTH_MAX {
            let problem = format!("is nested {nested} levels deep; {DEPTH_MAX} at most, or it could not be read back");
            return Err(RecordingError::BadText { event, action, what: "the metadata", problem });
        }
        let snapshot = self.snapshot.transpose()?;
        let json =
            [Some(json_bytes(&metadata)), self.context.as_ref().map(json_bytes), snapshot.as_ref().map(json_bytes)];
        let (bytes, most) = (json.into_iter().flatten().sum(), event_bytes_max());
        if bytes > most {
            return Err(RecordingError::TooLarge { event, action, bytes, most });
        }
        // What the coarsest database keeps, so that an event reads back as it was recorded.
        let occurred_at = occurred_at.trunc_subsecs(6);
        let subject = SubjectRef { kind: self.subject.into(), id: self.subject_id.as_str().to_owned() };
        let throttle = match self.throttle {
            None => None,
            Some(throttle) => match end_of(&throttle, occurred_at) {
                Some(until) => {
                    Some(ThrottleGate::new(throttle.name(action, &subject, actor.as_ref()), occurred_at, until))
                }
                None => {
                    let problem = "is longer than a hundred years, or ends after the year 9999".to_owned();
                    return Err(RecordingError::BadText { event, action, what: "the throttle", problem });
                }
            },
        };
        Ok(NewEvent {
            log: self.log,
            subject,
            actor,
            action,
            version: self.version,
            metadata,
            snapshot,
            context: self.context,
            correlation_id: self.correlation.map(Correlation::into_id),
            causation: self.causation,
            batch_id: self.batch_id,
            idempotency_key: self.key,
            occurred_at,
            throttle,
            attachments: self.attachments,
        })
    }
}

/// When a throttle that begins now ends, if databases can store that.
fn end_of(throttle: &Throttle, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if throttle.every > throttle::LONGEST {
        return None;
    }
    let until = now.checked_add_signed(TimeDelta::from_std(throttle.every).ok()?)?;
    (until.year() <= 9999).then(|| until.trunc_subsecs(6))
}

/// How deep metadata may be nested: serde_json reads no more than 128 levels.
const DEPTH_MAX: usize = 100;

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn attachments_problem(attachments: &[AttachmentId]) -> Option<String> {
    if attachments.len() > ATTACHMENTS_MAX {
        return Some(format!("are {}; {ATTACHMENTS_MAX} at most", attachments.len()));
    }
    let mut seen = HashSet::new();
    for attachment in attachments {
        if !attachment.is_valid() {
            return Some("have an id that is none: a UUID in lower case, as storing gave it".to_owned());
        }
        if !seen.insert(attachment) {
            return Some(format!("have {attachment} twice"));
        }
    }
    None
}

fn text_problem(text: &str, most: usize) -> Option<String> {
    if text.is_empty() {
        Some("is empty".to_owned())
    } else if text.chars().count() > most {
        Some(format!("has {} characters; {most} at most", text.chars().count()))
    } else if text.contains('\0') {
        Some("holds a NUL character".to_owned())
    } else {
        None
    }
}

/// A checked event, ready to be written by a storage.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are those of StoredEvent, and are described there")]
pub struct NewEvent {
    pub log: &'static str,
    pub subject: SubjectRef,
    pub actor: Option<ActorRef>,
    pub action: &'static str,
    pub version: u32,
    pub metadata: Metadata,
    pub snapshot: Option<Value>,
    pub context: Option<Metadata>,
    pub correlation_id: Option<String>,
    pub causation: Option<EventRef>,
    pub batch_id: Option<String>,
    pub idempotency_key: Option<String>,
    pub occurred_at: DateTime<Utc>,
    /// What it has to pass to be recorded at all.
    pub throttle: Option<ThrottleGate>,
    /// The files that become its own as it is recorded; no two the same.
    pub attachments: Vec<AttachmentId>,
}

impl NewEvent {
    /// Whether a stored event is this very one: same subject, actor, action, version and metadata. What an idempotency key
    /// stands for; times and surroundings may differ between two tries.
    ///
    /// An event that was stored under an alias, an older version or with fewer fields is the same if it would be stored as
    /// this one today.
    pub fn is_same_as(&self, stored: &StoredEvent) -> bool {
        self.differences(stored).is_empty()
    }

    /// In what they differ: `subject`, `action`, `version`, `metadata`, `actor`. See [`is_same_as`](Self::is_same_as).
    pub fn differences(&self, stored: &StoredEvent) -> Vec<&'static str> {
        let as_is = self.action == stored.action && self.version == stored.version && stored.metadata == self.metadata;
        let (mut action, mut version, mut metadata) = (true, true, true);
        if !as_is {
            let known = registry::describe(stored);
            let today = known.and_then(|(event, _)| event.rewrite(stored));
            action = known.map_or(&*stored.action, |(_, action)| action.name()) == self.action;
            metadata = *today.as_ref().unwrap_or(&stored.metadata) == self.metadata;
            // Of another action, what it would be today says nothing.
            version = self.version == stored.version || action && metadata && today.is_some();
        }
        let same = [
            ("subject", self.subject == stored.subject),
            ("action", action),
            ("version", version),
            ("metadata", metadata),
            ("actor", self.actor == stored.actor),
        ];
        same.into_iter().filter(|(_, same)| !same).map(|(what, _)| what).collect()
    }

    /// The event as it stands in its log.
    pub fn into_stored(self, at: EventRef, created_at: DateTime<Utc>) -> StoredEvent {
        StoredEvent {
            at,
            subject: self.subject,
            actor: self.actor,
            action: self.action.into(),
            version: self.version,
            metadata: self.metadata.into(),
            context: self.context,
            correlation_id: self.correlation_id,
            causation: self.causation,
            batch_id: self.batch_id,
            snapshot: self.snapshot,
            idempotency_key: self.idempotency_key,
            occurred_at: self.occurred_at,
            created_at,
        }
    }
}

/// Records an event on a subject that is not loaded: `IssueEvent::Closed.on(7)`.
pub trait RecordOn: DomainEvent {
    /// Starts a recording of this event on the subject with this id.
    fn on(self, subject_id: impl Into<KeyText>) -> Recording<Self> {
        Recording::new(self, subject_id)
    }
}

impl<E: DomainEvent> RecordOn for E {}

/// What became of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Saved {
    /// It is a new event of the log.
    Recorded(EventRef),
    /// The same event stood there under the same idempotency key; nothing was written.
    AlreadyRecorded(EventRef),
    /// It was recorded a moment ago, and is throttled until then; nothing was written.
    Throttled {
        /// From when on it is recorded again.
        until: DateTime<Utc>,
    },
}

impl Saved {
    /// The event, new or not; none if it was throttled.
    pub fn event(&self) -> Option<&EventRef> {
        match self {
            Self::Recorded(event) | Self::AlreadyRecorded(event) => Some(event),
            Self::Throttled { .. } => None,
        }
    }

    /// Whether this call recorded it.
    pub fn is_new(&self) -> bool {
        matches!(self, Self::Recorded(_))
    }
}
