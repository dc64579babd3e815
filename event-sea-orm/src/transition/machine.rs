//! A machine as data: what the derive hands over, and what can be said of a model without asking the database.

use super::{ColumnOf, ModelOf, StateMachine, StateTransition, TransitionError};

/// Everything known of a machine.
pub struct Machine<S: StateMachine> {
    pub(super) parts: MachineParts<S>,
}

impl<S: StateMachine> Machine<S> {
    #[doc(hidden)]
    pub const fn from_parts(parts: MachineParts<S>) -> Self {
        Self { parts }
    }

    /// A state's name.
    pub(super) fn name(&self, state: S) -> &'static str {
        self.parts.states.iter().find(|(known, _)| *known == state).map_or("", |(_, name)| name)
    }
}

impl<S: StateMachine> std::fmt::Debug for Machine<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("name", &self.parts.name).finish_non_exhaustive()
    }
}

/// What the derive hands over. No part of the public face: its fields change with the derive.
#[allow(missing_docs, reason = "for the derive's output alone")]
pub struct MachineParts<S: StateMachine> {
    pub name: &'static str,
    /// In the order of the variants, with their names.
    pub states: &'static [(S, &'static str)],
    pub initial: S,
    pub column: fn() -> ColumnOf<S>,
    pub state: fn(&ModelOf<S>) -> S,
    /// In the order of `StateTransition::ALL`.
    pub transitions: &'static [TransitionParts<S>],
}

/// A transition, as the derive hands it over.
#[allow(missing_docs, missing_debug_implementations, reason = "for the derive's output alone")]
pub struct TransitionParts<S: StateMachine> {
    pub name: &'static str,
    pub from: &'static [S],
    pub to: S,
    pub guards: &'static [Guard<S>],
    /// The event that it records: of the model as it was, from and to.
    pub event: fn(&ModelOf<S>, S, S) -> S::Event,
}

/// A guard, as the derive hands it over.
#[allow(missing_docs, missing_debug_implementations, reason = "for the derive's output alone")]
pub struct Guard<S: StateMachine> {
    pub name: &'static str,
    /// `Err` where it refuses, with the reason if it gives one.
    pub answer: fn(&ModelOf<S>) -> Result<(), Option<String>>,
}

/// The transition at that place of `StateTransition::ALL`.
#[must_use]
pub fn transition<S: StateMachine>(place: usize) -> &'static TransitionParts<S> {
    &S::machine().parts.transitions[place]
}

/// The state of a loaded model.
pub(super) fn state<S: StateMachine>(model: &ModelOf<S>) -> S {
    (S::machine().parts.state)(model)
}

/// Whether the transition can be made on the model as it was loaded.
#[must_use]
pub fn can<S: StateMachine>(model: &ModelOf<S>, transition: S::Transition) -> bool {
    transition.from().contains(&state::<S>(model)) && passes::<S>(model, transition).is_ok()
}

/// The transitions that can be made on the model as it was loaded.
#[must_use]
pub fn allowed<S: StateMachine>(model: &ModelOf<S>) -> Vec<S::Transition> {
    S::Transition::ALL.iter().copied().filter(|&transition| can::<S>(model, transition)).collect()
}

/// `Ok` if the transition can be made on the model as it was loaded, else why not.
pub(super) fn check<S: StateMachine>(model: &ModelOf<S>, transition: S::Transition) -> Result<(), TransitionError> {
    let (machine, state) = (S::machine(), state::<S>(model));
    if !transition.from().contains(&state) {
        return Err(TransitionError::Forbidden {
            machine: machine.parts.name,
            transition: transition.name(),
            state: machine.name(state),
            from: transition.from().iter().map(|&state| machine.name(state)).collect(),
            allowed: allowed::<S>(model).into_iter().map(StateTransition::name).collect(),
        });
    }
    passes::<S>(model, transition).map_err(|(guard, reason)| TransitionError::Refused {
        machine: machine.parts.name,
        transition: transition.name(),
        guard,
        reason,
    })
}

/// Asks the guards; the first that refuses, and why.
fn passes<S: StateMachine>(
    model: &ModelOf<S>,
    transition: S::Transition,
) -> Result<(), (&'static str, Option<String>)> {
    transition.parts().guards.iter().try_for_each(|guard| (guard.answer)(model).map_err(|reason| (guard.name, reason)))
}
