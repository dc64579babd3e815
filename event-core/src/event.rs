//! What an event is to this crate: the trait that `#[derive(DomainEvent)]` implements, and the enum's description.

use std::any::{Any, TypeId};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use schemars::SchemaGenerator;

use crate::metadata::{DecodeError, EncodeError, Metadata, StoredMetadata};
use crate::names::Location;
use crate::recorded::StoredEvent;
use crate::throttle::Throttle;
use crate::upcast::Upcast;

/// The events of one model, as an enum: each variant is an action, its fields are the action's metadata.
///
/// Implemented by `#[derive(DomainEvent)]` only; the trait grows without notice.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no enum of domain events",
    label = "not a domain event",
    note = "put `#[derive(Serialize, Deserialize, DomainEvent)]` on the enum, and `#[event(subject(...))]`"
)]
pub trait DomainEvent: Sized + Send + Sync + 'static {
    /// The fieldless companion enum: one variant per action.
    type Action: Action<Event = Self>;
    /// What the events happen to, as written in `subject(...)`.
    type Subject: ?Sized + 'static;
    /// Who makes them happen: the types written in `actor(...)`, as a tuple.
    type Actors: 'static;

    /// The enum's description, the same for the whole run of the program.
    fn descriptor() -> &'static EventDescriptor;

    /// This event's action.
    fn action(&self) -> Self::Action;

    /// The metadata as it is stored: always a JSON object, made by the enum's own `Serialize`.
    ///
    /// # Errors
    /// When a field can't be serialised, or a newtype variant's inner type is no object.
    fn encode(&self) -> Result<Metadata, EncodeError>;

    /// The facts that a loaded subject adds to the context of its events: see [`EventDefaults`](crate::EventDefaults).
    #[doc(hidden)]
    fn defaults(subject: &dyn Any) -> Option<Metadata> {
        let _ = subject;
        None
    }

    /// The event that was stored under `action` at `version`, read by the enum's own `Deserialize`.
    ///
    /// # Errors
    /// An unknown action, a version newer than this program knows, or metadata that does not fit: with the path of the
    /// wrong field, and never with its value.
    fn decode(action: &str, version: u32, metadata: &StoredMetadata) -> Result<Self, DecodeError>;
}

/// An action of an event enum: a variant without its fields.
pub trait Action: Copy + Eq + Ord + Hash + fmt::Debug + fmt::Display + Send + Sync + 'static {
    /// The enum whose actions these are.
    type Event: DomainEvent<Action = Self>;

    /// Every action, in the order of the variants.
    const ALL: &'static [Self];

    /// The stored name (`status_changed`).
    fn name(self) -> &'static str;

    /// The action of that stored name, if the enum has it: its name, or an alias.
    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.descriptor().is_called(name))
    }

    /// The action's description.
    fn descriptor(self) -> &'static ActionDescriptor;
}

/// Says that an enum's events may happen to `S`; emitted by the derive for the type in `subject(...)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event of `{S}`",
    label = "an event of another model",
    note = "the enum's `#[event(subject(...))]` names the model its events belong to"
)]
pub trait EventOf<S: ?Sized>: DomainEvent {}

/// Says that this type may be the actor of `E`'s events; emitted by the derive for each `actor(...)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an actor of `{E}`",
    label = "can't be the actor of this event",
    note = "name it in the enum's attribute: `#[event(actor({Self}))]`; an enum can have several actors"
)]
pub trait ActorOf<E: DomainEvent> {
    /// The actor's stable name (`user`).
    const NAME: &'static str;
    /// The column that names an actor in sentences, if one was given.
    const LABEL: Option<&'static str>;
}

/// Everything known of an event enum at run time: its log, subject, actions and schemas.
pub struct EventDescriptor {
    parts: EventParts,
}

/// An `Arc<Recorded<E>>` without its type.
pub(crate) type Decoded = Result<Arc<dyn Any + Send + Sync>, DecodeError>;

/// What the derive hands over. Not part of the public face: its fields change with the derive.
#[doc(hidden)]
pub struct EventParts {
    pub name: &'static str,
    pub log: &'static str,
    /// What a storage crate knows of the enum's own table; to this crate any value.
    pub table: Option<fn() -> &'static (dyn Any + Send + Sync)>,
    pub subject: &'static str,
    pub label: Option<&'static str>,
    pub except: Option<Except>,
    pub actors: &'static [ActorDescriptor],
    pub actions: &'static [ActionDescriptor],
    pub location: Location,
    pub type_id: fn() -> TypeId,
    pub subject_type: fn() -> TypeId,
    /// Decodes into an `Arc<Recorded<E>>`.
    pub decode: fn(&Arc<StoredEvent>) -> Decoded,
    /// Decodes, and encodes again.
    pub rewrite: fn(&StoredEvent) -> Option<Metadata>,
}

/// The columns that an enum leaves out, as the derive resolved them.
#[doc(hidden)]
pub struct Except {
    /// As their fields are written.
    pub fields: &'static [&'static str],
    /// Whether a column of the subject's entity is one of them. So is anything else, which can't be told from them.
    pub is: fn(column: &dyn Any) -> bool,
    /// Every other name that they go by: in the database, in JSON.
    pub names: fn() -> Vec<&'static str>,
}

impl EventDescriptor {
    #[doc(hidden)]
    pub const fn from_parts(parts: EventParts) -> Self {
        Self { parts }
    }

    /// The enum's name in the source (`IssueEvent`).
    pub fn name(&self) -> &'static str {
        self.parts.name
    }

    /// The log its events are recorded in.
    pub fn log(&self) -> &'static str {
        self.parts.log
    }

    /// Whether the log is a table of the enum's own (`table = "..."`), with foreign keys to its subject and actor.
    pub fn has_own_table(&self) -> bool {
        self.parts.table.is_some()
    }

    /// For the storage crate whose table it is.
    #[doc(hidden)]
    pub fn own_table(&self) -> Option<&'static (dyn Any + Send + Sync)> {
        self.parts.table.map(|table| table())
    }

    /// The subject's stable name (`issue`).
    pub fn subject(&self) -> &'static str {
        self.parts.subject
    }

    /// The subject's column that names it in sentences, if one was given.
    pub fn label(&self) -> Option<&'static str> {
        self.parts.label
    }

    /// The subject's columns that never come into an event, as their fields are written: `subject(..., except(password, body))`.
    pub fn except(&self) -> &'static [&'static str] {
        self.parts.except.as_ref().map_or(&[], |except| except.fields)
    }

    /// For the storage crate: whether the enum leaves this column of its subject out.
    #[doc(hidden)]
    pub fn leaves_out(&self, column: &dyn Any) -> bool {
        self.parts.except.as_ref().is_some_and(|except| (except.is)(column))
    }

    /// Whether this is a name of a column that the enum leaves out, in whatever case.
    pub(crate) fn leaves_out_name(&self, name: &str) -> bool {
        let letters = |text: &str| text.replace(['_', '-', ' '], "").to_lowercase();
        let name = letters(name);
        let named =
            |except: &Except| (except.names)().iter().chain(except.fields).any(|column| letters(column) == name);
        self.parts.except.as_ref().is_some_and(named)
    }

    /// The kinds of actor these events can have.
    pub fn actors(&self) -> &'static [ActorDescriptor] {
        self.parts.actors
    }

    /// The actions, in the order of the variants.
    pub fn actions(&self) -> &'static [ActionDescriptor] {
        self.parts.actions
    }

    /// The action of that stored name: its name, or an alias.
    pub fn action(&self, name: &str) -> Option<&'static ActionDescriptor> {
        self.parts.actions.iter().find(|action| action.is_called(name))
    }

    /// Where the enum stands in the source.
    pub fn location(&self) -> Location {
        self.parts.location
    }

    /// The type that was written in `subject(...)`.
    pub fn subject_type(&self) -> TypeId {
        (self.parts.subject_type)()
    }

    pub(crate) fn type_id(&self) -> TypeId {
        (self.parts.type_id)()
    }

    pub(crate) fn decode(&self, stored: &Arc<StoredEvent>) -> Decoded {
        (self.parts.decode)(stored)
    }

    /// The metadata as it would be stored today; `None` where it can't be read.
    pub(crate) fn rewrite(&self, stored: &StoredEvent) -> Option<Metadata> {
        (self.parts.rewrite)(stored)
    }
}

impl fmt::Debug for EventDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventDescriptor")
            .field("name", &self.parts.name)
            .field("log", &self.parts.log)
            .field("subject", &self.parts.subject)
            .finish_non_exhaustive()
    }
}

/// One action of an event enum, at run time.
pub struct ActionDescriptor {
    pub(crate) name: &'static str,
    variant: &'static str,
    aliases: &'static [&'static str],
    version: u32,
    upcasts: &'static [Upcast],
    summary: Option<&'static str>,
    /// How long, and whether per actor too.
    throttle: Option<(Duration, bool)>,
    schema: fn(&mut SchemaGenerator) -> schemars::Schema,
}

impl ActionDescriptor {
    #[doc(hidden)]
    pub const fn new(
        name: &'static str,
        variant: &'static str,
        version: u32,
        summary: Option<&'static str>,
        throttle: Option<(Duration, bool)>,
        schema: fn(&mut SchemaGenerator) -> schemars::Schema,
    ) -> Self {
        Self { name, variant, aliases: &[], version, upcasts: &[], summary, throttle, schema }
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn with_aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Sorted by the version that they lead from.
    #[doc(hidden)]
    #[must_use]
    pub const fn with_upcasts(mut self, upcasts: &'static [Upcast]) -> Self {
        self.upcasts = upcasts;
        self
    }

    /// The stored name (`status_changed`).
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The names it was stored under in the past: `#[event(alias = "...")]`.
    pub fn aliases(&self) -> &'static [&'static str] {
        self.aliases
    }

    /// Every name that it may be stored under: the one of today, then the aliases. What to ask for in SQL of your own.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Whether events stored under that name are of this action.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    pub(crate) fn upcasts(&self) -> &'static [Upcast] {
        self.upcasts
    }

    /// The variant in the source (`StatusChanged`).
    pub fn variant(&self) -> &'static str {
        self.variant
    }

    /// The version that is recorded today; 1 unless the variant says otherwise.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The sentence's template, if one was given.
    pub fn summary(&self) -> Option<&'static str> {
        self.summary
    }

    /// How often it is recorded at most, unless the recording says otherwise.
    pub fn throttle(&self) -> Option<Throttle> {
        self.throttle.map(|(every, per_actor)| match per_actor {
            true => Throttle::per_actor(every),
            false => Throttle::per_subject(every),
        })
    }

    /// The JSON Schema (draft 2020-12) of the action's metadata, complete with its definitions.
    pub fn schema(&self) -> schemars::Schema {
        let mut generator = SchemaGenerator::default();
        let mut schema = (self.schema)(&mut generator);
        let definitions = generator.take_definitions(true);
        if !definitions.is_empty() {
            schema.insert("$defs".to_owned(), serde_json::Value::Object(definitions));
        }
        schema
    }
}

impl fmt::Debug for ActionDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActionDescriptor")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// A kind of actor, at run time.
#[derive(Clone, Copy, Debug)]
pub struct ActorDescriptor {
    name: &'static str,
    label: Option<&'static str>,
    actor_type: fn() -> TypeId,
}

impl ActorDescriptor {
    #[doc(hidden)]
    pub const fn new(name: &'static str, label: Option<&'static str>, actor_type: fn() -> TypeId) -> Self {
        Self { name, label, actor_type }
    }

    /// The type that was written in `actor(...)`.
    pub fn actor_type(&self) -> TypeId {
        (self.actor_type)()
    }

    /// The actor's stable name (`user`).
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The actor's column that names it in sentences, if one was given.
    pub fn label(&self) -> Option<&'static str> {
        self.label
    }
}
