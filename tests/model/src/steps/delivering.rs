//! Delivering: events are taken and started, attempts end, failure rows are tried again.

use super::{Ack, Action};
use crate::bits::Bits;
use crate::bounds::Kind;
use crate::state::{Change, Lane, Reading, Row, RowState, Running, State};
use crate::{Flaw, Protocol};

impl Protocol {
    /// A transactional lane does nothing beside its handlers; another does, unless one runs alone.
    pub(super) fn is_busy(&self, lane: &Lane) -> bool {
        lane.alone || !lane.running.is_empty() && self.bounds.kind == Kind::Transactional
    }

    pub(super) fn offer_delivering(&self, state: &State, at: usize, actions: &mut Vec<Action>) {
        let lane = &state.lanes[at];
        if self.is_dying(lane) {
            return;
        }
        match self.bounds.kind {
            Kind::Transactional => self.offer_batch(state, at, actions),
            Kind::Plain => {
                for running in &lane.running {
                    actions.push(Action::End(at, running.id, true));
                    if self.bounds.failing.contains(running.id) {
                        actions.push(Action::End(at, running.id, false));
                    }
                }
            }
        }
        if self.is_busy(lane) || lane.reading != Reading::No {
            return;
        }
        let room = lane.running.len() < self.bounds.batch;
        if room && !lane.page.or(lane.ready).is_empty() && self.may_start_next(lane) {
            self.offer_save(state, at, actions, |ack| Action::Start(at, ack));
        }
        if room && !lane.is_dirty() {
            for (&id, row) in &state.stored.failures {
                let due = match row.state {
                    RowState::Waiting => true,
                    RowState::Interrupted => lane.running.is_empty(),
                    RowState::Begun | RowState::Dead => false,
                };
                if due {
                    self.offer_save(state, at, actions, |ack| Action::Retry(at, id, ack));
                }
            }
        }
        self.offer_saves(state, at, actions);
    }

    fn offer_batch(&self, state: &State, at: usize, actions: &mut Vec<Action>) {
        let running = &state.lanes[at].running;
        for upto in 1..=running.len() {
            let may_fail: Bits = running[..upto].iter().map(|running| running.id).collect();
            for failed in may_fail.and(self.bounds.failing).subsets() {
                self.offer_save(state, at, actions, |ack| Action::Deliver(at, upto, failed, ack));
            }
        }
    }

    /// A suspect waits until nothing runs.
    fn may_start_next(&self, lane: &Lane) -> bool {
        let next = lane.ready.or(lane.page).iter().next();
        lane.running.is_empty() || !next.is_some_and(|id| self.is_suspect(lane, id))
    }

    fn is_suspect(&self, lane: &Lane, id: i64) -> bool {
        lane.cursor.is_suspect(id) && !self.has(Flaw::SuspectsAsOthers)
    }

    /// The next event that the inbox takes. What it does not take is passed over.
    fn next(&self, lane: &mut Lane) -> Option<i64> {
        if let Some(id) = lane.ready.pop_first() {
            return Some(id);
        }
        while let Some(id) = lane.page.pop_first() {
            lane.dirty = true;
            if self.bounds.unwanted.contains(id) {
                lane.cursor.pass(id);
            } else if lane.cursor.take(id) {
                return Some(id);
            }
        }
        None
    }

    /// Takes what is next in turn: one event, or a batch for a transaction. A suspect is counted in a failure row first, and
    /// runs alone. The others are covered by the stored ceiling before any of them starts.
    pub(super) fn start(&self, state: &mut State, at: usize, ack: Ack) {
        let before = state.lanes[at].clone();
        let lane = &mut state.lanes[at];
        let most = if self.bounds.kind == Kind::Plain { 1 } else { self.bounds.batch };
        let mut batch = Vec::new();
        let mut alone = false;
        while batch.len() < most {
            let Some(id) = self.next(lane) else { break };
            if self.is_suspect(lane, id) {
                if batch.is_empty() {
                    lane.changes.push(Change::Insert(id, Row { attempts: 1, state: RowState::Begun }));
                    lane.close(id);
                    batch.push(Running { id, counted: Some(1) });
                    alone = true;
                } else {
                    lane.ready.insert(id);
                }
                break;
            }
            batch.push(Running { id, counted: None });
        }
        if self.has(Flaw::BareId) {
            let missing = lane.cursor.missing().clone();
            lane.cursor.settle(&missing);
        }
        let mut must_save = alone;
        for started in batch.iter().filter(|started| started.counted.is_none()) {
            if !lane.cursor.may_start(started.id) {
                lane.cursor.raise_ceiling(started.id, 1);
                lane.dirty = true;
                must_save = !self.has(Flaw::CeilingLater);
            }
        }
        if must_save {
            self.send_and_run(state, at, before, batch, alone, ack);
        } else if ack == Ack::Received {
            self.run(state, at, batch, alone);
        }
    }

    fn send_and_run(&self, state: &mut State, at: usize, before: Lane, attempts: Vec<Running>, alone: bool, ack: Ack) {
        if self.send(state, at, before, Bits::NONE, ack) {
            self.run(state, at, attempts, alone);
        }
    }

    fn run(&self, state: &mut State, at: usize, attempts: Vec<Running>, alone: bool) {
        state.started = state.started.or(attempts.iter().map(|running| running.id).collect());
        let lane = &mut state.lanes[at];
        lane.running.extend(attempts);
        lane.alone = alone;
    }

    /// The attempt is counted in the database before it runs. One that was interrupted too often is a dead letter.
    pub(super) fn retry(&self, state: &mut State, at: usize, id: i64, ack: Ack) {
        let Some(row) = state.stored.failures.get(&id).copied() else { return };
        let before = state.lanes[at].clone();
        let lane = &mut state.lanes[at];
        let interrupted = row.state == RowState::Interrupted;
        if interrupted && row.attempts >= self.bounds.max_attempts {
            let dead = Row { state: RowState::Dead, ..row };
            lane.changes.push(Change::Update(id, dead, row.attempts));
            return;
        }
        let begun = Row { attempts: row.attempts + 1, state: RowState::Begun };
        lane.changes.push(Change::Update(id, begun, row.attempts));
        let alone = interrupted || self.bounds.kind == Kind::Transactional;
        self.send_and_run(state, at, before, vec![Running { id, counted: Some(begun.attempts) }], alone, ack);
    }

    /// A handler's effect elsewhere happens before its end is known here.
    pub(super) fn end(&self, state: &mut State, at: usize, id: i64, well: bool) {
        if well {
            state.add_effects([id].into_iter().collect(), true);
        }
        let lane = &mut state.lanes[at];
        if let Some(nth) = lane.running.iter().position(|running| running.id == id) {
            let attempt = lane.running.remove(nth);
            lane.finish(attempt, well, self.bounds.max_attempts);
            lane.alone = false;
        }
    }

    /// Effects, failure rows and the cursor, in one transaction.
    pub(super) fn deliver(&self, state: &mut State, at: usize, upto: usize, failed: Bits, ack: Ack) {
        let before = state.lanes[at].clone();
        let lane = &mut state.lanes[at];
        let left = lane.running.split_off(upto);
        let ended = std::mem::take(&mut lane.running);
        for attempt in &ended {
            lane.finish(*attempt, !failed.contains(attempt.id), self.bounds.max_attempts);
        }
        lane.ready = lane.ready.or(left.iter().map(|running| running.id).collect());
        lane.alone = false;
        let effects: Bits = ended.iter().map(|running| running.id).filter(|id| !failed.contains(*id)).collect();
        self.send(state, at, before, effects, ack);
    }
}
