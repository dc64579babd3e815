//! Claims, and how lanes end.

use super::{Ack, Action};
use crate::bits::Bits;
use crate::state::{Lane, State};
use crate::{Flaw, Protocol};

impl Protocol {
    /// No clock is modelled: a lease may have run out at any moment, whatever its owner believes. So an owner that was stopped
    /// goes on beside the next one, and nothing that follows rests on a lease.
    pub(super) fn offer_claims(&self, state: &State, actions: &mut Vec<Action>) {
        let claims_left = state.stored.epoch < self.bounds.claims;
        if claims_left && state.lanes.len() < self.bounds.lanes {
            actions.push(Action::Claim);
        }
        for (at, lane) in state.lanes.iter().enumerate() {
            if lane.epoch.is_none() && claims_left {
                actions.push(Action::Bump(at));
            }
            if self.is_dying(lane) {
                actions.push(Action::Crash(at));
            } else if self.may_end(state, at) {
                actions.push(Action::Crash(at));
                if lane.epoch.is_some() {
                    self.offer_save(state, at, actions, |ack| Action::Stop(at, ack));
                }
            }
        }
    }

    /// Whether something runs that kills the lane's process.
    pub(super) fn is_dying(&self, lane: &Lane) -> bool {
        lane.running.iter().any(|running| self.bounds.deadly.contains(running.id))
    }

    /// Whether somebody comes after this lane, or came already.
    pub(super) fn may_end(&self, state: &State, at: usize) -> bool {
        let stored = &state.stored;
        self.bounds.deadly.is_empty()
            && (stored.epoch < self.bounds.claims || state.lanes[at].epoch.is_some_and(|epoch| epoch < stored.epoch))
    }

    pub(super) fn claim(&self, state: &mut State) {
        if self.has(Flaw::LoadThenBump) {
            state.lanes.push(Lane::load(&state.stored, None));
            return;
        }
        state.stored.raise_epoch();
        state.lanes.push(Lane::load(&state.stored, Some(state.stored.epoch)));
    }

    /// The statement that raises the epoch gives the save counter with it.
    pub(super) fn bump(&self, state: &mut State, at: usize) {
        state.stored.raise_epoch();
        state.lanes[at].epoch = Some(state.stored.epoch);
        state.lanes[at].saves = state.stored.saves;
    }

    pub(super) fn stop(&self, state: &mut State, at: usize, ack: Ack) {
        let before = state.lanes[at].clone();
        let lane = &mut state.lanes[at];
        lane.running.clear();
        lane.cursor.lower_ceiling();
        lane.dirty = true;
        if self.send(state, at, before, Bits::NONE, ack) {
            state.lanes.remove(at);
        }
    }
}
