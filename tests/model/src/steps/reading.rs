//! Reading: pages, and holes that close.

use event_core::cursor::IdSet;

use super::Action;
use crate::bits::Bits;
use crate::state::{Lane, Log, Reading, State};
use crate::{Flaw, Protocol};

impl Protocol {
    /// Only what may bring something: a worker that reads in vain is one that waits.
    pub(super) fn offer_reading(&self, state: &State, at: usize, actions: &mut Vec<Action>) {
        let lane = &state.lanes[at];
        if !lane.page.is_empty() || self.is_busy(lane) {
            return;
        }
        let news = !state.log.visible.above(lane.cursor.high()).is_empty() || !lane.cursor.recovering().is_empty();
        match lane.reading {
            Reading::Peeked(_) => actions.push(Action::Look(at)),
            Reading::Looked(_) => actions.push(Action::Read(at)),
            Reading::No if self.looks_for(lane).is_empty() => {
                if news {
                    actions.push(Action::Read(at));
                }
            }
            Reading::No => {
                let known = lane.knows_missing();
                if self.look_tells(&state.log, lane) || news && !known {
                    actions.push(Action::Look(at));
                }
                if news && known {
                    actions.push(Action::Peek(at));
                }
            }
        }
    }

    /// One snapshot: what is visible above `high`, a page of it, and of the others.
    fn snapshot(&self, log: &Log, lane: &Lane, also: Bits) -> Bits {
        let shown = if self.has(Flaw::DirtyReads) { Bits::range(1, log.newest) } else { log.visible };
        shown.above(lane.cursor.high()).lowest(self.bounds.page).or(shown.and(also))
    }

    pub(super) fn peek(&self, state: &mut State, at: usize) {
        let page = self.snapshot(&state.log, &state.lanes[at], Bits::NONE);
        state.lanes[at].reading = Reading::Peeked(page);
    }

    /// What is ripe and not found now is dead. What was in flight at the takeover is found: nothing is ever deleted here.
    pub(super) fn read(&self, state: &mut State, at: usize) {
        let also = Bits::from(&state.lanes[at].cursor.wanted_again());
        let found = self.snapshot(&state.log, &state.lanes[at], also);
        let lane = &mut state.lanes[at];
        if let Reading::Looked(ripe) = lane.reading {
            let dead = ripe.minus(found);
            lane.cursor.settle(&dead.to_ids());
            lane.dirty |= !dead.is_empty();
        }
        let mut gone: IdSet = lane.cursor.recovering().clone();
        gone.remove_all(&found.to_ids());
        lane.cursor.forget(&gone);
        lane.dirty |= !gone.is_empty();
        lane.reading = Reading::No;
        lane.page = found;
    }
}
