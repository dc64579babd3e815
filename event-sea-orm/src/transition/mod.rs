//! State machines on a status column: what `#[derive(StateMachine)]` implements, and the one step in which a transition is made.

mod apply;
mod error;
mod guard;
mod machine;
mod mermaid;
mod transitioning;

use std::fmt::{Debug, Display};
use std::hash::Hash;

use event_core::EventOf;
use sea_orm::{EntityTrait, Value};

pub use error::TransitionError;
use guard::StateEntity;
pub use guard::{GuardAnswer, StateColumn};
use machine::state;
pub use machine::{Guard, Machine, MachineParts, TransitionParts};
pub use machine::{allowed, can, transition};
pub use transitioning::{Transitioned, Transitioning, transitioning};

/// The columns of a machine's entity.
pub(crate) type ColumnOf<S> = <<S as StateMachine>::Entity as EntityTrait>::Column;
/// The model that has the states.
pub type ModelOf<S> = <<S as StateMachine>::Entity as EntityTrait>::Model;

/// The states of a model's column, as an enum with named transitions between them.
///
/// Implemented by `#[derive(StateMachine)]` only; the trait grows without notice.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no state machine",
    label = "not a state machine",
    note = "put `#[derive(Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum, StateMachine)]` on the enum, and `#[state_machine(...)]`"
)]
pub trait StateMachine: Copy + Eq + Into<Value> + Send + Sync + 'static {
    /// The entity whose column holds the state.
    type Entity: StateEntity;
    /// The events that transitions record.
    type Event: EventOf<Self::Entity>;
    /// The fieldless enum of its transitions.
    type Transition: StateTransition<State = Self>;

    #[doc(hidden)]
    fn machine() -> &'static Machine<Self>;

    /// The state that a new model has.
    fn initial() -> Self {
        Self::machine().parts.initial
    }

    /// Every state, in the order of the variants.
    fn states() -> impl ExactSizeIterator<Item = Self> {
        Self::machine().parts.states.iter().map(|(state, _)| *state)
    }

    /// The transitions that go from this state, in the order they are declared; guards are not asked, since they look at a model.
    fn allowed(self) -> Vec<Self::Transition> {
        Self::Transition::ALL.iter().copied().filter(|transition| transition.from().contains(&self)).collect()
    }

    /// The machine as a Mermaid `stateDiagram-v2`, for documents: guards stand in brackets behind a transition's name.
    fn mermaid() -> String {
        mermaid::diagram::<Self>()
    }
}

/// A transition of a machine, by its name: `StatusTransition::Start`.
pub trait StateTransition: Copy + Ord + Hash + Debug + Display + Send + Sync + 'static {
    /// The states that it goes between.
    type State: StateMachine<Transition = Self>;

    /// Every transition, in the order they are declared.
    const ALL: &'static [Self];

    #[doc(hidden)]
    fn parts(self) -> &'static TransitionParts<Self::State>;

    /// Its name (`start`).
    fn name(self) -> &'static str {
        self.parts().name
    }

    /// The transition of that name, if the machine has it.
    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|transition| transition.name() == name)
    }

    /// The states that it may be made in.
    fn from(self) -> &'static [Self::State] {
        self.parts().from
    }

    /// The state that it leads to.
    fn to(self) -> Self::State {
        self.parts().to
    }

    /// The names of its guards' functions.
    fn guards(self) -> impl ExactSizeIterator<Item = &'static str> {
        self.parts().guards.iter().map(|guard| guard.name)
    }
}
