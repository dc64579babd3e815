//! The tail reader: reads each log once for all inboxes that are near its end, and decodes each event once.
//!
//! A page is found by the id it starts after. Lanes that move together ask for the same page and share it; one that lags
//! behind the pages kept reads for itself, until it arrives where the others are. Holes are each lane's own affair: a lane
//! that has any reads for itself, since its proof that they are dead needs a read that started after it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::sync::{Mutex, watch};

use crate::cursor::IdSet;
use crate::inbox::LoadedEvent;
use crate::names::LogName;
use crate::storage::{Read, Storage, StorageError};

/// How many pages are kept for lanes that come a little later.
const PAGES_KEPT: usize = 8;

/// What one read brought.
pub(crate) struct Page {
    pub(crate) events: Vec<Arc<LoadedEvent>>,
    /// The tail's generation when the read began: after a page that is not full, nothing is new until it changes.
    pub(crate) generation: u64,
    /// Whether there may be more behind it at once.
    pub(crate) full: bool,
}

pub(crate) struct Tail {
    log: LogName,
    limit: u64,
    generation: watch::Sender<u64>,
    /// Whether a read brought anything since the poller asked last.
    busy: AtomicBool,
    shared: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The newest id that a shared page ended with: where the lanes near the tail are.
    head: Option<i64>,
    /// The last shared pages, by the id they start after.
    pages: VecDeque<(i64, Arc<Page>)>,
    /// The last empty read.
    empty: Option<(i64, Arc<Page>)>,
}

impl Tail {
    pub(crate) fn new(log: LogName, limit: u64) -> Self {
        Self { log, limit, generation: watch::Sender::new(0), busy: AtomicBool::new(false), shared: Mutex::default() }
    }

    /// Changes whenever there may be something new.
    pub(crate) fn generation(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Forgets every page: after an error nothing that is only in memory is to be believed, and ids may be given out again
    /// (a database that crashed back in time).
    pub(crate) async fn forget(&self) {
        *self.shared.lock().await = Shared::default();
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
        &self,
        storage: &S,
        after: i64,
        also: &IdSet,
    ) -> Result<Arc<Page>, StorageError> {
        if !also.is_empty() {
            return self.read_page(storage, after, also).await;
        }
        // Held over the read: a second lane at the same place waits for the page instead of reading it again.
        let mut shared = self.shared.lock().await;
        if let Some((_, page)) = shared.pages.iter().find(|(start, _)| *start == after) {
            return Ok(page.clone());
        }
        if shared.head.is_some_and(|head| after < head) {
            drop(shared);
            return self.read_page(storage, after, also).await;
        }
        if let Some((start, page)) = &shared.empty
            && *start == after
            && page.generation == *self.generation.borrow()
        {
            return Ok(page.clone());
        }
        let page = self.read_page(storage, after, also).await?;
        match page.events.last() {
            None => {
                shared.head = Some(after);
                shared.empty = Some((after, page.clone()));
            }
            Some(last) => {
                shared.head = Some(last.stored().id());
                shared.pages.push_back((after, page.clone()));
                if shared.pages.len() > PAGES_KEPT {
                    shared.pages.pop_front();
                }
            }
        }
        Ok(page)
    }

    async fn read_page<S: Storage>(&self, storage: &S, after: i64, also: &IdSet) -> Result<Arc<Page>, StorageError> {
        let generation = *self.generation.borrow();
        let read = Read { log: &self.log, after: Some(after), limit: self.limit, also };
        let events = storage.read(read).await?;
        if !events.is_empty() {
            self.busy.store(true, Relaxed);
        }
        let full = events.len() as u64 >= self.limit;
        let events: Vec<_> = events.into_iter().map(|event| Arc::new(LoadedEvent::from_read(event))).collect();
        Ok(Arc::new(Page { events, generation, full }))
    }
}
