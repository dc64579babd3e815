//! Recorders: take the lock, draw ids, commit or roll back.

use super::Action;
use crate::bits::Bits;
use crate::bounds::Proof;
use crate::state::{Log, Recorder, State};
use crate::{Flaw, Protocol};

impl Protocol {
    pub(super) fn offer_recording(&self, state: &State, actions: &mut Vec<Action>) {
        let log = &state.log;
        let ids_left = log.newest < self.bounds.ids;
        if ids_left && log.begun < self.bounds.recorders {
            match self.bounds.proof {
                Proof::Holders => actions.push(Action::Begin(log.begun)),
                Proof::Slots(slots) => actions.extend((0..slots).map(Action::Begin)),
            }
        }
        for (at, recorder) in log.open.iter().enumerate() {
            if recorder.committing {
                actions.push(Action::EndCommit(at));
                continue;
            }
            if recorder.locked && ids_left {
                actions.push(Action::Draw(at));
            }
            if !recorder.locked && (ids_left || !recorder.ids.is_empty()) {
                actions.push(Action::Lock(at));
            }
            if self.bounds.savepoints && recorder.locked && !recorder.ids.is_empty() {
                actions.push(Action::Undo(at));
            }
            if recorder.locked && !recorder.ids.is_empty() {
                actions.push(Action::Commit(at));
            }
            actions.push(Action::RollBack(at));
        }
    }

    /// An insert takes the lock before it draws its id.
    pub(super) fn begin(&self, log: &mut Log, place: i64) {
        log.begun += 1;
        log.open.push(Recorder { place, locked: true, ids: Bits::NONE, committing: false });
        if self.has(Flaw::SequenceCache) {
            let at = log.open.len() - 1;
            log.open[at].locked = false;
            self.draw(log, at);
        }
    }

    pub(super) fn draw(&self, log: &mut Log, at: usize) {
        log.newest += 1;
        log.open[at].ids.insert(log.newest);
        if self.bounds.ordered {
            log.earlier.push(log.visible);
        }
    }

    /// A lock that was taken since the savepoint falls with it; PostgreSQL's do, InnoDB's don't.
    pub(super) fn undo(&self, log: &mut Log, at: usize) {
        let recorder = &mut log.open[at];
        recorder.ids = recorder.ids.lowest(recorder.ids.len() - 1);
        recorder.locked = !recorder.ids.is_empty() || self.bounds.proof != Proof::Holders;
    }

    /// What a transaction recorded becomes visible before its lock falls.
    pub(super) fn commit(&self, log: &mut Log, at: usize) {
        log.open[at].committing = true;
        if self.has(Flaw::UnlockFirst) {
            log.open[at].locked = false;
        } else {
            log.visible = log.visible.or(log.open[at].ids);
        }
    }

    pub(super) fn end_commit(&self, log: &mut Log, at: usize) {
        let recorder = log.open.remove(at);
        log.visible = log.visible.or(recorder.ids);
    }
}
