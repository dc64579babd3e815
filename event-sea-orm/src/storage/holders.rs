//! Who may still make a missing id visible: the rule by which it is proved dead, without I/O.
//!
//! Whoever draws an id holds a lock on the log from before the draw to the end of its transaction. So those who hold it in a
//! listing made after the id was drawn are the only ones that may have drawn it. When none of *them* holds it any more, a read
//! that starts later decides: visible, or never. Whoever came after the listing does not count, so nobody stalls it for ever.
//!
//! An id may be seen missing only after such a listing, as a reader comes to it in a backlog. If it was drawn before the listing and
//! the read that missed it was begun after, then whoever drew it is in that listing, too: had he ended before, the read would have
//! seen it, or nobody ever will.

use std::collections::BTreeMap;

use event_core::cursor::IdSet;
use event_core::storage::Look;

/// Who holds the lock, listed in one session.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    /// The session that listed. Over its end a holder's name may change or mean another one (a prepared transaction has a new
    /// name after the server's restart), so that nothing listed in another session is believed.
    pub(super) session: String,
    /// The highest id that was drawn *before* the holders were listed; 0 if nobody asked.
    pub(super) drawn: i64,
    /// Each holder.
    pub(super) holders: BTreeMap<String, Holder>,
}

/// Somebody who holds the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    /// How people find it.
    pub(super) name: String,
    /// Whether what it records was surely not visible when the listing began. That it holds the lock does not say so: the lock
    /// falls a moment *after* its writes are visible.
    pub(super) unseen: bool,
}

/// What is remembered between two listings: missing ids, each with those who may have drawn it.
#[derive(Clone, Debug, Default)]
pub(super) struct Holders {
    session: String,
    batches: Vec<Batch>,
    last: Last,
}

/// The last listing that tells of ids that were not missing yet: those up to `drawn`, and who of it holds the lock still.
#[derive(Clone, Debug, Default)]
struct Last {
    drawn: i64,
    holders: Vec<String>,
}

#[derive(Clone, Debug)]
struct Batch {
    ids: IdSet,
    holders: Vec<String>,
}

impl Holders {
    /// Whether it has each of these ids from a look before, so that the next one need not ask what was drawn. Should the session
    /// have ended by then it knows none of them, and that look proves nothing.
    pub(super) fn knows(&self, missing: &IdSet, later: &IdSet) -> bool {
        let mut fresh = missing.clone();
        self.batches.iter().for_each(|batch| fresh.remove_all(&batch.ids));
        fresh.remove_all(&self.told_of(later));
        fresh.is_empty()
    }

    /// Those of them that the last listing tells of, and that are new.
    fn told_of(&self, later: &IdSet) -> IdSet {
        let mut told = later.clone();
        told.remove_range(self.last.drawn.saturating_add(1)..=i64::MAX);
        self.batches.iter().for_each(|batch| told.remove_all(&batch.ids));
        told
    }

    /// Takes in a listing made after the ids were seen missing; the `later` ones by a read begun after the listing before.
    pub(super) fn look(&mut self, missing: &IdSet, later: &IdSet, listing: &Listing) -> Look {
        if self.session != listing.session {
            self.session.clone_from(&listing.session);
            self.batches.clear();
            self.last = Last::default();
        }
        let told = self.told_of(later);
        if !told.is_empty() {
            self.batches.push(Batch { ids: told, holders: self.last.holders.clone() });
        }
        let mut look = Look { still: true, ..Look::default() };
        let mut fresh = missing.clone();
        for batch in &mut self.batches {
            batch.ids.keep_only(missing);
            fresh.remove_all(&batch.ids);
            let before = batch.holders.len();
            batch.holders.retain(|holder| listing.holders.contains_key(holder));
            look.still &= batch.holders.len() == before;
            look.still &= batch.holders.iter().all(|holder| listing.holders[holder].unseen);
        }
        if !fresh.is_empty() {
            // They may have become visible before anybody looked.
            look.fresh.clone_from(&fresh);
            // An id beyond the newest drawn one was put there by hand, and those between are still to be drawn.
            fresh.remove_range(listing.drawn.saturating_add(1)..=i64::MAX);
            let holders = listing.holders.keys().cloned().collect();
            self.batches.push(Batch { ids: fresh, holders });
        }
        if listing.drawn > 0 {
            self.last = Last { drawn: listing.drawn, holders: listing.holders.keys().cloned().collect() };
        } else {
            let before = self.last.holders.len();
            self.last.holders.retain(|holder| listing.holders.contains_key(holder));
            look.unchanged = self.last.drawn > 0 && self.last.holders.len() == before;
        }
        look.upto = self.last.drawn;
        self.batches.retain(|batch| {
            if batch.holders.is_empty() {
                look.ripe.extend(&batch.ids);
            }
            !batch.holders.is_empty() && !batch.ids.is_empty()
        });
        self.merge();
        look.holder = missing.first().and_then(|oldest| self.holder_of(oldest, listing));
        look
    }

    /// Batches that wait for the same holders are one: a recorder that idles for long would otherwise have thousands.
    fn merge(&mut self) {
        let mut merged: Vec<Batch> = Vec::with_capacity(self.batches.len());
        for batch in self.batches.drain(..) {
            match merged.iter_mut().find(|known| known.holders == batch.holders) {
                Some(known) => known.ids.extend(&batch.ids),
                None => merged.push(batch),
            }
        }
        self.batches = merged;
    }

    fn holder_of(&self, id: i64, listing: &Listing) -> Option<String> {
        let batch = self.batches.iter().find(|batch| batch.ids.contains(id))?;
        let names: Vec<_> =
            batch.holders.iter().filter_map(|holder| Some(&listing.holders.get(holder)?.name)).collect();
        match names[..] {
            [] => None,
            [one] => Some(one.to_owned()),
            [one, ..] => Some(format!("{one}, or one of {} others", names.len() - 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(session: &str, drawn: i64, holders: &[&str]) -> Listing {
        let holder = |name: &&str| ((*name).to_owned(), Holder { name: format!("backend {name}"), unseen: true });
        Listing { session: session.to_owned(), drawn, holders: holders.iter().map(holder).collect() }
    }

    fn ids(text: &str) -> IdSet {
        text.parse().unwrap()
    }

    fn none() -> IdSet {
        IdSet::new()
    }

    #[test]
    fn an_id_is_ripe_when_all_that_held_the_lock_then_have_let_go() {
        let mut holders = Holders::default();
        let look = holders.look(&ids("3"), &none(), &listing("s", 9, &["a", "b"]));
        assert!(look.ripe.is_empty() && !look.is_still());
        assert_eq!(look.holder.as_deref(), Some("backend a, or one of 1 others"));
        // `c` came later: it can't have drawn 3.
        let look = holders.look(&ids("3"), &none(), &listing("s", 9, &["a", "b", "c"]));
        assert!(look.ripe.is_empty() && look.is_still());
        let look = holders.look(&ids("3"), &none(), &listing("s", 9, &["b", "c"]));
        assert!(look.ripe.is_empty() && !look.is_still(), "one of them left: it may be visible");
        let look = holders.look(&ids("3"), &none(), &listing("s", 9, &["c"]));
        assert!(!look.is_still());
        assert_eq!(look.ripe, ids("3"));
    }

    #[test]
    fn a_lock_that_is_still_held_does_not_say_that_nothing_is_visible() {
        let mut holders = Holders::default();
        holders.look(&ids("3"), &none(), &listing("s", 9, &["a"]));
        let mut committed = listing("s", 9, &["a"]);
        committed.holders.get_mut("a").unwrap().unseen = false;
        let look = holders.look(&ids("3"), &none(), &committed);
        assert!(look.ripe.is_empty() && !look.is_still());
    }

    #[test]
    fn without_holders_it_is_ripe_at_once() {
        assert_eq!(Holders::default().look(&ids("3-5"), &none(), &listing("s", 9, &[])).ripe, ids("3-5"));
    }

    #[test]
    fn a_holder_that_left_and_came_back_is_another_transaction() {
        let mut holders = Holders::default();
        holders.look(&ids("3"), &none(), &listing("s", 9, &["a"]));
        assert_eq!(holders.look(&ids("3"), &none(), &listing("s", 9, &[])).ripe, ids("3"));
        // 4 was seen missing later, and `a` may have drawn it.
        let look = holders.look(&ids("4"), &none(), &listing("s", 9, &["a"]));
        assert!(look.ripe.is_empty());
    }

    #[test]
    fn another_session_forgets_who_was_listed() {
        let mut holders = Holders::default();
        holders.look(&ids("3"), &none(), &listing("s", 9, &["a"]));
        // The server restarted, and `a` is a prepared transaction that is called `x` now.
        let look = holders.look(&ids("3"), &none(), &listing("t", 9, &["x"]));
        assert!(look.ripe.is_empty() && !look.is_still());
        assert_eq!(holders.look(&ids("3"), &none(), &listing("t", 9, &[])).ripe, ids("3"));
    }

    #[test]
    fn a_look_that_did_not_ask_what_was_drawn_proves_nothing_of_what_it_did_not_know() {
        let mut holders = Holders::default();
        assert!(!holders.knows(&ids("3"), &none()));
        holders.look(&ids("3"), &none(), &listing("s", 9, &["a"]));
        assert!(holders.knows(&ids("3"), &none()) && !holders.knows(&ids("3,5"), &none()));
        // The session ended between the question and the look.
        let look = holders.look(&ids("3"), &none(), &listing("t", 0, &[]));
        assert!(look.ripe.is_empty() && !look.is_still());
        assert!(!holders.knows(&ids("3"), &none()));
    }

    #[test]
    fn what_was_known_is_told_from_what_is_fresh() {
        let mut holders = Holders::default();
        holders.look(&ids("3"), &none(), &listing("s", 9, &["a", "b"]));
        let look = holders.look(&ids("3,5"), &none(), &listing("s", 9, &["a", "b"]));
        assert!(look.still && look.fresh == ids("5"));
        let look = holders.look(&ids("3,5,7"), &none(), &listing("s", 9, &["a"]));
        assert!(!look.still && look.fresh == ids("7"), "one of them left: 3 and 5 may be visible");
    }

    #[test]
    fn the_listing_before_tells_of_what_a_read_after_it_misses() {
        let mut holders = Holders::default();
        assert_eq!(holders.look(&ids("3"), &none(), &listing("s", 9, &["a", "b"])).upto, 9);
        assert!(holders.knows(&ids("3,7"), &ids("7")) && !holders.knows(&ids("3,7"), &none()));
        // `c` came after the listing, and so after 7 was drawn.
        let look = holders.look(&ids("3,7"), &ids("7"), &listing("s", 0, &["a", "b", "c"]));
        assert!(look.is_still() && look.ripe.is_empty() && look.upto == 9 && look.unchanged);
        let look = holders.look(&ids("3,7"), &none(), &listing("s", 0, &["b", "c"]));
        assert!(!look.still && !look.unchanged, "one of them left: 7 may be visible");
        assert_eq!(holders.look(&ids("3,7"), &none(), &listing("s", 0, &["c"])).ripe, ids("3,7"));
    }

    #[test]
    fn whoever_had_left_by_the_last_look_does_not_count_for_what_is_missed_after_it() {
        let mut holders = Holders::default();
        holders.look(&ids("3"), &none(), &listing("s", 9, &["a", "b"]));
        holders.look(&ids("3"), &none(), &listing("s", 0, &["b"]));
        // The read that missed 7 was begun when `a` had ended.
        assert!(holders.look(&ids("3,7"), &ids("7"), &listing("s", 0, &["b"])).is_still());
        assert_eq!(holders.look(&ids("3,7"), &none(), &listing("s", 0, &[])).ripe, ids("3,7"));
    }

    #[test]
    fn one_that_leaves_between_the_listing_and_the_look_may_have_made_it_visible() {
        let mut holders = Holders::default();
        holders.look(&ids("3"), &none(), &listing("s", 9, &["a", "b"]));
        let look = holders.look(&ids("3,7"), &ids("7"), &listing("s", 0, &["b"]));
        assert!(!look.still && look.fresh.is_empty());
    }

    #[test]
    fn the_listing_before_tells_nothing_of_what_was_drawn_after_it_nor_after_its_session() {
        let mut holders = Holders::default();
        holders.look(&ids("3"), &none(), &listing("s", 5, &["a"]));
        assert!(!holders.knows(&ids("3,7"), &ids("7")));
        let look = holders.look(&ids("3,7"), &ids("7"), &listing("s", 9, &["a", "c"]));
        assert!(look.fresh == ids("7") && look.upto == 9, "`c` may have drawn it");
        // Over there nobody was listed.
        let look = holders.look(&ids("3,7-8"), &ids("8"), &listing("t", 9, &["x"]));
        assert_eq!(look.fresh, ids("3,7-8"));
    }

    #[test]
    fn what_is_not_drawn_is_never_ripe() {
        let mut holders = Holders::default();
        assert_eq!(holders.look(&ids("2-99"), &none(), &listing("s", 1, &[])).ripe, IdSet::new());
        assert_eq!(holders.look(&ids("2-99"), &none(), &listing("s", 5, &["a"])).ripe, IdSet::new());
        assert_eq!(holders.look(&ids("2-99"), &none(), &listing("s", 7, &[])).ripe, ids("2-7"));
    }

    #[test]
    fn one_that_idles_is_one_batch_however_many_it_holds_up() {
        let mut holders = Holders::default();
        let mut missing = IdSet::new();
        for id in 1..=1_000 {
            missing.insert(2 * id);
            let passing = format!("p{id}");
            holders.look(&missing, &none(), &listing("s", 5_000, &["idle", &passing]));
        }
        assert_eq!(holders.batches.len(), 2, "those of the idle one, and the last");
    }
}
