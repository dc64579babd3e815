//! What the derive asks of a user's own types and functions, with the words for where they don't fit.

use std::fmt::Display;

use event_core::{EventOf, Recording};
use sea_orm::EntityTrait;

use crate::key::{KeyOf, TextKey};
use crate::record::ModelEvents as _;

/// An entity whose models can have states: any with a single-column key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't have a state machine",
    label = "no SeaORM entity with a single-column key",
    note = "name the model's entity (`issue::Entity`); its primary key is one column that can be written as text, since events name their \
            subject by it: composite keys are refused, and a newtype key needs `event_sea_orm::TextKey`"
)]
pub trait StateEntity: EntityTrait<Model: 'static> {
    /// Starts a recording on the model. Here, and not where it is called, the key is known to be one: as a bound of the trait it
    /// would be three errors for a composite key.
    fn record<E: EventOf<Self>>(model: &Self::Model, event: E) -> Recording<E>;
}

impl<En: EntityTrait<Model: 'static>> StateEntity for En
where
    KeyOf<En>: TextKey,
{
    fn record<E: EventOf<Self>>(model: &Self::Model, event: E) -> Recording<E> {
        model.record(event)
    }
}

/// What a guard gives: `bool`, or a `Result` whose error says why not.
#[diagnostic::on_unimplemented(
    message = "a guard can't give a `{Self}`",
    label = "this function's result is no guard's",
    note = "a guard is `fn(&Model) -> bool`, or `fn(&Model) -> Result<(), E>` where `E` says why not, as `&'static str` does"
)]
pub trait GuardAnswer {
    /// `Err` where it refuses, with the reason if it gives one.
    fn answer(self) -> Result<(), Option<String>>;
}

impl GuardAnswer for bool {
    fn answer(self) -> Result<(), Option<String>> {
        if self { Ok(()) } else { Err(None) }
    }
}

impl<E: Display> GuardAnswer for Result<(), E> {
    fn answer(self) -> Result<(), Option<String>> {
        self.map_err(|reason| Some(reason.to_string()))
    }
}

/// The type of a column that holds states of `S`: `S` itself.
#[diagnostic::on_unimplemented(
    message = "a column of type `{Self}` can't hold the states of `{S}`",
    label = "this column is no `{S}`",
    note = "a state machine's column has the type of the enum: an optional one is not supported, since a model is always in a state; \
            make it NOT NULL, with the initial state as default"
)]
pub trait StateColumn<S> {
    /// The state.
    fn state(&self) -> S;
}

impl<S: Clone> StateColumn<S> for S {
    fn state(&self) -> S {
        self.clone()
    }
}
