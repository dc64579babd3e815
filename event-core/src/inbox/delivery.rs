//! A delivery: one event at one inbox, or several together, and how a handler's arguments are taken from it.

use std::any::Any;
use std::sync::Arc;

use super::arguments::Event;
use super::loaded::LoadedEvent;
use super::needs::Needs;
use super::outcome::{ErrorKind, InboxError};
use super::state::States;
use crate::event::DomainEvent;
use crate::recorded::StoredEvent;

/// One event at one inbox, or a batch of them: what every extractor draws from.
pub struct Delivery<'a> {
    /// One, or those of a batch; never none.
    events: &'a [Arc<LoadedEvent>],
    first: &'a LoadedEvent,
    at: Place<'a>,
}

/// Where events are delivered, and how.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) inbox: &'static str,
    pub(crate) attempt: Attempt,
    pub(crate) states: &'a States,
    pub(crate) transaction: Option<&'a (dyn Any + Send + Sync)>,
}

impl<'a> Delivery<'a> {
    pub(crate) fn of_one(event: &'a Arc<LoadedEvent>, at: Place<'a>) -> Self {
        Self { events: std::slice::from_ref(event), first: event, at }
    }

    /// `None` of no event.
    pub(crate) fn of_batch(events: &'a [Arc<LoadedEvent>], at: Place<'a>) -> Option<Self> {
        let first = events.first()?;
        Some(Self { events, first, at })
    }

    /// The event without its type. Of a batch it is the first: an extractor that is about one event says so by
    /// [`Needs::one_event`].
    pub fn stored(&self) -> &Arc<StoredEvent> {
        self.first.stored()
    }

    /// The event as one of `E`; of a batch the first.
    ///
    /// # Errors
    /// When it is none: the delivery becomes a dead letter at once.
    pub fn event<E: DomainEvent>(&self) -> Result<Event<E>, InboxError> {
        typed(self.first)
    }

    /// All events without their types, in the order of the log: one, unless the inbox takes a batch.
    pub fn all_stored(&self) -> impl ExactSizeIterator<Item = &Arc<StoredEvent>> {
        self.events.iter().map(|event| event.stored())
    }

    /// All events as those of `E`, in the order of the log: one, unless the inbox takes a batch.
    ///
    /// # Errors
    /// When one of them is none.
    pub fn events<E: DomainEvent>(&self) -> Result<Vec<Event<E>>, InboxError> {
        self.events.iter().map(|event| typed(event)).collect()
    }

    /// The inbox's stored name.
    pub fn inbox(&self) -> &'static str {
        self.at.inbox
    }

    /// Which attempt this is.
    pub fn attempt(&self) -> Attempt {
        self.at.attempt
    }

    /// The values given to the dispatcher.
    pub fn states(&self) -> &'a States {
        self.at.states
    }

    /// The storage's open transaction, in a transactional inbox.
    pub fn transaction<T: Any>(&self) -> Option<&'a T> {
        self.at.transaction?.downcast_ref()
    }
}

fn typed<E: DomainEvent>(event: &LoadedEvent) -> Result<Event<E>, InboxError> {
    match event.typed() {
        Ok(recorded) => Ok(Event::shared(recorded)),
        Err(error) => Err(InboxError::of_kind(ErrorKind::Decode, error.to_string())),
    }
}

/// Takes one argument of a handler from the delivery. Implement it for extractors of your own; forward `declare` to those
/// that yours uses, so that the dispatcher knows what they need. One that asks the delivery for its one event declares
/// [`Needs::one_event`].
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
    note = "take `Event<E>`, `AnyEvent`, a `Vec` of one of these, `State<T>`, `Attempt`, `Db`, `Txn<'_>`, or implement \
            `FromDelivery` for `{Self}`"
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
