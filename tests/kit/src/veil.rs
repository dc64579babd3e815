//! Recorders that are still at it: hides what they drew from every read until they end, at moments that dice choose, before or
//! after any call of the storage. Looks tell of them as a server's lock list does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_core::StoredEvent;
use event_core::cursor::IdSet;
use event_core::storage::{Look, PageBuilder, Read, ReadEvent, ReadPage};

/// A transaction that drew ids and has not ended.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// What it drew.
    pub ids: Vec<i64>,
    /// Whether it commits in the end.
    pub commits: bool,
    /// It does not end before this many calls.
    pub lasts: u64,
    /// It waits for this one, by its number, to end: both record on one subject.
    pub after: Option<usize>,
}

/// Who records, and what of it is visible.
#[derive(Debug)]
pub struct Veil(Mutex<State>);

#[derive(Debug)]
struct State {
    dice: fastrand::Rng,
    calls: u64,
    open: BTreeMap<usize, Recorder>,
    hidden: BTreeSet<i64>,
}

/// What is remembered between two looks: missing ids, each with those who may have drawn it.
#[derive(Debug, Default)]
pub struct Proof {
    listed: Vec<(IdSet, BTreeSet<usize>)>,
    /// Who was open at the last look.
    last: BTreeSet<usize>,
}

impl Veil {
    /// These recorders, numbered as they come, ended by these dice.
    pub fn new(seed: u64, recorders: Vec<Recorder>) -> Self {
        let hidden = recorders.iter().flat_map(|recorder| recorder.ids.iter().copied()).collect();
        let open = recorders.into_iter().enumerate().collect();
        Self(Mutex::new(State { dice: fastrand::Rng::with_seed(seed), calls: 0, open, hidden }))
    }

    /// Whether every recorder has ended.
    pub fn is_lifted(&self) -> bool {
        self.0.lock().unwrap().open.is_empty()
    }

    /// A call takes its time, in which perhaps some end.
    pub async fn pass(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.end_some();
    }

    fn end_some(&self) {
        let mut state = self.0.lock().unwrap();
        state.calls += 1;
        // Mostly none does: a look must find all of them still at it, too.
        if state.dice.u8(0..6) > 0 {
            return;
        }
        let numbers: Vec<_> = state.open.keys().copied().collect();
        for number in numbers {
            let recorder = &state.open[&number];
            let may =
                recorder.lasts <= state.calls && recorder.after.is_none_or(|after| !state.open.contains_key(&after));
            if may && state.dice.bool() {
                let ended = state.open.remove(&number).unwrap();
                if ended.commits {
                    state.hidden.retain(|id| !ended.ids.contains(id));
                }
            }
        }
    }

    /// What a read sees of everything, within its bounds. Some reads end much earlier, as if the events there were large.
    pub fn visible(&self, events: Vec<ReadEvent>, read: &Read<'_>) -> ReadPage {
        let mut state = self.0.lock().unwrap();
        let limit = if state.dice.u8(0..4) == 0 { state.dice.u64(1..=read.limit) } else { read.limit };
        let mut page = PageBuilder::new(&Read { limit, ..read.clone() });
        for event in events {
            if !state.hidden.contains(&event.as_ref().unwrap().id()) {
                page.push(event);
            }
        }
        page.finish()
    }

    /// The highest visible id of these events; what is hidden is so in each log.
    pub fn newest(&self, events: &[Arc<StoredEvent>]) -> i64 {
        let state = self.0.lock().unwrap();
        events.iter().map(|event| event.id()).filter(|id| !state.hidden.contains(id)).max().unwrap_or(0)
    }

    /// A look at who records now.
    pub fn look(&self, missing: &IdSet, later: &IdSet, proof: &mut Proof) -> Look {
        let open: BTreeSet<_> = self.0.lock().unwrap().open.keys().copied().collect();
        // Every id was drawn before the first look.
        let mut look = Look { still: true, upto: i64::MAX, ..Look::default() };
        let mut later = later.clone();
        proof.listed.iter().for_each(|(ids, _)| later.remove_all(ids));
        if !later.is_empty() {
            proof.listed.push((later, proof.last.clone()));
        }
        // Often nobody came and nobody left; otherwise there is a new listing.
        look.unchanged = proof.last == open;
        proof.last.clone_from(&open);
        let mut fresh = missing.clone();
        for (ids, by) in &mut proof.listed {
            ids.keep_only(missing);
            fresh.remove_all(ids);
            let before = by.len();
            by.retain(|recorder| open.contains(recorder));
            look.still &= by.len() == before;
        }
        look.fresh.clone_from(&fresh);
        proof.listed.push((fresh, open));
        proof.listed.retain(|(ids, by)| {
            if by.is_empty() {
                look.ripe.extend(ids);
            }
            !by.is_empty() && !ids.is_empty()
        });
        look
    }
}
