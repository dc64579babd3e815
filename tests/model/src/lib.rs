//! A model of the protocol of log, cursor and holes, checked exhaustively by [stateright](https://docs.rs/stateright): within
//! its bounds every order of steps is tried, also those that no load brings about.
//!
//! # What is modelled
//!
//! * **Recorders** (`steps/recording.rs`): transactions that take their lock on the log, draw ids, roll back (also to savepoints)
//!   or commit, in any order. A commit is two steps, since the lock falls after the events are visible.
//! * **The database** (`state/stored.rs`): the cursor's row with its epoch and save counter, the failure rows, the effects of a
//!   transactional inbox. Each save is one step, all of it or nothing, fenced.
//! * **Lanes** (`state/lane.rs`, `steps/`): the order of the dispatcher's own steps, as in `event-core/src/dispatch/lane/`: look
//!   who records, read, settle what is ripe and was not found; take what is next, raise the ceiling, save, start; end and save,
//!   in one transaction or apart; count a failure row's attempt, and try it again; suspects alone. Wherever an inbox's place in
//!   the log changes, it is event-core's [`Cursor`](event_core::cursor::Cursor) that changes it, and
//!   [`CursorSave`](event_core::storage::CursorSave) that is written: a fault in those is a fault here.
//! * **What goes wrong**: a lane is gone at any step (its process died, or a call failed); a save is applied and the lane is told
//!   of an error (a lost acknowledgement); a lane stops orderly; its lease runs out and another worker takes over while it goes
//!   on. Handlers fail, or kill their process each time.
//!
//! A step changes the database or the world at most once. What a lane does between two such changes is part of the step, since
//! nobody can see it and a crash loses it.
//!
//! # What is left out, and why it may be
//!
//! * Time: a lease may run out at any moment, a failure row may be due at any moment. That is more than ever happens, so that no
//!   clock is rested on. A save that a dead connection still carries to the server is the save of a lane that was stopped.
//! * Savepoints around handlers, and transactions that end inside one (`behaviour::transactional`); ordered inboxes' parking; the
//!   pause of a failing inbox; snoozes; operators; more than one log; pages that lanes share (the page of a lane may be as old
//!   as one of those); where a new inbox starts; retention; a database that goes back in time.
//!
//! # What is checked
//!
//! [`properties`], in every state; most are said of what is *stored*, because only that outlives a crash. That everything is
//! handled in the end is said of the states in which nothing more can happen; that there is no way round in circles is checked
//! beside it, so that every run comes to such a state. The last owner meets no error, or an inbox could end ownerless.
//!
//! States that differ in nothing that can ever matter are made equal ([`state::State::normalise`]); ids and transactions are
//! few ([`bounds::Bounds`]). `MODEL_LARGE=1` makes them more than a usual test run has time for.
//!
//! # Whether it can fail
//!
//! Each [`Flaw`] makes one step wrong. `tests/protocol/flaws.rs` has the checker find each of them by the property named there,
//! within bounds in which the right protocol has no fault, and prints the steps that lead to it.

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
