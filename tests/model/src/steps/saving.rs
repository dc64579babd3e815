//! Saves, and what becomes of a lane after them.

use super::{Ack, Action};
use crate::bits::Bits;
use crate::bounds::Kind;
use crate::state::{Lane, State};
use crate::{Flaw, Protocol};

impl Protocol {
    /// Whether a lane goes on after an error with what it had.
    pub(super) fn keeps_memory(&self) -> bool {
        self.has(Flaw::EpochOnly) || self.has(Flaw::NoReload)
    }

    pub(super) fn save(&self, state: &mut State, at: usize, ack: Ack) {
        let before = state.lanes[at].clone();
        self.send(state, at, before, Bits::NONE, ack);
    }

    /// Sends a lane's save, with the effects that are written in its transaction. True if it was applied and the lane knows;
    /// else the lane is gone, with all that it had in memory. `before` is the lane as it was before this step.
    pub(super) fn send(&self, state: &mut State, at: usize, before: Lane, effects: Bits, ack: Ack) -> bool {
        let mut save = state.lanes[at].to_save();
        if self.has(Flaw::InFlightLeftOut) {
            save.cursor.in_flight = Some(Default::default());
        }
        let applied = match ack {
            Ack::Lost if self.has(Flaw::EffectsApart) => false,
            _ => state.stored.apply(&save, !self.has(Flaw::EpochOnly)),
        };
        if applied || self.has(Flaw::EffectsApart) {
            state.add_effects(effects, self.bounds.kind == Kind::Plain);
        }
        let knows = applied && ack == Ack::Received;
        if knows {
            state.lanes[at].saved(&save);
        } else if self.keeps_memory() {
            state.lanes[at] = before;
        } else {
            state.lanes.remove(at);
        }
        knows
    }

    pub(super) fn offer_saves(&self, state: &State, at: usize, actions: &mut Vec<Action>) {
        if state.lanes[at].is_dirty() {
            self.offer_save(state, at, actions, |ack| Action::Save(at, ack));
        }
    }
}
