//! What an inbox's arguments need of the dispatcher.

use std::any::TypeId;

use crate::event::{DomainEvent, EventDescriptor};

/// Which events an inbox's arguments take.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TakenEvents {
    /// Those of one enum.
    Of(&'static EventDescriptor),
    /// Those of every log.
    Any,
}

/// What an inbox's arguments need of the dispatcher; collected by [`FromDelivery::declare`](super::FromDelivery::declare).
#[derive(Debug, Default)]
pub struct Needs {
    pub(crate) events: Vec<TakenEvents>,
    pub(crate) states: Vec<(TypeId, &'static str)>,
    pub(crate) transaction: bool,
    pub(crate) connection: bool,
    pub(crate) database: Vec<(TypeId, &'static str)>,
    pub(crate) batch: bool,
    pub(crate) one_event: bool,
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

    /// Takes events by the batch: the handler is called once for several.
    pub fn batch(&mut self) {
        self.batch = true;
    }

    /// Is about one event, which an inbox that takes a batch has not.
    pub fn one_event(&mut self) {
        self.one_event = true;
    }

    /// Wants a value of this type from `.state(...)`.
    pub fn state<T: 'static>(&mut self) {
        self.states.push((TypeId::of::<T>(), std::any::type_name::<T>()));
    }

    /// Writes in the transaction that saves the cursor: the inbox becomes transactional.
    pub fn transaction(&mut self) {
        self.transaction = true;
    }

    /// The argument, named as the user writes it, works on a database alone: `T` is what the storage on one provides. Any other storage,
    /// the in-memory log among them, is refused when the dispatcher is built.
    pub fn database<T: 'static>(&mut self, argument: &'static str) {
        self.database.push((TypeId::of::<T>(), argument));
    }

    /// Uses a database connection of its own, which a transactional inbox can't (it would wait for itself).
    pub fn connection(&mut self) {
        self.connection = true;
    }
}
