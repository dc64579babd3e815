//! A lane's part in one log: its cursor, and the page at hand.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::cursor::{CEILING_BLOCK_MIN, Cursor, IdSet, SavedCursor};
use crate::dispatch::convoy::Place;
use crate::dispatch::filter::{Filter, Interest};
use crate::dispatch::shared::Shared;
use crate::dispatch::tail::{BYTES_KEPT, Holes, Page, Tail};
use crate::dispatch::vitals::LogVitals;
use crate::inbox::LoadedEvent;
use crate::names::LogName;
use crate::storage::{CursorSave, LoadedCursor, Look, Storage, StorageError};

use super::signs::Signs;

/// A block of the ceiling that is used up faster than this is too short.
const PACE: Duration = Duration::from_millis(200);

/// The longest block but for an inbox that uses even this one up in a quarter of [`PACE`].
const BLOCK: i64 = 1_000;

/// How many pages more are read before a look: one look serves all of them. Together with the first they are to be fewer, and of
/// fewer bytes, than the tail keeps.
const PAGES_A_LOOK: usize = 3;
const BYTES_A_LOOK: usize = BYTES_KEPT / 2;

/// Ranges of missing ids that are many: to look for them in a read takes longer than to look at the recorders.
const MANY: usize = 100;

/// The last look at the log's recorders.
struct Looked {
    /// When it began, and when it had ended.
    at: Instant,
    ended: Instant,
    /// The missing ids that it knew.
    missing: IdSet,
    /// Whether none of them was visible to any read that ended before.
    still: bool,
    /// Of ids up to this one that a read misses which was begun later than that, the next look knows as much as of these.
    upto: i64,
    since: Instant,
}

impl Looked {
    fn nothing() -> Self {
        let now = Instant::now();
        Self { at: now, ended: now, missing: IdSet::new(), still: false, upto: 0, since: now }
    }

    /// Whether it says that a page was read when none of the missing ids was visible.
    fn covers(&self, page: &Page, missing: &IdSet) -> bool {
        self.still && page.ended < self.at && self.missing.covers(missing)
    }

    /// What such a page misses of which the next look knows.
    fn tells_of(&self, page: &Page, after: i64) -> IdSet {
        if page.begun <= self.since {
            return IdSet::new();
        }
        let mut gaps = page.gaps(after);
        gaps.remove_range(self.upto.saturating_add(1)..=i64::MAX);
        gaps
    }
}

/// What came of reading a page without the missing ids that are known.
enum Without {
    /// It is as good as one with them.
    Page(Arc<Page>),
    /// It has to be read with them, which decides about these.
    Ripe(IdSet),
}

/// The lane's part in one log.
pub(super) struct LogLane<S: Storage> {
    pub(super) name: LogName,
    pub(super) filter: Filter,
    pub(super) cursor: Cursor,
    saves: i64,
    /// As it stands in the database.
    stored: SavedCursor,
    tail: Arc<Tail>,
    place: Place,
    holes: Holes,
    proof: S::Proof,
    looked: Looked,
    /// Ids of which a look said that the next read decides, and that no read since has looked for: each was cut before.
    ripe: IdSet,
    page: Option<Arc<Page>>,
    /// The id that it starts after, and how far it is taken.
    after: i64,
    at: usize,
    /// No event beyond this one, for now: where a drain's round ends, whatever handlers record meanwhile.
    pub(super) until: i64,
    pub(super) dirty: bool,
    /// How far the ceiling is raised next, and when it was raised last.
    block: i64,
    raised_at: Instant,
    signs: Signs,
}

impl<S: Storage> LogLane<S> {
    pub(super) fn new(
        loaded: &LoadedCursor,
        filter: Filter,
        tail: Arc<Tail>,
        vitals: Arc<LogVitals>,
        clock: Clock,
    ) -> Self {
        let cursor = Cursor::load(loaded.cursor.clone());
        Self {
            name: loaded.log.clone(),
            filter,
            signs: Signs::new(vitals, clock, &cursor),
            cursor,
            saves: loaded.saves,
            stored: loaded.cursor.clone(),
            place: tail.place(),
            holes: Holes::of(tail.clone()),
            tail,
            proof: S::Proof::default(),
            looked: Looked::nothing(),
            ripe: IdSet::new(),
            page: None,
            after: 0,
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

    /// The next event of the page at hand that the inbox takes, or that this program does not know.
    pub(super) fn next_of_page(&mut self) -> Option<(Arc<LoadedEvent>, Interest)> {
        let page = self.page.as_ref()?;
        while let Some(event) = page.events.get(self.at) {
            if event.stored().id() > self.until {
                return None;
            }
            self.at += 1;
            self.dirty = true;
            let id = event.stored().id();
            match self.filter.interest(event.stored()) {
                Interest::Passes => self.cursor.pass(id),
                interest if self.cursor.take(id) => return Some((event.clone(), interest)),
                _ => {}
            }
        }
        None
    }

    /// Raises the ceiling: further each time while the last block did not last long, so that a backlog costs few saves, and by
    /// little at a slow pace, so that a crash leaves few suspects: each costs two saves at the takeover.
    pub(super) fn raise_ceiling(&mut self, id: i64, most: i64) {
        let lasted = self.raised_at.elapsed();
        let most = if lasted < PACE / 4 { most } else { most.min(BLOCK) };
        self.block = if lasted < PACE { (self.block * 2).min(most).max(CEILING_BLOCK_MIN) } else { CEILING_BLOCK_MIN };
        self.raised_at = Instant::now();
        self.cursor.raise_ceiling(id, self.block);
        self.dirty = true;
    }

    /// Reads the next page; false at the end of the log.
    pub(super) async fn turn_page(&mut self, shared: &Arc<Shared<S>>, inbox: &str) -> Result<bool, StorageError> {
        // Before the lane may come to wait for something new.
        self.holes.set(!self.cursor.missing().is_empty() || !self.cursor.recovering().is_empty());
        let left = self.page.as_ref().is_some_and(|page| self.at < page.events.len());
        if left || self.page.as_ref().is_some_and(|page| self.tail.is_end(page)) {
            return Ok(false);
        }
        let after = self.cursor.high();
        let page = self.read_page(shared, inbox).await?;
        if let Some(left) = &self.page {
            self.signs.leave(&self.cursor, left);
        }
        self.signs.read(&self.cursor, &page);
        let some = !page.events.is_empty();
        self.page = Some(page);
        self.after = after;
        self.at = 0;
        Ok(some)
    }

    /// The next page, with whatever of the holes is visible by now.
    ///
    /// A subject's events are seen in the order of their commits because one statement looks for the new and for the missing
    /// ones. A page that was read without the missing ones is as good if none of them was visible then: so says a look
    /// *after* that read, which finds the recorders of all of them still at it. So lanes with holes share the pages of the
    /// others as long as nothing changes, and a recorder that idles in its transaction costs nobody a read. In a backlog one look
    /// serves every page that was read ahead before it.
    async fn read_page(&mut self, shared: &Arc<Shared<S>>, inbox: &str) -> Result<Arc<Page>, StorageError> {
        let high = self.cursor.high();
        let also = self.cursor.wanted_again();
        if also.is_empty() {
            self.ripe = IdSet::new();
            return self.tail.read(shared, &self.place, high).await;
        }
        // A page that was cut among them left some to be looked for: the next read goes on there, without a look.
        let page = if self.page.as_ref().is_some_and(|page| page.is_cut_before(self.after)) {
            self.tail.read_on(shared, &self.place, high, &also, self.looked.ended).await?
        } else {
            if !self.cursor.missing().is_empty() {
                match self.read_without_known(shared, high).await? {
                    Without::Page(page) => return Ok(page),
                    Without::Ripe(ids) => self.ripe.extend(&ids),
                }
            }
            self.tail.read_again(shared, &self.place, high, &also, self.looked.ended).await?
        };
        // Begun after the look: it decides about what was ripe then, as far as it looked.
        self.close_holes(&page, inbox);
        Ok(page)
    }

    /// The next page without the missing ids that a look before knew, if a look after it says that none of them was visible.
    async fn read_without_known(&mut self, shared: &Arc<Shared<S>>, high: i64) -> Result<Without, StorageError> {
        let missing = self.cursor.missing().clone();
        let mut fresh = IdSet::new();
        // Of what the page at hand missed the last look may tell, if that page was read after it.
        let mut told = self.page.as_ref().map_or_else(IdSet::new, |page| self.looked.tells_of(page, self.after));
        told.keep_only(&missing);
        let mut untold = missing.clone();
        untold.remove_all(&told);
        let recovers = !self.cursor.recovering().is_empty();
        if recovers || !self.looked.missing.covers(&untold) {
            // Beside many known ones a second look costs less than looking for all of them in a read.
            let many = self.looked.missing.ranges().nth(MANY).is_some();
            // It lists the recorders of the fresh ones, before the read that looks for those.
            let look = self.look(&shared.storage, missing.clone(), &told).await?;
            told = IdSet::new();
            if recovers || !many || !look.still || !look.ripe.is_empty() {
                return Ok(Without::Ripe(look.ripe));
            }
            fresh = look.fresh;
        }
        let page = self.tail.read_again(shared, &self.place, high, &fresh, self.looked.ended).await?;
        if self.looked.covers(&page, &missing) {
            return Ok(Without::Page(page));
        }
        let mut later = self.missed_on_the_way(shared, &page, high).await?;
        later.extend(&told);
        let mut known = missing.clone();
        known.extend(&later);
        let mut look = self.look(&shared.storage, known, &later).await?;
        look.ripe.keep_only(&missing);
        Ok(if look.is_still() { Without::Page(page) } else { Without::Ripe(look.ripe) })
    }

    /// Of a backlog some pages more, read now and taken later, so that the look to come serves them, too. Gives what they miss and
    /// this page, as far as that look can tell.
    async fn missed_on_the_way(
        &self,
        shared: &Arc<Shared<S>>,
        page: &Arc<Page>,
        high: i64,
    ) -> Result<IdSet, StorageError> {
        let mut missed = self.looked.tells_of(page, high);
        let mut page = page.clone();
        let mut bytes = page.bytes;
        for _ in 0..PAGES_A_LOOK {
            // One that was cut before the new events is followed by nothing that could be read ahead.
            let Some(after) = page.cut_after.filter(|&cut| cut >= high && bytes < BYTES_A_LOOK) else { break };
            page = self.tail.read(shared, &self.place, after).await?;
            missed.extend(&self.looked.tells_of(&page, after));
            bytes += page.bytes;
        }
        Ok(missed)
    }

    async fn look(&mut self, storage: &S, missing: IdSet, later: &IdSet) -> Result<Look, StorageError> {
        let at = Instant::now();
        let look = storage.look(&self.name, &missing, later, &mut self.proof).await?;
        let ended = Instant::now();
        let since = if look.unchanged { self.looked.since } else { ended };
        self.looked = Looked { at, ended, missing, still: look.is_still(), upto: look.upto, since };
        self.signs.held_by(look.holder.clone());
        Ok(look)
    }

    /// Covers what comes next, in a save that is made anyway: a transactional inbox saves at every batch, and in a backlog the
    /// next one needs no save of its own before it starts.
    pub(super) fn look_ahead(&mut self, ids: i64) {
        if self.dirty && !self.cursor.may_start(self.cursor.high() + ids) {
            self.cursor.raise_ceiling(self.cursor.high(), ids);
        }
    }

    /// What a save writes of this log.
    pub(super) fn to_save(&self) -> CursorSave {
        let SavedCursor { high, ceiling, missing, in_flight } = self.cursor.save();
        CursorSave {
            log: self.name.clone(),
            saves: self.saves,
            high,
            ceiling,
            missing: (missing != self.stored.missing).then_some(missing),
            in_flight: (in_flight != self.stored.in_flight).then_some(in_flight),
        }
    }

    /// The save was applied.
    pub(super) fn saved(&mut self, save: &CursorSave) {
        self.saves += 1;
        save.apply(&mut self.stored);
        self.dirty = false;
        self.signs.saved(&self.cursor, self.page.as_deref(), self.at);
    }

    /// What a page says of the ids that it looked for again and does not hold. Of those above its cut it says nothing.
    fn close_holes(&mut self, page: &Page, inbox: &str) {
        let found: IdSet = page.events.iter().map(|event| event.stored().id()).collect();
        let not_found = |ids: &IdSet| {
            let mut ids = ids.clone();
            if let Some(cut) = page.cut_after {
                ids.remove_range(cut.saturating_add(1)..=i64::MAX);
            }
            ids.remove_all(&found);
            ids
        };
        let dead = not_found(&self.ripe);
        if !dead.is_empty() {
            self.cursor.settle(&dead);
            self.dirty = true;
        }
        let gone = not_found(self.cursor.recovering());
        // What was decided just now, one way or the other, is not missing any more.
        match page.cut_after.filter(|&cut| cut < self.cursor.high()) {
            Some(cut) => self.ripe.remove_range(i64::MIN..=cut),
            None => self.ripe = IdSet::new(),
        }
        if !gone.is_empty() {
            tracing::error!(inbox, log = %self.name, events = %gone, "events in flight at the takeover are gone from the log");
            self.cursor.forget(&gone);
            self.dirty = true;
        }
    }
}
