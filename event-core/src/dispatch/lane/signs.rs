//! What a lane tells of its place in one log, for the dispatcher's health: at page turns and saves.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::cursor::Cursor;
use crate::dispatch::health::OldestHole;
use crate::dispatch::tail::Page;
use crate::dispatch::vitals::LogVitals;

/// How many times of holes are remembered; those of still newer holes count as seen with the last of them.
const TIMES_MOST: usize = 100;

pub(super) struct Signs {
    vitals: Arc<LogVitals>,
    clock: Clock,
    /// When the events were recorded that were in flight when their page was left.
    left: BTreeMap<i64, DateTime<Utc>>,
    /// Up to which id holes were seen, and when, the oldest first.
    holes: VecDeque<(i64, DateTime<Utc>)>,
    holder: Option<String>,
}

impl Signs {
    pub(super) fn new(vitals: Arc<LogVitals>, clock: Clock, cursor: &Cursor) -> Self {
        let mut signs = Self { vitals, clock, left: BTreeMap::new(), holes: VecDeque::new(), holder: None };
        signs.tell(cursor, None, 0);
        signs
    }

    /// Who holds the oldest hole open, as a look has it.
    pub(super) fn held_by(&mut self, holder: Option<String>) {
        self.holder = holder;
    }

    /// The page at hand makes room for another.
    pub(super) fn leave(&mut self, cursor: &Cursor, page: &Page) {
        let in_flight = cursor.in_flight();
        self.left.retain(|&id, _| in_flight.contains(id));
        for range in in_flight.ranges() {
            let first = page.events.partition_point(|event| event.stored().id() < *range.start());
            let events = page.events[first..].iter().map(|event| event.stored());
            for event in events.take_while(|event| event.id() <= *range.end()) {
                self.left.insert(event.id(), event.created_at);
            }
        }
    }

    /// A page was read.
    pub(super) fn read(&mut self, cursor: &Cursor, page: &Page) {
        let now = self.tell(cursor, Some(page), 0);
        self.vitals.tell(|signs| signs.last_read = Some(now));
    }

    /// A save was applied; the page at hand is done up to `at`, but for what is in flight.
    pub(super) fn saved(&mut self, cursor: &Cursor, page: Option<&Page>, at: usize) {
        let now = self.tell(cursor, page, at);
        self.vitals.tell(|signs| signs.last_save = Some(now));
    }

    fn tell(&mut self, cursor: &Cursor, page: Option<&Page>, at: usize) -> DateTime<Utc> {
        let now = self.clock.now();
        let hole = self.oldest_hole(cursor, now);
        let next = page.and_then(|page| page.events.get(at)).map(|event| event.stored().created_at);
        let oldest = self.oldest_in_flight(cursor, page).into_iter().chain(next).min();
        self.vitals.tell(|signs| {
            signs.high = cursor.high();
            signs.missing = cursor.missing().clone();
            signs.in_flight = cursor.in_flight().count() + cursor.recovering().count();
            signs.oldest = oldest;
            signs.hole = hole;
        });
        now
    }

    fn oldest_in_flight(&self, cursor: &Cursor, page: Option<&Page>) -> Option<DateTime<Utc>> {
        let lowest = cursor.in_flight().first()?;
        if let Some(recorded) = self.left.get(&lowest) {
            return Some(*recorded);
        }
        let events = &page?.events;
        let at = events.binary_search_by_key(&lowest, |event| event.stored().id()).ok()?;
        Some(events[at].stored().created_at)
    }

    fn oldest_hole(&mut self, cursor: &Cursor, now: DateTime<Utc>) -> Option<OldestHole> {
        let missing = cursor.missing();
        let (Some(lowest), Some(highest)) = (missing.first(), missing.last()) else {
            self.holes.clear();
            self.holder = None;
            return None;
        };
        while self.holes.front().is_some_and(|&(up_to, _)| up_to < lowest) {
            self.holes.pop_front();
        }
        if self.holes.back().is_none_or(|&(up_to, _)| up_to < highest) {
            let seen = match self.holes.len() {
                TIMES_MOST => self.holes.pop_back().map_or(now, |(_, seen)| seen),
                _ => now,
            };
            self.holes.push_back((cursor.high(), seen));
        }
        let &(_, since) = self.holes.front()?;
        Some(OldestHole { id: lowest, since, holder: self.holder.clone() })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cursor::{IdSet, SavedCursor};
    use crate::names::{EventRef, SubjectRef};
    use crate::recorded::StoredEvent;
    use crate::storage::ReadPage;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(seconds)
    }

    /// Events of these ids, each recorded as many seconds after the epoch as its id says.
    fn page(ids: impl IntoIterator<Item = i64>) -> Page {
        let event = |id| {
            let subject = SubjectRef { kind: "issue".into(), id: "1".to_owned() };
            let (at, recorded) = (EventRef::new("events", id), at(id));
            let event = StoredEvent::new(at, subject, "closed".to_owned(), serde_json::Map::new(), recorded, recorded);
            Ok(Arc::new(event))
        };
        let read = ReadPage { events: ids.into_iter().map(event).collect(), ..ReadPage::default() };
        Page::new(read, tokio::time::Instant::now(), 0)
    }

    fn signs(cursor: &Cursor) -> (Signs, Arc<LogVitals>, Clock) {
        let (vitals, clock) = (Arc::new(LogVitals::default()), Clock::manual(at(1_000)));
        (Signs::new(vitals.clone(), clock.clone(), cursor), vitals, clock)
    }

    #[test]
    fn the_oldest_event_not_done_is_known_over_pages() {
        let mut cursor = Cursor::default();
        let (mut signs, vitals, _) = signs(&cursor);
        let oldest = || vitals.signs().unwrap().oldest;
        let first = page(1..=5);
        signs.read(&cursor, &first);
        assert_eq!(oldest(), Some(at(1)), "read, and none begun");
        (1..=5).for_each(|id| assert!(cursor.take(id)));
        [1, 3, 5].into_iter().for_each(|id| cursor.finish(id));
        signs.saved(&cursor, Some(&first), 5);
        assert_eq!((oldest(), vitals.signs().unwrap().in_flight), (Some(at(2)), 2));
        let second = page(6..=9);
        signs.leave(&cursor, &first);
        signs.read(&cursor, &second);
        assert_eq!(oldest(), Some(at(2)), "of the page before");
        cursor.finish(2);
        assert!(cursor.take(6));
        signs.saved(&cursor, Some(&second), 1);
        assert_eq!(oldest(), Some(at(4)), "the next one of the page before");
        cursor.finish(4);
        signs.saved(&cursor, Some(&second), 1);
        assert_eq!(oldest(), Some(at(6)));
        cursor.finish(6);
        signs.saved(&cursor, Some(&second), 1);
        assert_eq!(oldest(), Some(at(7)), "the next one to begin");
        (7..=9).for_each(|id| assert!(cursor.take(id)));
        (7..=9).for_each(|id| cursor.finish(id));
        signs.saved(&cursor, Some(&second), 4);
        assert_eq!(oldest(), None, "all that is known is done");
    }

    #[test]
    fn the_oldest_hole_is_as_old_as_it_was_seen() {
        let saved = SavedCursor { high: 10, ceiling: 10, missing: "3,7".parse().unwrap(), in_flight: IdSet::new() };
        let mut cursor = Cursor::load(saved);
        let (mut signs, vitals, clock) = signs(&cursor);
        let hole = || vitals.signs().unwrap().hole;
        signs.held_by(Some("session 42".to_owned()));
        for (seconds, id) in [(10, 12), (20, 14)] {
            clock.advance(Duration::from_secs(10));
            cursor.pass(id);
            signs.saved(&cursor, None, 0);
            let expected = OldestHole { id: 3, since: at(1_000), holder: Some("session 42".to_owned()) };
            assert_eq!(hole(), Some(expected), "{seconds} s later");
        }
        let settle = |cursor: &mut Cursor, id: i64| cursor.settle(&IdSet::from_iter([id]));
        for (id, next, since) in [(3, 7, 1_000), (7, 11, 1_010), (11, 13, 1_020)] {
            settle(&mut cursor, id);
            signs.saved(&cursor, None, 0);
            assert_eq!(hole().map(|hole| (hole.id, hole.since)), Some((next, at(since))));
        }
        settle(&mut cursor, 13);
        signs.saved(&cursor, None, 0);
        assert_eq!(hole(), None);
        cursor.pass(16);
        signs.saved(&cursor, None, 0);
        assert_eq!(hole(), Some(OldestHole { id: 15, since: at(1_020), holder: None }), "its holder is another one");
    }

    #[test]
    fn the_times_of_holes_are_bounded() {
        let mut cursor = Cursor::default();
        let (mut signs, vitals, clock) = signs(&cursor);
        for id in 1..=1_000 {
            clock.advance(Duration::from_secs(1));
            cursor.pass(id * 2);
            signs.saved(&cursor, None, 0);
        }
        assert_eq!((signs.holes.len(), vitals.signs().unwrap().missing.count()), (TIMES_MOST, 1_000));
        assert_eq!(vitals.signs().unwrap().hole.map(|hole| (hole.id, hole.since)), Some((1, at(1_001))));
    }
}
