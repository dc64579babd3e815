//! A lane's part in one log: its cursor, and the page at hand.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::cursor::{CEILING_BLOCK, CEILING_BLOCK_MIN, Cursor, IdSet};
use crate::dispatch::plan::Filter;
use crate::dispatch::tail::{Page, Tail};
use crate::inbox::LoadedEvent;
use crate::names::LogName;
use crate::storage::{LoadedCursor, Storage, StorageError};

/// A block of the ceiling that is used up faster than this is too short.
const PACE: Duration = Duration::from_secs(1);

/// The lane's part in one log.
pub(super) struct LogLane<S: Storage> {
    pub(super) name: LogName,
    filter: Filter,
    pub(super) cursor: Cursor,
    pub(super) saves: i64,
    tail: Arc<Tail>,
    proof: S::Proof,
    page: Option<Arc<Page>>,
    at: usize,
    /// No event beyond this one, for now: where a drain's round ends, whatever handlers record meanwhile.
    pub(super) until: i64,
    pub(super) dirty: bool,
    /// How far the ceiling is raised next, and when it was raised last.
    block: i64,
    raised_at: Instant,
}

impl<S: Storage> LogLane<S> {
    pub(super) fn new(loaded: &LoadedCursor, filter: Filter, tail: Arc<Tail>) -> Self {
        Self {
            name: loaded.log.clone(),
            filter,
            cursor: Cursor::load(loaded.cursor.clone()),
            saves: loaded.saves,
            tail,
            proof: S::Proof::default(),
            page: None,
            at: 0,
            until: i64::MAX,
            dirty: false,
            block: CEILING_BLOCK_MIN,
            raised_at: Instant::now(),
        }
    }

    /// Changes when the log may have something new.
    pub(super) fn generation(&self) -> watch::Receiver<u64> {
        self.tail.generation()
    }

    /// The next event of the page at hand that the inbox takes.
    pub(super) fn next_of_page(&mut self) -> Option<Arc<LoadedEvent>> {
        let page = self.page.as_ref()?;
        while let Some(event) = page.events.get(self.at) {
            if event.stored().id() > self.until {
                return None;
            }
            self.at += 1;
            self.dirty = true;
            let id = event.stored().id();
            if self.filter.takes(event.stored()) {
                if self.cursor.take(id) {
                    return Some(event.clone());
                }
            } else {
                self.cursor.pass(id);
            }
        }
        None
    }

    /// Raises the ceiling: further each time while the last block lasted less than a second, so that a backlog costs few saves,
    /// and by little at a slow pace, so that a crash leaves few suspects.
    pub(super) fn raise_ceiling(&mut self, id: i64) {
        let fast = self.raised_at.elapsed() < PACE;
        self.block = if fast { (self.block * 2).min(CEILING_BLOCK) } else { CEILING_BLOCK_MIN };
        self.raised_at = Instant::now();
        self.cursor.raise_ceiling(id, self.block);
        self.dirty = true;
    }

    /// Reads the next page; false at the end of the log.
    pub(super) async fn turn_page(&mut self, storage: &S, inbox: &str) -> Result<bool, StorageError> {
        let left = self.page.as_ref().is_some_and(|page| self.at < page.events.len());
        if left || self.page.as_ref().is_some_and(|page| self.tail.is_end(page)) {
            return Ok(false);
        }
        let also = self.cursor.wanted_again();
        // Asked before the read: the read that follows decides about what was ripe then.
        let ripe = match self.cursor.missing().is_empty() {
            true => IdSet::new(),
            false => storage.ripe(&self.name, self.cursor.missing(), &mut self.proof).await?,
        };
        let page = self.tail.read(storage, self.cursor.high(), &also).await?;
        if !also.is_empty() {
            let found: IdSet = page.events.iter().map(|event| event.stored().id()).collect();
            self.close_holes(ripe, &found, inbox);
        }
        let some = !page.events.is_empty();
        self.page = Some(page);
        self.at = 0;
        Ok(some)
    }

    fn close_holes(&mut self, ripe: IdSet, found: &IdSet, inbox: &str) {
        let mut dead = ripe;
        dead.remove_all(found);
        if !dead.is_empty() {
            self.cursor.settle(&dead);
            self.dirty = true;
        }
        let mut gone = self.cursor.recovering().clone();
        gone.remove_all(found);
        if !gone.is_empty() {
            tracing::error!(inbox, log = %self.name, events = %gone, "events in flight at the takeover are gone from the log");
            self.cursor.forget(&gone);
            self.dirty = true;
        }
    }
}
