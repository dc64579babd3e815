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
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
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
use crate::recorded::StoredEvent;
use crate::storage::{Read, ReadEvent, Storage, StorageError};

/// How many pages are kept for lanes that come a little later, and about how many bytes of them; two at least.
const PAGES_KEPT: usize = 16;
pub(super) const BYTES_KEPT: usize = 24 << 20;

/// About how many bytes a page is to have at most: where events are large, fewer are read at a time.
const BYTES_OF_PAGE: usize = 4 << 20;

/// What one read brought.
pub(crate) struct Page {
    pub(crate) events: Vec<Arc<LoadedEvent>>,
    /// The tail's generation when the read began: after a page that is not full, nothing is new until it changes.
    pub(crate) generation: u64,
    /// When the read began, and when it had ended.
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    /// Whether there may be more behind it at once.
    pub(crate) full: bool,
    /// About how many bytes it takes.
    pub(super) bytes: usize,
}

impl Page {
    pub(super) fn new(events: Vec<ReadEvent>, begun: Instant, generation: u64, limit: u64) -> Self {
        let ended = Instant::now();
        let full = events.len() as u64 >= limit;
        let events: Vec<_> = events.into_iter().map(|event| Arc::new(LoadedEvent::from_read(event))).collect();
        // One in sixteen stands for the others.
        let some: Vec<_> = events.iter().step_by(16).map(|event| size(event.stored())).collect();
        let bytes = some.iter().sum::<usize>() * events.len() / some.len().max(1);
        Self { events, generation, begun, ended, full, bytes }
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

/// About how many bytes an event takes, read and decoded.
fn size(event: &StoredEvent) -> usize {
    // A text's map, or what is decoded of it, takes a few times its length.
    let metadata = match event.metadata.text() {
        Some(text) => 2 * text.len(),
        None => event.metadata.iter().map(|(key, value)| key.len() + 32 + size_of_json(value)).sum(),
    };
    let snapshot = event.snapshot.as_ref().map_or(0, size_of_json);
    let context =
        event.context.iter().flatten().map(|(key, value)| key.len() + 32 + size_of_json(value)).sum::<usize>();
    600 + 2 * metadata + snapshot + context
}

fn size_of_json(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    32 + match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(size_of_json).sum(),
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + 32 + size_of_json(value)).sum(),
    }
}

pub(crate) struct Tail {
    log: LogName,
    /// How many events a page has at most, and by their size at present.
    most: u64,
    limit: AtomicU64,
    generation: watch::Sender<u64>,
    /// Whether a read brought anything since the poller asked last.
    busy: AtomicBool,
    known: Mutex<Known>,
    convoy: Convoy,
    /// Held by whoever reads where the log is new to all: a second lane there waits for the page instead of reading it again.
    reading: tokio::sync::Mutex<Option<Ahead>>,
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
    pub(crate) fn new(log: LogName, limit: u64) -> Self {
        Self {
            log,
            most: limit,
            limit: AtomicU64::new(limit),
            generation: watch::Sender::new(0),
            busy: AtomicBool::new(false),
            known: Mutex::default(),
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
    }

    /// Whether a lane that has seen all of `page` need not read until the generation changes.
    pub(crate) fn is_end(&self, page: &Page) -> bool {
        !page.full && page.generation == *self.generation.borrow()
    }

    /// Whether a read brought anything since this was asked last.
    pub(crate) fn was_busy(&self) -> bool {
        self.busy.swap(false, Relaxed)
    }

    /// There may be something new.
    pub(crate) fn bump(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// The events after `after`, and those of `also` that are visible.
    pub(crate) async fn read<S: Storage>(
        self: &Arc<Self>,
        shared: &Arc<Shared<S>>,
        place: &Place,
        after: i64,
        also: &IdSet,
    ) -> Result<Arc<Page>, StorageError> {
        if !also.is_empty() {
            self.convoy.leaves(place);
            return self.read_page(&shared.storage, after, also).await;
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
                self.read_page(&shared.storage, after, also).await
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
            None => self.read_page(&shared.storage, after, &IdSet::new()).await?,
        };
        let going = locked(&self.known).last_going_for(page.bytes);
        if let Some(start) = going {
            self.convoy.gather(start).await;
        }
        locked(&self.known).add(after, &page);
        if let (true, Some(last)) = (page.full, page.events.last()) {
            let last = last.stored().id();
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
        let page = page.filter(|page| page.full || page.generation == *self.generation.borrow());
        if page.as_ref().is_some_and(|page| page.full) {
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
                let page = tail.read_page(&shared.storage, after, &IdSet::new()).await?;
                drop((tail, shared));
                let last = page.events.last().map(|event| event.stored().id()).filter(|_| page.full);
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

    async fn read_page<S: Storage>(&self, storage: &S, after: i64, also: &IdSet) -> Result<Arc<Page>, StorageError> {
        let generation = *self.generation.borrow();
        let limit = self.limit.load(Relaxed);
        let begun = Instant::now();
        let events = storage.read(Read { log: &self.log, after: Some(after), limit, also }).await?;
        if !events.is_empty() {
            self.busy.store(true, Relaxed);
        }
        let page = Page::new(events, begun, generation, limit);
        if let Some(each) = page.bytes.checked_div(page.events.len()) {
            let fit = u64::try_from(BYTES_OF_PAGE / each.max(1)).unwrap_or(u64::MAX);
            self.limit.store(fit.clamp(self.most.min(16), self.most), Relaxed);
        }
        Ok(Arc::new(page))
    }
}
