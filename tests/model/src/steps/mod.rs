//! The steps of the modelled system. Each changes the database or the world at most once: what lies between two such changes
//! is a lane's own affair, so that a crash there is a crash before the next one.

mod claiming;
mod delivering;
mod looking;
mod reading;
mod recording;
mod saving;

use crate::Protocol;
use crate::bits::Bits;
use crate::state::State;

/// Whether a lane learns that its save was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// It does.
    Received,
    /// It is told of an error, whether the save was applied or not.
    Lost,
}

/// A step. Recorders and lanes are named by where they stand in their lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A transaction begins to record: its lock is taken, at this place in the lock list.
    Begin(i64),
    /// It draws an id.
    Draw(usize),
    /// It is rolled back to the savepoint before its newest id, which is dead from then on.
    Undo(usize),
    /// It takes its lock (again); it has drawn an id before only in [`crate::Flaw::SequenceCache`].
    Lock(usize),
    /// It is rolled back.
    RollBack(usize),
    /// The first half of its commit: its events are visible.
    Commit(usize),
    /// The second half: its lock falls.
    EndCommit(usize),

    /// A worker claims the inbox: nobody has it, or its lease ran out. The epoch is raised first, then the cursor is loaded.
    Claim,
    /// A worker that loaded the cursor already raises the epoch ([`crate::Flaw::LoadThenBump`]).
    Bump(usize),
    /// The lane is gone with all that it had in memory: its process died, or a call that changes nothing failed.
    Crash(usize),
    /// An orderly stop: what runs is dropped, and the lane saves a last time.
    Stop(usize, Ack),

    /// A page is read without the missing ids.
    Peek(usize),
    /// The lane looks who records.
    Look(usize),
    /// A page is read with the missing ids.
    Read(usize),

    /// The next events in turn are taken and started, after a save if it takes one.
    Start(usize, Ack),
    /// A failure row's next attempt is counted and started.
    Retry(usize, i64, Ack),
    /// A plain inbox's handler ends, well or not.
    End(usize, i64, bool),
    /// A transactional inbox's handlers end: the first so many of those started, and those named failed. The rest is next in
    /// turn.
    Deliver(usize, usize, Bits, Ack),
    /// The lane saves.
    Save(usize, Ack),
}

impl Protocol {
    /// What may happen next. Some of it may change nothing.
    pub(crate) fn offer(&self, state: &State, actions: &mut Vec<Action>) {
        self.offer_recording(state, actions);
        self.offer_claims(state, actions);
        for (at, lane) in state.lanes.iter().enumerate() {
            if lane.epoch.is_some() {
                self.offer_reading(state, at, actions);
                self.offer_delivering(state, at, actions);
            }
        }
    }

    /// A save with either end. A lost acknowledgement costs the lane its life, so that somebody has to come after it.
    fn offer_save(&self, state: &State, at: usize, actions: &mut Vec<Action>, action: impl Fn(Ack) -> Action) {
        actions.push(action(Ack::Received));
        if self.may_end(state, at) || self.keeps_memory() {
            actions.push(action(Ack::Lost));
        }
    }

    /// The state after a step; `None` if it is the same.
    pub(crate) fn step(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Begin(place) => self.begin(&mut next.log, place),
            Action::Draw(at) => self.draw(&mut next.log, at),
            Action::Lock(at) => next.log.open[at].locked = true,
            Action::Undo(at) => self.undo(&mut next.log, at),
            Action::RollBack(at) => drop(next.log.open.remove(at)),
            Action::Commit(at) => self.commit(&mut next.log, at),
            Action::EndCommit(at) => self.end_commit(&mut next.log, at),
            Action::Claim => self.claim(&mut next),
            Action::Bump(at) => self.bump(&mut next, at),
            Action::Crash(at) => drop(next.lanes.remove(at)),
            Action::Stop(at, ack) => self.stop(&mut next, at, ack),
            Action::Peek(at) => self.peek(&mut next, at),
            Action::Look(at) => self.look(&mut next, at),
            Action::Read(at) => self.read(&mut next, at),
            Action::Start(at, ack) => self.start(&mut next, at, ack),
            Action::Retry(at, id, ack) => self.retry(&mut next, at, id, ack),
            Action::End(at, id, well) => self.end(&mut next, at, id, well),
            Action::Deliver(at, upto, failed, ack) => self.deliver(&mut next, at, upto, failed, ack),
            Action::Save(at, ack) => self.save(&mut next, at, ack),
        }
        next.normalise();
        (next != *state).then_some(next)
    }
}
