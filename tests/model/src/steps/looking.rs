//! Looking who records: by what a missing id is proved dead.

use crate::bits::Bits;
use crate::state::{Lane, Log, Reading, State};
use crate::{Flaw, Protocol};

impl Protocol {
    /// Who might have drawn a missing id is listed at the first look after it was seen. When none of those holds its lock any
    /// more, the id is ripe: the read that follows decides.
    pub(super) fn look(&self, state: &mut State, at: usize) {
        let (log, lane) = (&state.log, &mut state.lanes[at]);
        let still = self.is_still(log, lane);
        let holders = log.holders();
        let listed = |id| lane.proof.iter().find(|(listed, _)| *listed == id).map(|(_, by)| by.and(holders));
        let proof: Vec<_> =
            self.looks_for(lane).iter().map(|id| (id, listed(id).unwrap_or_else(|| self.list(log)))).collect();
        lane.proof = proof;
        let ripe = ripe(lane);
        match lane.reading {
            Reading::Peeked(page) if still || self.has(Flaw::PageUnchecked) => {
                lane.page = page;
                lane.reading = Reading::No;
            }
            _ if self.has(Flaw::SettleWithoutRead) => {
                lane.cursor.settle(&ripe.to_ids());
                lane.dirty |= !ripe.is_empty();
                lane.reading = Reading::Looked(Bits::NONE);
            }
            _ => lane.reading = Reading::Looked(ripe),
        }
    }

    /// Those that might have drawn an id that was seen missing before.
    fn list(&self, log: &Log) -> Bits {
        if self.has(Flaw::XminPassesXmax) {
            return log.newest_completed().map_or(Bits::NONE, |newest| log.holders().and(Bits::range(0, newest)));
        }
        log.holders()
    }

    /// The ids whose possible recorders a look lists.
    pub(super) fn looks_for(&self, lane: &Lane) -> Bits {
        let missing = lane.missing();
        if self.has(Flaw::ListBeforeSeen) {
            return missing.or(Bits::range(lane.cursor.high() + 1, self.bounds.ids));
        }
        missing
    }

    fn has_unlisted(&self, lane: &Lane) -> bool {
        self.looks_for(lane).iter().any(|id| lane.proof.iter().all(|(listed, _)| *listed != id))
    }

    /// Whether a look brings the proof on.
    pub(super) fn look_tells(&self, log: &Log, lane: &Lane) -> bool {
        let holders = log.holders();
        self.has_unlisted(lane) || !ripe(lane).is_empty() || lane.proof.iter().any(|(_, by)| !holders.covers(*by))
    }

    /// Whether none of the missing ids was visible to any read before this look: none is now. That a lock is still held does not
    /// say so, since it falls after what its holder recorded is visible; still less that a slot is, since somebody else may have
    /// taken it.
    fn is_still(&self, log: &Log, lane: &Lane) -> bool {
        if self.has(Flaw::StillByLock) {
            let holders = log.holders();
            return !self.has_unlisted(lane) && lane.proof.iter().all(|(_, by)| holders.covers(*by));
        }
        !self.has_unlisted(lane) && log.visible.and(lane.missing()).is_empty()
    }
}

/// The missing ids that everybody left who might have drawn them.
fn ripe(lane: &Lane) -> Bits {
    lane.proof.iter().filter(|(_, by)| by.is_empty()).map(|(id, _)| *id).collect::<Bits>().and(lane.missing())
}
