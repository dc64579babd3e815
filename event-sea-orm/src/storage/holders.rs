//! Who may still make a missing id visible: the rule by which it is proved dead, without I/O.
//!
//! Whoever draws an id holds a lock on the log from before the draw to the end of its transaction. So those who hold it in a
//! listing made after the id was drawn are the only ones that may have drawn it. When none of *them* holds it any more, a read
//! that starts later decides: visible, or never. Whoever came after the listing does not count, so nobody stalls it for ever.

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
}

#[derive(Clone, Debug)]
struct Batch {
    ids: IdSet,
    holders: Vec<String>,
}

impl Holders {
    /// Whether it has each of these ids from a look before, so that the next one need not ask what was drawn. Should the session
    /// have ended by then it knows none of them, and that look proves nothing.
    pub(super) fn knows(&self, missing: &IdSet) -> bool {
        let mut fresh = missing.clone();
        self.batches.iter().for_each(|batch| fresh.remove_all(&batch.ids));
        fresh.is_empty()
    }

    /// Takes in a listing made after the ids were seen missing.
    pub(super) fn look(&mut self, missing: &IdSet, listing: &Listing) -> Look {
        if self.session != listing.session {
            self.session.clone_from(&listing.session);
            self.batches.clear();
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

    #[test]
    fn an_id_is_ripe_when_all_that_held_the_lock_then_have_let_go() {
        let mut holders = Holders::default();
        let look = holders.look(&ids("3"), &listing("s", 9, &["a", "b"]));
        assert!(look.ripe.is_empty() && !look.is_still());
        assert_eq!(look.holder.as_deref(), Some("backend a, or one of 1 others"));
        // `c` came later: it can't have drawn 3.
        let look = holders.look(&ids("3"), &listing("s", 9, &["a", "b", "c"]));
        assert!(look.ripe.is_empty() && look.is_still());
        let look = holders.look(&ids("3"), &listing("s", 9, &["b", "c"]));
        assert!(look.ripe.is_empty() && !look.is_still(), "one of them left: it may be visible");
        let look = holders.look(&ids("3"), &listing("s", 9, &["c"]));
        assert!(!look.is_still());
        assert_eq!(look.ripe, ids("3"));
    }

    #[test]
    fn a_lock_that_is_still_held_does_not_say_that_nothing_is_visible() {
        let mut holders = Holders::default();
        holders.look(&ids("3"), &listing("s", 9, &["a"]));
        let mut committed = listing("s", 9, &["a"]);
        committed.holders.get_mut("a").unwrap().unseen = false;
        let look = holders.look(&ids("3"), &committed);
        assert!(look.ripe.is_empty() && !look.is_still());
    }

    #[test]
    fn without_holders_it_is_ripe_at_once() {
        assert_eq!(Holders::default().look(&ids("3-5"), &listing("s", 9, &[])).ripe, ids("3-5"));
    }

    #[test]
    fn a_holder_that_left_and_came_back_is_another_transaction() {
        let mut holders = Holders::default();
        holders.look(&ids("3"), &listing("s", 9, &["a"]));
        assert_eq!(holders.look(&ids("3"), &listing("s", 9, &[])).ripe, ids("3"));
        // 4 was seen missing later, and `a` may have drawn it.
        let look = holders.look(&ids("4"), &listing("s", 9, &["a"]));
        assert!(look.ripe.is_empty());
    }

    #[test]
    fn another_session_forgets_who_was_listed() {
        let mut holders = Holders::default();
        holders.look(&ids("3"), &listing("s", 9, &["a"]));
        // The server restarted, and `a` is a prepared transaction that is called `x` now.
        let look = holders.look(&ids("3"), &listing("t", 9, &["x"]));
        assert!(look.ripe.is_empty() && !look.is_still());
        assert_eq!(holders.look(&ids("3"), &listing("t", 9, &[])).ripe, ids("3"));
    }

    #[test]
    fn a_look_that_did_not_ask_what_was_drawn_proves_nothing_of_what_it_did_not_know() {
        let mut holders = Holders::default();
        assert!(!holders.knows(&ids("3")));
        holders.look(&ids("3"), &listing("s", 9, &["a"]));
        assert!(holders.knows(&ids("3")) && !holders.knows(&ids("3,5")));
        // The session ended between the question and the look.
        let look = holders.look(&ids("3"), &listing("t", 0, &[]));
        assert!(look.ripe.is_empty() && !look.is_still());
        assert!(!holders.knows(&ids("3")));
    }

    #[test]
    fn what_was_known_is_told_from_what_is_fresh() {
        let mut holders = Holders::default();
        holders.look(&ids("3"), &listing("s", 9, &["a", "b"]));
        let look = holders.look(&ids("3,5"), &listing("s", 9, &["a", "b"]));
        assert!(look.still && look.fresh == ids("5"));
        let look = holders.look(&ids("3,5,7"), &listing("s", 9, &["a"]));
        assert!(!look.still && look.fresh == ids("7"), "one of them left: 3 and 5 may be visible");
    }

    #[test]
    fn what_is_not_drawn_is_never_ripe() {
        let mut holders = Holders::default();
        assert_eq!(holders.look(&ids("2-99"), &listing("s", 1, &[])).ripe, IdSet::new());
        assert_eq!(holders.look(&ids("2-99"), &listing("s", 5, &["a"])).ripe, IdSet::new());
        assert_eq!(holders.look(&ids("2-99"), &listing("s", 7, &[])).ripe, ids("2-7"));
    }

    #[test]
    fn one_that_idles_is_one_batch_however_many_it_holds_up() {
        let mut holders = Holders::default();
        let mut missing = IdSet::new();
        for id in 1..=1_000 {
            missing.insert(2 * id);
            let passing = format!("p{id}");
            holders.look(&missing, &listing("s", 5_000, &["idle", &passing]));
        }
        assert_eq!(holders.batches.len(), 2, "those of the idle one, and the last");
    }
}
