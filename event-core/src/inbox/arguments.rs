//! The arguments that are the delivered event, or the delivered events.

use std::ops::Deref;
use std::sync::Arc;

use chrono::Utc;

use super::delivery::{Delivery, FromDelivery};
use super::needs::Needs;
use super::outcome::InboxError;
use crate::event::DomainEvent;
use crate::metadata::DecodeError;
use crate::names::EventRef;
use crate::recorded::{Recorded, StoredEvent};
use crate::recording::{Draft, Recording};

/// An argument that is the delivered event: what `when` is asked about.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no event argument",
    label = "`on` and `when` need the event",
    note = "make the inbox's first argument `Event<YourEvent>` or `AnyEvent`, or a `Vec` of them, written out"
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

    pub(super) fn shared(recorded: Arc<Recorded<E>>) -> Self {
        Self(recorded)
    }
}

impl<E: DomainEvent> Event<E> {
    /// An event as if it had been recorded, for a handler's unit test: its id is 1, its actor the system if none is named.
    ///
    /// ```
    /// # use event_core::{DomainEvent, Event, RecordOn, InboxResult, handled};
    /// # async fn notify<E>(event: Event<E>) -> InboxResult { let _ = event; handled() }
    /// # async fn example<E: DomainEvent>(closed: E) {
    /// let result = notify(Event::of(closed.on(7))).await;
    /// # let _ = result;
    /// # }
    /// ```
    ///
    /// # Panics
    /// If the recording is not valid, with its error.
    pub fn of(recording: Recording<E>) -> Self {
        let made = Draft::from(recording).or_by_system().finish(Utc::now()).map_err(|error| error.to_string());
        let stored = made.map(|new| {
            let reference = EventRef::new(new.log, 1);
            new.into_stored(reference, Utc::now())
        });
        let recorded =
            stored.and_then(|stored| Recorded::from_stored(Arc::new(stored)).map_err(|error| error.to_string()));
        match recorded {
            Ok(recorded) => Self::new(recorded),
            Err(error) => panic!("`Event::of` was given a recording that can't be an event: {error}"),
        }
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

/// A batch: the events that are there when the inbox comes to them, in the order of the log, never none. What the handler
/// says at its end holds for all of them.
impl<'a, E: DomainEvent> FromDelivery<'a> for Vec<Event<E>> {
    async fn from_delivery(delivery: &'a Delivery<'a>) -> Result<Self, InboxError> {
        delivery.events()
    }

    fn declare(needs: &mut Needs) {
        needs.event::<E>();
        needs.batch();
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

/// A batch, as `Vec<Event<E>>` is, of every log's events.
impl<'a> FromDelivery<'a> for Vec<AnyEvent> {
    async fn from_delivery(delivery: &'a Delivery<'a>) -> Result<Self, InboxError> {
        Ok(delivery.all_stored().cloned().map(AnyEvent).collect())
    }

    fn declare(needs: &mut Needs) {
        needs.any_event();
        needs.batch();
    }
}
