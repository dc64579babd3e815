//! State that handlers share: given to the dispatcher once by type, taken by `State<T>`.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use super::{Delivery, FromDelivery, InboxError, Needs};

/// The values given to the dispatcher by `.state(...)`, one per type.
#[derive(Clone, Default)]
pub struct States {
    values: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl States {
    /// Adds a value; one of the same type is replaced.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.values.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// The value of that type, if it was given.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.values.get(&TypeId::of::<T>())?.downcast_ref()
    }

    pub(crate) fn has(&self, type_id: TypeId) -> bool {
        self.values.contains_key(&type_id)
    }
}

impl std::fmt::Debug for States {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("States").field("values", &self.values.len()).finish()
    }
}

/// A clone of the value that the dispatcher was given for this type.
///
/// A type that nobody provided is refused when the dispatcher is built.
///
/// ```
/// use event_core::State;
/// #[derive(Clone)]
/// struct Mailer;
/// async fn handler(State(mailer): State<Mailer>) { let _: Mailer = mailer; }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct State<T>(pub T);

impl<'a, T: Clone + Send + Sync + 'static> FromDelivery<'a> for State<T> {
    async fn from_delivery(delivery: &'a Delivery<'a>) -> Result<Self, InboxError> {
        match delivery.states().get::<T>() {
            Some(value) => Ok(Self(value.clone())),
            None => Err(InboxError::new(format!(
                "no state of type `{}` was provided: give it to the dispatcher by `.state(...)`",
                std::any::type_name::<T>()
            ))),
        }
    }

    fn declare(needs: &mut Needs) {
        needs.state::<T>();
    }
}
