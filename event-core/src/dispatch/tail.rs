//! The tail reader: reads each log once for all inboxes that are near its end, and decodes each event once.
//!
//! A page is found by the id it starts after. Lanes that move together ask for the same page and share it; one that lags
//! behind the pages kept reads for itself, until it arrives where the others are. Holes are each lane's own affair: a lane
//! that has any reads for itself, since its proof that they are dead needs a read that started after it.
//!
//! In a backlog the next pages are read while the lanes work on the last one. A page says what one statement saw of the ids
//! after `after`; that it is read early makes it no less true: what was not visible yet is a hole of whoever takes the page.
//! However long the log and however large the events, what is kept and read ahead is bounded by bytes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use tokio::sync::{MutexGuard, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::convoy::{Convoy, Place};
use super::shared::Shared;
use super::vitals::locked;
use crate::cursor::IdSet;
use crate::inbox::LoadedEvent;
use crate::names::LogName;
use crate::storage::{Read, ReadPage, Storage, StorageError};

/// How many pages are kept for lanes that come a little later, and about how many bytes of them; two at least.
const PAGES_KEPT: usize = 16;
pub(super) const BYTES_KEPT: usize = 24 << 20;

/// How many ids are looked for again at a time while most of them are visible, as multiples of the events of a page: of the
/// hundreds of thousands that one transaction recorded, a read then looks for those that it can return.
const AGAIN_PAGES: u64 = 4;

/// How many pages with ids looked for again are kept for other lanes that look for the very same.
const AGAIN_KEPT: usize = 3;

/// What one read brought.
pub(crate) struct Page {
    pub(crate) events: Vec<Arc<LoadedEvent>>,
    /// The tail's generation when the read began: after a page that is not full, nothing is new until it changes.
    pub(crate) generation: u64,
    /// When the read began, and when it had ended.
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    /// The id that it ends with, if the read ended early: no id above was looked for, and there may be more behind it at once.
    pub(crate) cut_after: Option<i64>,
    /// About how many bytes it takes.
    pub(super) bytes: usize,
}

impl Page {
    pub(super) fn new(read: ReadPage, begun: Instant, generation: u64) -> Self {
        let ended = Instant::now();
        let ReadPage { events, cut_after, bytes } = read;
        let events: Vec<_> = events.into_iter().map(|event| Arc::new(LoadedEvent::from_read(event))).collect();
        Self { events, generation, begun, ended, cut_after, bytes }
    }

    /// Whether there may be more behind it at once.
    pub(crate) fn is_full(&self) -> bool {
        self.cut_after.is_some()
    }

    /// Whether the read ended before it looked for this id.
    pub(crate) fn is_cut_before(&self, id: i64) -> bool {
        self.cut_after.is_some_and(|cut| cut < id)
    }

    /// The ids between `after` and its last event that it has no event of.
    pub(super) fn gaps(&self, after: i64) -> IdSet {
        let mut gaps = IdSet::new();
        let mut high = after;
        for id in self.events.iter().map(|event| event.stored().id()).filter(|id| *id > after) {
            gaps.insert_range(high + 1..=id - 1);
            high = id;
        }
        gaps
    }
}

/// Says of a lane whether it has holes; no more of a lane that is gone.
pub(crate) struct Holes {
    tail: Arc<Tail>,
    has_some: bool,
}

impl Holes {
    pub(crate) fn of(tail: Arc<Tail>) -> Self {
        Self { tail, has_some: false }
    }

    pub(crate) fn set(&mut self, has_some: bool) {
        match (self.has_some, has_some) {
            (false, true) => drop(self.tail.with_holes.fetch_add(1, Relaxed)),
            (true, false) => drop(self.tail.with_holes.fetch_sub(1, Relaxed)),
            _ => {}
        }
        self.has_some = has_some;
    }
}

impl Drop for Holes {
    fn drop(&mut self) {
        self.set(false);
    }
}

pub(crate) struct Tail {
    log: LogName,
    /// How many events a page has at most, and by their size at present.
    most: u64,
    limit: AtomicU64,
    /// About how many bytes a page has at most.
    max_bytes: usize,
    generation: watch::Sender<u64>,
    /// Whether a read brought anything since the poller asked last.
    busy: AtomicBool,
    /// How many lanes have holes here.
    with_holes: AtomicUsize,
    known: Mutex<Known>,
    /// The last pages that were read with ids looked for again, and held while one is read.
    again: tokio::sync::Mutex<VecDeque<Again>>,
    convoy: Convoy,
    /// Held by whoever reads where the log is new to all: a second lane there waits for the page instead of reading it again.
    reading: tokio::sync::Mutex<Option<Ahead>>,
}

/// A page that was read with ids looked for again. Lanes that go through the same transaction's events ask for nearly the same.
struct Again {
    after: Option<i64>,
    also: IdSet,
    page: Arc<Page>,
}

impl Again {
    /// Whether it is as good for a lane as a read of its own: it looked for all that the lane wants up to where it was cut. What it
    /// found beyond that, the lane's cursor has done.
    fn serves(&self, after: Option<i64>, also: &IdSet, high: i64, since: Instant) -> bool {
        if self.page.begun <= since {
            return false;
        }
        match self.page.cut_after.filter(|&cut| cut < high) {
            Some(cut) => {
                let mut wanted = also.clone();
                wanted.remove_range(cut.saturating_add(1)..=i64::MAX);
                // Or the lane would come to it again and again.
                let moves = self.page.events.iter().any(|event| wanted.contains(event.stored().id()));
                moves && self.also.covers(&wanted)
            }
            None => self.after == after && self.also == *also,
        }
    }
}

/// What is known of a page; nothing, where it is new to all.
enum Found {
    Page(Arc<Page>),
    /// It is no longer kept.
    Behind,
}

/// The shared pages.
#[derive(Default)]
struct Known {
    /// The newest id that a shared page ended with: where the lanes near the tail are.
    head: Option<i64>,
    /// The last shared pages, by the id they start after.
    pages: VecDeque<(i64, Arc<Page>)>,
    bytes: usize,
    /// The last empty read.
    empty: Option<(i64, Arc<Page>)>,
}

impl Known {
    fn find(&self, after: i64, generation: u64) -> Option<Found> {
        let empty = self.empty.iter().filter(|(_, page)| page.generation == generation);
        let page = self.pages.iter().chain(empty).find(|(start, _)| *start == after);
        match page {
            Some((_, page)) => Some(Found::Page(page.clone())),
            None => self.head.filter(|&head| after < head).map(|_| Found::Behind),
        }
    }

    /// How many pages make room for one of so many bytes.
    fn going_for(&self, bytes: usize) -> usize {
        let (mut kept, mut all) = (self.pages.len() + 1, self.bytes + bytes);
        let goes = |(_, page): &&(i64, Arc<Page>)| {
            let goes = kept > PAGES_KEPT || kept > 2 && all > BYTES_KEPT;
            kept -= 1;
            all -= page.bytes;
            goes
        };
        self.pages.iter().take_while(goes).count()
    }

    /// Where the last of them starts.
    fn last_going_for(&self, bytes: usize) -> Option<i64> {
        let last = self.going_for(bytes).checked_sub(1)?;
        self.pages.get(last).map(|(start, _)| *start)
    }

    fn add(&mut self, after: i64, page: &Arc<Page>) {
        match page.events.last() {
            None => {
                self.head = Some(after);
                self.empty = Some((after, page.clone()));
            }
            Some(last) => {
                self.head = Some(last.stored().id());
                let going = self.going_for(page.bytes);
                self.bytes -= self.pages.drain(..going).map(|(_, page)| page.bytes).sum::<usize>();
                self.pages.push_back((after, page.clone()));
                self.bytes += page.bytes;
            }
        }
    }
}

/// The pages that are read before anybody asks for them, one after another; given up with this value.
struct Ahead {
    /// Where the next one starts.
    after: i64,
    pages: mpsc::Receiver<Arc<Page>>,
    reading: JoinSet<Result<(), StorageError>>,
}

impl Ahead {
    /// The next page; `None` if there is no further one. After an error what was read before it is not believed either: the
    /// database may be another than it was (one that crashed back in time).
    async fn page(&mut self) -> Result<Option<Arc<Page>>, StorageError> {
        let ended = match self.reading.try_join_next() {
            Some(ended) => Some(ended),
            None => match self.pages.recv().await {
                Some(page) => return Ok(Some(page)),
                None => self.reading.join_next().await,
            },
        };
        // A panic is one of the storage's own; whoever asked has it when he reads for himself.
        if let Some(Ok(Err(error))) = ended {
            return Err(error);
        }
        Ok(self.pages.recv().await)
    }
}

impl Tail {
    pub(crate) fn new(log: LogName, limit: u64, max_bytes: usize) -> Self {
        Self {
            log,
            most: limit,
            limit: AtomicU64::new(limit),
            max_bytes,
            generation: watch::Sender::new(0),
            busy: AtomicBool::new(false),
            with_holes: AtomicUsize::new(0),
            known: Mutex::default(),
            again: tokio::sync::Mutex::default(),
            convoy: Convoy::default(),
            reading: tokio::sync::Mutex::default(),
        }
    }

    /// A place for a lane that reads here.
    pub(crate) fn place(&self) -> Place {
        self.convoy.place()
    }

    /// Changes whenever there may be something new.
    pub(crate) fn generation(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Forgets every page: after an error nothing that is only in memory is to be believed, and ids may be given out again
    /// (a database that crashed back in time).
    pub(crate) async fn forget(&self) {
        let mut reading = self.reading.lock().await;
        *reading = None;
        *locked(&self.known) = Known::default();
        self.again.lock().await.clear();
    }

    /// Whether a lane that has seen all of `page` need not read until the generation changes.
    pub(crate) fn is_end(&self, page: &Page) -> bool {
        !page.is_full() && page.generation == *self.generation.borrow()
    }

    /// Whether a read brought anything since this was asked last.
    pub(crate) fn was_busy(&self) -> bool {
        self.busy.swap(false, Relaxed)
    }

    /// Whether a lane has holes: something new may be below what is the newest already.
    pub(crate) fn has_holes(&self) -> bool {
        self.with_holes.load(Relaxed) > 0
    }

    /// There may be something new.
    pub(crate) fn bump(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// The events after `after`, and those of `also` that are visible, by a read that begins no earlier than `since`.
    pub(crate) async fn read_again<S: Storage>(
        self: &Arc<Self>,
        shared: &Arc<Shared<S>>,
        place: &Place,
        after: i64,
        also: &IdSet,
        since: Instant,
    ) -> Result<Arc<Page>, StorageError> {
        if also.is_empty() {
            return self.read(shared, place, after).await;
        }
        self.convoy.leaves(place);
        self.share_again(&shared.storage, Some(after), also, after, since).await
    }

    /// The next page of a lane whose last one was cut among the ids looked for again, which are most probably visible: only the
    /// lowest of them are looked for, and nothing new. If that brings nothing, all is looked for.
    pub(crate) async fn read_on<S: Storage>(
        self: &Arc<Self>,
        shared: &Arc<Shared<S>>,
        place: &Place,
        after: i64,
        also: &IdSet,
        since: Instant,
    ) -> Result<Arc<Page>, StorageError> {
        let lowest = also.lowest(self.most.saturating_mul(AGAIN_PAGES));
        if lowest == *also {
            return self.read_again(shared, place, after, also, since).await;
        }
        self.convoy.leaves(place);
        let page = self.share_again(&shared.storage, None, &lowest, after, since).await?;
        if page.events.is_empty() { self.read_again(shared, place, after, also, since).await } else { Ok(page) }
    }

    async fn share_again<S: Storage>(
        &self,
        storage: &S,
        after: Option<i64>,
        also: &IdSet,
        high: i64,
        since: Instant,
    ) -> Result<Arc<Page>, StorageError> {
        // One lane after another: those that wait meanwhile mostly find that the page serves them, too.
        let mut known = self.again.lock().await;
        if let Some(again) = known.iter().find(|again| again.serves(after, also, high, since)) {
            return Ok(again.page.clone());
        }
        let page = self.read_page(storage, after, also).await?;
        known.truncate(AGAIN_KEPT - 1);
        known.push_front(Again { after, also: also.clone(), page: page.clone() });
        Ok(page)
    }

    /// The events after `after`.
    pub(crate) async fn read<S: Storage>(
        self: &Arc<Self>,
        shared: &Arc<Shared<S>>,
        place: &Place,
        after: i64,
    ) -> Result<Arc<Page>, StorageError> {
        let also = &IdSet::new();
        // Of no use to a lane without holes, and perhaps to no other any more.
        if let Ok(mut again) = self.again.try_lock() {
            again.clear();
        }
        let found = match self.find(after) {
            Some(found) => found,
            None => {
                let reading = self.reading.lock().await;
                match self.find(after) {
                    Some(found) => found,
                    None => {
                        self.convoy.moves(place, after);
                        return self.read_first(shared, reading, after).await;
                    }
                }
            }
        };
        match found {
            Found::Page(page) => {
                self.convoy.moves(place, after);
                Ok(page)
            }
            Found::Behind => {
                self.convoy.leaves(place);
                self.read_page(&shared.storage, Some(after), also).await
            }
        }
    }

    fn find(&self, after: i64) -> Option<Found> {
        locked(&self.known).find(after, *self.generation.borrow())
    }

    /// A page that is new to all, for all; those who want it too wait meanwhile.
    async fn read_first<S: Storage>(
        self: &Arc<Self>,
        shared: &Arc<Shared<S>>,
        mut reading: MutexGuard<'_, Option<Ahead>>,
        after: i64,
    ) -> Result<Arc<Page>, StorageError> {
        let page = match self.read_ahead(&mut reading, after).await? {
            Some(page) => page,
            None => self.read_page(&shared.storage, Some(after), &IdSet::new()).await?,
        };
        let going = locked(&self.known).last_going_for(page.bytes);
        if let Some(start) = going {
            self.convoy.gather(start).await;
        }
        locked(&self.known).add(after, &page);
        if let Some(last) = page.cut_after {
            match &mut *reading {
                Some(ahead) => ahead.after = last,
                None => *reading = Some(self.go_ahead(shared, last)),
            }
        }
        Ok(page)
    }

    /// The page that was read ahead, if it is this one.
    async fn read_ahead(&self, reading: &mut Option<Ahead>, after: i64) -> Result<Option<Arc<Page>>, StorageError> {
        // Put back only while there is more to come of it.
        let Some(mut ahead) = reading.take().filter(|ahead| ahead.after == after) else { return Ok(None) };
        let page = ahead.page().await?;
        // What is not full may be the end of the log, seen before somebody said that there is more.
        let page = page.filter(|page| page.is_full() || page.generation == *self.generation.borrow());
        if page.as_ref().is_some_and(|page| page.is_full()) {
            *reading = Some(ahead);
        }
        Ok(page)
    }

    /// Reads on until a page is not full, or an error; a page waits to be asked for before the next but one is read.
    fn go_ahead<S: Storage>(self: &Arc<Self>, shared: &Arc<Shared<S>>, after: i64) -> Ahead {
        // It must not keep alive what would end it.
        let (tail, shared) = (Arc::downgrade(self), Arc::downgrade(shared));
        let (sender, pages) = mpsc::channel(1);
        let mut reading = JoinSet::new();
        reading.spawn(async move {
            let mut after = after;
            while let (Some(tail), Some(shared)) = (tail.upgrade(), shared.upgrade()) {
                let page = tail.read_page(&shared.storage, Some(after), &IdSet::new()).await?;
                drop((tail, shared));
                let last = page.cut_after;
                if sender.send(page).await.is_err() {
                    break;
                }
                match last {
                    Some(last) => after = last,
                    None => break,
                }
            }
            Ok(())
        });
        Ahead { after, pages, reading }
    }

    async fn read_page<S: Storage>(
        &self,
        storage: &S,
        after: Option<i64>,
        also: &IdSet,
    ) -> Result<Arc<Page>, StorageError> {
        let generation = *self.generation.borrow();
        let (limit, max_bytes) = (self.limit.load(Relaxed), self.max_bytes);
        let begun = Instant::now();
        let mut read = storage.read(Read { log: &self.log, after, also, limit, max_bytes }).await?;
        if !read.events.is_empty() {
            self.busy.store(true, Relaxed);
        }
        if after.is_none() && read.cut_after.is_none() {
            // Nothing above was looked for.
            read.cut_after = also.last();
        }
        // The next page is as large as it may be if its events are as large as these; if they are larger, the read is cut.
        if let Some(each) = read.bytes.checked_div(read.events.len()) {
            let fit = u64::try_from(max_bytes / each.max(1)).unwrap_or(u64::MAX);
            self.limit.store(fit.clamp(1, self.most), Relaxed);
        }
        Ok(Arc::new(Page::new(read, begun, generation)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{EventRef, SubjectRef};
    use crate::recorded::StoredEvent;

    fn ids(text: &str) -> IdSet {
        text.parse().unwrap()
    }

    /// A page begun now, with events of these ids.
    fn page(found: &str, cut_after: Option<i64>) -> Arc<Page> {
        let event = |id| {
            let subject = SubjectRef { kind: "issue".into(), id: "1".to_owned() };
            let now = chrono::DateTime::UNIX_EPOCH;
            let at = EventRef::new("events", id);
            Ok(Arc::new(StoredEvent::new(at, subject, "closed".to_owned(), serde_json::Map::new(), now, now)))
        };
        let found = ids(found);
        let events = found.ranges().cloned().flatten().map(event).collect();
        Arc::new(Page::new(ReadPage { events, cut_after, ..ReadPage::default() }, Instant::now(), 0))
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_serves_a_lane_that_wants_no_more_than_it_looked_for() {
        let before = Instant::now();
        tokio::time::advance(std::time::Duration::from_millis(1)).await;
        let cut = Again { after: Some(99), also: ids("3-20,40"), page: page("5-7,9", Some(9)) };
        let serves = |again: &Again, after, also: &str| again.serves(after, &ids(also), 99, before);
        assert!(serves(&cut, Some(99), "3-20,40") && serves(&cut, None, "3-20"), "the same, or none above its cut");
        assert!(serves(&cut, Some(99), "6-90"), "what it found below is done, and above its cut it says nothing");
        assert!(!serves(&cut, Some(99), "1,3-20"), "it did not look for 1");
        assert!(!serves(&cut, Some(99), "3-4,8,10-20"), "the lane would not move");
        assert!(!cut.serves(Some(99), &ids("3-20,40"), 99, Instant::now()), "begun before the lane's look had ended");

        let whole = Again { after: Some(99), also: ids("3-20"), page: page("5,120", None) };
        assert!(serves(&whole, Some(99), "3-20"));
        for (after, also) in [(Some(98), "3-20"), (None, "3-20"), (Some(99), "3-19"), (Some(99), "3-21")] {
            assert!(!serves(&whole, after, also), "{after:?} {also}");
        }
        let further = Again { after: Some(99), also: ids("3-20"), page: page("5,120", Some(120)) };
        assert!(serves(&further, Some(99), "3-20") && !serves(&further, Some(98), "3-20"));
    }
}
