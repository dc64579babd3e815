//! A delivery: one event at one inbox, and how a handler's arguments are taken from it.

use std::any::{Any, TypeId};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use super::outcome::{ErrorKind, InboxError};
use super::state::States;
use crate::event::{Decoded, DomainEvent, EventDescriptor};
use crate::metadata::DecodeError;
use crate::recorded::{Recorded, StoredEvent};
use crate::storage::ReadEvent;

/// An event that was read, decoded at most once per enum however many inboxes take it.
pub(crate) struct LoadedEvent {
    stored: Arc<StoredEvent>,
    /// The enum that a log's subject and action belong to is unique (checked when the dispatcher is built), so one cell is
    /// enough. Empty until an inbox asks for the type.
    typed: OnceLock<(TypeId, Decoded)>,
    /// Why the row can't be read at all.
    unreadable: Option<String>,
}

impl LoadedEvent {
    pub(crate) fn new(stored: Arc<StoredEvent>) -> Self {
        Self { stored, typed: OnceLock::new(), unreadable: None }
    }

    pub(crate) fn from_read(read: ReadEvent) -> Self {
        match read {
            Ok(stored) => Self::new(stored),
            Err(broken) => Self { unreadable: Some(broken.reason), ..Self::new(broken.event) },
        }
    }

    /// Fails if the row can't be read, whatever type is asked for.
    pub(crate) fn readable(&self) -> Result<(), InboxError> {
        match &self.unreadable {
            None => Ok(()),
            Some(reason) => {
                Err(InboxError::of_kind(ErrorKind::Decode, format!("the event's row can't be read: {reason}")))
            }
        }
    }

    pub(crate) fn stored(&self) -> &Arc<StoredEvent> {
        &self.stored
    }

    fn typed<E: DomainEvent>(&self) -> Result<Arc<Recorded<E>>, DecodeError> {
        let event = E::descriptor();
        let (type_id, decoded) = self.typed.get_or_init(|| (event.type_id(), event.decode(&self.stored)));
        if *type_id == TypeId::of::<E>()
            && let Ok(typed) = decoded
            && let Ok(typed) = typed.clone().downcast::<Recorded<E>>()
        {
            return Ok(typed);
        }
        if *type_id == TypeId::of::<E>()
            && let Err(error) = decoded
        {
            return Err(error.clone());
        }
        // Another enum took the cell (an unknown action may be asked for by two): decode for this one alone.
        Recorded::from_stored(self.stored.clone()).map(Arc::new)
    }
}

/// One event at one inbox: what every extractor draws from.
pub struct Delivery<'a> {
    event: &'a LoadedEvent,
    inbox: &'static str,
    attempt: Attempt,
    states: &'a States,
    transaction: Option<&'a (dyn Any + Send + Sync)>,
}

impl<'a> Delivery<'a> {
    pub(crate) fn new(
        event: &'a LoadedEvent,
        inbox: &'static str,
        attempt: Attempt,
        states: &'a States,
        transaction: Option<&'a (dyn Any + Send + Sync)>,
    ) -> Self {
        Self { event, inbox, attempt, states, transaction }
    }

    /// The event without its type.
    pub fn stored(&self) -> &Arc<StoredEvent> {
        self.event.stored()
    }

    /// The event as one of `E`.
    ///
    /// # Errors
    /// When it is none: the delivery becomes a dead letter at once.
    pub fn event<E: DomainEvent>(&self) -> Result<Event<E>, InboxError> {
        match self.event.typed() {
            Ok(recorded) => Ok(Event(recorded)),
            Err(error) => Err(InboxError::of_kind(ErrorKind::Decode, error.to_string())),
        }
    }

    /// The inbox's stored name.
    pub fn inbox(&self) -> &'static str {
        self.inbox
    }

    /// Which attempt this is.
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// The values given to the dispatcher.
    pub fn states(&self) -> &'a States {
        self.states
    }

    /// The storage's open transaction, in a transactional inbox.
    pub fn transaction<T: Any>(&self) -> Option<&'a T> {
        self.transaction?.downcast_ref()
    }
}

/// Takes one argument of a handler from the delivery. Implement it for extractors of your own; forward `declare` to those
/// that yours uses, so that the dispatcher knows what they need.
///
/// ```
/// use event_core::{Delivery, FromDelivery, InboxError, Needs, State};
///
/// #[derive(Clone)]
/// struct Config { tenant: String }
///
/// /// The tenant's name.
/// struct Tenant(String);
///
/// impl<'a> FromDelivery<'a> for Tenant {
///     async fn from_delivery(delivery: &'a Delivery<'a>) -> Result<Self, InboxError> {
///         let State(config) = State::<Config>::from_delivery(delivery).await?;
///         Ok(Tenant(config.tenant))
///     }
///     fn declare(needs: &mut Needs) {
///         State::<Config>::declare(needs);
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be an argument of an inbox",
    label = "not an extractor",
    note = "take `Event<E>`, `AnyEvent`, `State<T>`, `Attempt`, `Db`, `Txn<'_>`, or implement `FromDelivery` for `{Self}`"
)]
pub trait FromDelivery<'a>: Sized {
    /// Takes the argument.
    ///
    /// # Errors
    /// Whatever keeps it from being taken; the delivery fails with it.
    fn from_delivery(delivery: &'a Delivery<'a>) -> impl Future<Output = Result<Self, InboxError>> + Send;

    /// Says what the argument needs, once, when the dispatcher is built.
    fn declare(needs: &mut Needs) {
        let _ = needs;
    }
}

/// Takes an argument that may be absent: what `Option<T>` is made by.
pub trait OptionalFromDelivery<'a>: Sized {
    /// Takes the argument, or finds that there is none.
    ///
    /// # Errors
    /// Whatever keeps that from being found out; the delivery fails with it.
    fn from_delivery(delivery: &'a Delivery<'a>) -> impl Future<Output = Result<Option<Self>, InboxError>> + Send;

    /// Says what the argument needs, once, when the dispatcher is built.
    fn declare(needs: &mut Needs) {
        let _ = needs;
    }
}

impl<'a, T: OptionalFromDelivery<'a>> FromDelivery<'a> for Option<T> {
    // No `async fn`: a second future around the first is more than the compiler can prove `Send` for every lifetime
    // (rust-lang/rust#100013).
    fn from_delivery(delivery: &'a Delivery<'a>) -> impl Future<Output = Result<Self, InboxError>> + Send {
        T::from_delivery(delivery)
    }

    fn declare(needs: &mut Needs) {
        T::declare(needs);
    }
}

/// Which events an inbox's arguments take.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TakenEvents {
    /// Those of one enum.
    Of(&'static EventDescriptor),
    /// Those of every log.
    Any,
}

/// What an inbox's arguments need of the dispatcher; collected by [`FromDelivery::declare`].
#[derive(Debug, Default)]
pub struct Needs {
    pub(crate) events: Vec<TakenEvents>,
    pub(crate) states: Vec<(TypeId, &'static str)>,
    pub(crate) transaction: bool,
    pub(crate) connection: bool,
}

impl Needs {
    /// Takes the events of `E`.
    pub fn event<E: DomainEvent>(&mut self) {
        self.events.push(TakenEvents::Of(E::descriptor()));
    }

    /// Takes the events of every log.
    pub fn any_event(&mut self) {
        self.events.push(TakenEvents::Any);
    }

    /// Wants a value of this type from `.state(...)`.
    pub fn state<T: 'static>(&mut self) {
        self.states.push((TypeId::of::<T>(), std::any::type_name::<T>()));
    }

    /// Writes in the transaction that saves the cursor: the inbox becomes transactional.
    pub fn transaction(&mut self) {
        self.transaction = true;
    }

    /// Uses a database connection of its own, which a transactional inbox can't (it would wait for itself).
    pub fn connection(&mut self) {
        self.connection = true;
    }
}

/// An argument that is the delivered event: what `when` is asked about.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no event argument",
    label = "`on` and `when` need the event",
    note = "make the inbox's first argument `Event<YourEvent>` or `AnyEvent`"
)]
pub trait EventArgument: Sized {
    /// Takes the event.
    ///
    /// # Errors
    /// When it can't be read as this type.
    fn take(delivery: &Delivery<'_>) -> Result<Self, InboxError>;
}

/// The delivered event, typed: derefs to [`Recorded<E>`]. Cheap to clone.
#[derive(Debug)]
pub struct Event<E>(Arc<Recorded<E>>);

impl<E> Event<E> {
    /// Wraps a recorded event: what a filter's unit test starts from.
    pub fn new(recorded: Recorded<E>) -> Self {
        Self(Arc::new(recorded))
    }
}

impl<E> Clone for Event<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E> Deref for Event<E> {
    type Target = Recorded<E>;

    fn deref(&self) -> &Recorded<E> {
        &self.0
    }
}

impl<E: DomainEvent> EventArgument for Event<E> {
    fn take(delivery: &Delivery<'_>) -> Result<Self, InboxError> {
        delivery.event()
    }
}

impl<'a, E: DomainEvent> FromDelivery<'a> for Event<E> {
    async fn from_delivery(delivery: &'a Delivery<'a>) -> Result<Self, InboxError> {
        delivery.event()
    }

    fn declare(needs: &mut Needs) {
        needs.event::<E>();
    }
}

/// An event of whatever enum, without its type: derefs to [`StoredEvent`]. As an argument of an inbox it takes the events
/// of every log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AnyEvent(Arc<StoredEvent>);

impl AnyEvent {
    /// Wraps a stored event.
    pub fn new(stored: Arc<StoredEvent>) -> Self {
        Self(stored)
    }

    /// The shared stored event.
    pub fn into_stored(self) -> Arc<StoredEvent> {
        self.0
    }

    /// The event as one of `E`, if it is one.
    ///
    /// # Errors
    /// As [`StoredEvent::decode`]; ask [`StoredEvent::is`] first.
    pub fn typed<E: DomainEvent>(&self) -> Result<Recorded<E>, DecodeError> {
        Recorded::from_stored(self.0.clone())
    }
}

impl Deref for AnyEvent {
    type Target = StoredEvent;

    fn deref(&self) -> &StoredEvent {
        &self.0
    }
}

impl EventArgument for AnyEvent {
    fn take(delivery: &Delivery<'_>) -> Result<Self, InboxError> {
        Ok(Self(delivery.stored().clone()))
    }
}

impl<'a> FromDelivery<'a> for AnyEvent {
    async fn from_delivery(delivery: &'a Delivery<'a>) -> Result<Self, InboxError> {
        Self::take(delivery)
    }

    fn declare(needs: &mut Needs) {
        needs.any_event();
    }
}

/// Which attempt a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// After this many failed ones it is a dead letter.
    pub max: u32,
}

impl Attempt {
    pub(crate) fn new(number: u32, max: u32) -> Self {
        Self { number, max }
    }

    /// Whether a failure now makes a dead letter.
    pub fn is_last(self) -> bool {
        self.number >= self.max
    }
}

impl<'a> FromDelivery<'a> for Attempt {
    async fn from_delivery(delivery: &'a Delivery<'a>) -> Result<Self, InboxError> {
        Ok(delivery.attempt())
    }
}
