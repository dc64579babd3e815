//! `issue.start(txn)`: a transition about to be made.

use std::fmt;
use std::pin::Pin;

use event_core::{ActorOf, ActorRef, EventRef, Recording};
use sea_orm::{ModelTrait, Value};

use super::guard::StateEntity as _;
use super::{ColumnOf, ModelOf, StateMachine, StateTransition, TransitionError, apply, machine, state};
use crate::RecordConnection;
use crate::key::{KeyOf, TextKey};
use crate::record::SaveRecording as _;

/// A transition about to be made: `.await` makes it, in one step with its event. Until then nothing is written.
///
/// ```
/// # use event_sea_orm::{Transitioned, Transitioning, prelude::*};
/// # async fn example<S: StateMachine>(
/// #     starting: Transitioning<'_, sea_orm::DatabaseConnection, S>,
/// # ) -> Result<Transitioned<S>, TransitionError> {
/// starting.by_system().recording(|recording| recording.correlation("req-1")).await
/// # }
/// ```
#[must_use = "nothing is changed until it is awaited"]
pub struct Transitioning<'c, C, S: StateMachine> {
    conn: &'c C,
    transition: S::Transition,
    model: ModelOf<S>,
    /// Its event, if it can be made on the model as it was loaded.
    recording: Result<Recording<S::Event>, TransitionError>,
    set: Vec<(ColumnOf<S>, Value)>,
}

/// What a transition made of a model.
#[non_exhaustive]
pub struct Transitioned<S: StateMachine> {
    /// The model as it was loaded, with its new state and the columns that were set.
    pub model: ModelOf<S>,
    /// The state that it was in.
    pub from: S,
    /// The state that it is in.
    pub to: S,
    /// The event that was recorded.
    pub event: EventRef,
}

/// Checks the model as it was loaded. What is wrong comes with the `.await`.
pub fn transitioning<'c, C, S>(model: &ModelOf<S>, transition: S::Transition, conn: &'c C) -> Transitioning<'c, C, S>
where
    S: StateMachine,
{
    let checked = machine::check::<S>(model, transition);
    let recording = checked.map(|()| {
        let event = (transition.parts().event)(model, state::<S>(model), transition.to());
        // No state changes without an event, however often it happens.
        S::Entity::record(model, event).unthrottled()
    });
    Transitioning { conn, transition, model: model.clone(), recording, set: Vec::new() }
}

impl<'c, C, S: StateMachine> Transitioning<'c, C, S> {
    /// Who makes it: a loaded model of a kind that the event enum names in `actor(...)`. Without it the context's actor does.
    pub fn by<U>(self, user: &U) -> Self
    where
        U: ModelTrait,
        U::Entity: ActorOf<S::Event>,
        KeyOf<U::Entity>: TextKey,
    {
        self.recording(|recording| recording.by(user))
    }

    /// Who makes it, by reference.
    pub fn by_ref(self, actor: ActorRef) -> Self {
        self.recording(|recording| recording.by_ref(actor))
    }

    /// Nobody makes it: a timer, an import, the program itself.
    pub fn by_system(self) -> Self {
        self.recording(Recording::by_system)
    }

    /// Sets a further column in the same UPDATE (`closed_by`, `updated_at`); the event's changes show it too.
    pub fn set(mut self, column: ColumnOf<S>, value: impl Into<Value>) -> Self {
        self.set.push((column, value.into()));
        self
    }

    /// Adds to the event's recording: `.recording(|recording| recording.correlation("req-1"))`.
    pub fn recording(mut self, add: impl FnOnce(Recording<S::Event>) -> Recording<S::Event>) -> Self {
        self.recording = self.recording.map(add);
        self
    }
}

impl<'c, C, S> IntoFuture for Transitioning<'c, C, S>
where
    C: RecordConnection,
    S: StateMachine,
{
    type Output = Result<Transitioned<S>, TransitionError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'c>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { conn, transition, model, recording, set } = self;
        Box::pin(async move { apply::apply(conn, transition, model, recording?, set).await })
    }
}

impl<C, S: StateMachine> fmt::Debug for Transitioning<'_, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transitioning").field("transition", &self.transition).finish_non_exhaustive()
    }
}

impl<S: StateMachine> Clone for Transitioned<S> {
    fn clone(&self) -> Self {
        Self { model: self.model.clone(), from: self.from, to: self.to, event: self.event.clone() }
    }
}

impl<S: StateMachine> fmt::Debug for Transitioned<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |state| S::machine().name(state);
        f.debug_struct("Transitioned")
            .field("from", &name(self.from))
            .field("to", &name(self.to))
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}
