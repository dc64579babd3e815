//! A model of the protocol.

pub mod bits;
pub mod bounds;
mod flaw;
pub mod properties;
pub mod state;
mod steps;

use stateright::{Model, Property};

pub use flaw::Flaw;
pub use steps::{Ack, Action};

use bounds::Bounds;
use state::State;

/// The protocol within bounds, right or with one flaw.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// How large the system is.
    pub bounds: Bounds,
    /// The one thing that it does wrong.
    pub flaw: Option<Flaw>,
}

impl Protocol {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// Whether any step leads on from this state.
    fn goes_on(&self, state: &State) -> bool {
        let mut actions = Vec::new();
        self.offer(state, &mut actions);
        actions.into_iter().any(|action| self.step(state, action).is_some())
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.offer(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.step(state, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        self.list_properties()
    }
}
