//! Who may still make a missing id visible, told by slots: the rule by which it is proved dead, without I/O.
//!
//! Whoever draws an id holds a share lock on one of the log's slots, which one nobody knows, from before the draw to the end of
//! its transaction. So when every slot has been seen free at some time after the id was seen missing, whoever drew it has
//! ended, and a read that starts later decides: visible, or never. Those who came later don't count, but for the slot that they
//! are in, which is why the slots in use change with the time.
//!
//! That a slot is *held* tells nothing about an id: it may be held by another one by now.

use event_core::cursor::IdSet;

/// How many slots a log has.
pub(super) const COUNT: usize = 256;

/// Some of the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Set([bool; COUNT]);

impl Set {
    /// All but those that were seen free; a number that is none of a slot's is not heeded.
    pub(super) fn all_but(free: impl IntoIterator<Item = usize>) -> Self {
        let mut set = Self([true; COUNT]);
        for slot in free {
            if let Some(held) = set.0.get_mut(slot) {
                *held = false;
            }
        }
        set
    }

    fn keep_only(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine &= theirs;
        }
    }

    fn is_empty(&self) -> bool {
        !self.0.contains(&true)
    }

    fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().filter(|(_, held)| **held).map(|(slot, _)| slot)
    }
}

/// What is remembered between two looks: missing ids, each with the slots not seen free since it was seen missing.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    missing: IdSet,
    batches: Vec<Batch>,
}

#[derive(Clone, Debug)]
struct Batch {
    ids: IdSet,
    slots: Set,
}

/// What a look at the slots says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    /// The ids that a read started after the look decides.
    pub(super) ripe: IdSet,
    /// Whether the same ids were missing at the look before.
    pub(super) same: bool,
    /// The slots that the oldest id waits for.
    pub(super) waits_for: Vec<usize>,
}

impl Slots {
    /// Takes in a look made after the ids were seen missing, with the slots that it did not see free.
    pub(super) fn look(&mut self, missing: &IdSet, held: &Set) -> Verdict {
        let same = self.missing == *missing;
        if !same {
            self.missing.clone_from(missing);
        }
        let mut fresh = missing.clone();
        for batch in &mut self.batches {
            batch.ids.keep_only(missing);
            fresh.remove_all(&batch.ids);
            batch.slots.keep_only(held);
        }
        self.batches.push(Batch { ids: fresh, slots: *held });
        let mut ripe = IdSet::new();
        self.batches.retain(|batch| {
            if batch.slots.is_empty() {
                ripe.extend(&batch.ids);
            }
            !batch.slots.is_empty() && !batch.ids.is_empty()
        });
        self.merge();
        let oldest = missing.first().and_then(|id| self.batches.iter().find(|batch| batch.ids.contains(id)));
        Verdict { ripe, same, waits_for: oldest.map(|batch| batch.slots.iter().collect()).unwrap_or_default() }
    }

    /// Batches that wait for the same slots are one. A later batch waits for all that an earlier one waits for, so that equals
    /// are neighbours, and there are no more batches than slots.
    fn merge(&mut self) {
        self.batches.dedup_by(|later, earlier| {
            let equal = later.slots == earlier.slots;
            if equal {
                earlier.ids.extend(&later.ids);
            }
            equal
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> IdSet {
        text.parse().unwrap()
    }

    /// All slots but these are free.
    fn held(slots: &[usize]) -> Set {
        Set::all_but((0..COUNT).filter(|slot| !slots.contains(slot)))
    }

    #[test]
    fn an_id_is_ripe_when_every_slot_was_seen_free_since() {
        let mut slots = Slots::default();
        let verdict = slots.look(&ids("3"), &held(&[7, 9]));
        assert_eq!(verdict, Verdict { ripe: IdSet::new(), same: false, waits_for: vec![7, 9] });
        // Slot 1 was free after 3 was seen missing: whoever is in it now came later.
        let verdict = slots.look(&ids("3"), &held(&[1, 9]));
        assert_eq!(verdict, Verdict { ripe: IdSet::new(), same: true, waits_for: vec![9] });
        // Never all free at once, and yet each of them since.
        assert_eq!(slots.look(&ids("3"), &held(&[1, 7])).ripe, ids("3"));
    }

    #[test]
    fn with_all_slots_free_it_is_ripe_at_once() {
        let verdict = Slots::default().look(&ids("3-5"), &held(&[]));
        assert_eq!(verdict, Verdict { ripe: ids("3-5"), same: false, waits_for: vec![] });
    }

    #[test]
    fn a_slot_that_was_not_seen_is_not_free() {
        // A row is missing, or the look was cut short.
        assert!(Slots::default().look(&ids("3"), &Set::all_but(0..255)).ripe.is_empty());
        assert!(Slots::default().look(&ids("3"), &Set::all_but([256, 1_000])).ripe.is_empty());
    }

    #[test]
    fn what_was_free_before_an_id_was_missing_does_not_count_for_it() {
        let mut slots = Slots::default();
        slots.look(&ids("3"), &held(&[7]));
        // 5 was seen missing only now, and its recorder is in slot 8, which was free before.
        let verdict = slots.look(&ids("3,5"), &held(&[8]));
        assert_eq!(verdict.ripe, ids("3"));
        assert!(slots.look(&ids("5"), &held(&[8])).ripe.is_empty());
        assert_eq!(slots.look(&ids("5"), &held(&[])).ripe, ids("5"));
    }

    #[test]
    fn an_id_that_is_no_longer_missing_is_forgotten() {
        let mut slots = Slots::default();
        slots.look(&ids("3-4"), &held(&[7]));
        // 3 became visible; were it ever missing again, it would be as new.
        assert!(slots.look(&ids("4"), &held(&[7])).ripe.is_empty());
        let verdict = slots.look(&ids("3-4"), &held(&[8]));
        assert_eq!(verdict.ripe, ids("4"));
    }

    #[test]
    fn there_are_no_more_batches_than_slots() {
        let mut slots = Slots::default();
        let mut missing = IdSet::new();
        for id in 1..=2_000_usize {
            missing.insert(2 * i64::try_from(id).unwrap());
            slots.look(&missing, &held(&[3, 4 + id % 200]));
        }
        assert_eq!(slots.batches.len(), 2, "those of the idle one, and the last");
    }
}
