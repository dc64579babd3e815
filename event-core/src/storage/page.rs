//! What a read of a log returns, and the bounds that end a read early.

use super::{Read, ReadEvent};

/// What a read of a log returned.
///
/// A read goes through the log by id and ends early once it has [`Read::limit`] events or [`Read::max_bytes`] of them. What it
/// returned then is still exact, as far as it goes: it looked for every id that it was asked for up to `cut_after`, in one snapshot,
/// and for no id above.
///
/// For example, of the ids 3, 5 and 7 looked for again and the new ones above 9, with a limit of two: if 3, 7, 10 and 11 are
/// visible, it returns 3 and 7 with `cut_after: Some(7)`. The read says that 5 was not visible, and nothing about 10.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ReadPage {
    /// The events, sorted by id.
    pub events: Vec<ReadEvent>,
    /// The id of the last event, if the read ended early: it looked for no id above this one.
    pub cut_after: Option<i64>,
    /// About how many bytes of memory the events take.
    pub bytes: usize,
}

impl ReadPage {
    /// Nothing was visible.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }
}

/// Fills a [`ReadPage`], event by event in the order of their ids, until a bound of the read is reached.
///
/// Storages use it so that all of them count alike.
#[derive(Debug)]
pub struct PageBuilder {
    page: ReadPage,
    limit: u64,
    max_bytes: usize,
}

impl PageBuilder {
    /// An empty page with the bounds of this read.
    #[must_use]
    pub fn new(read: &Read<'_>) -> Self {
        Self { page: ReadPage::empty(), limit: read.limit, max_bytes: read.max_bytes }
    }

    /// Whether the page takes no more: what comes next was not looked for.
    pub fn is_full(&self) -> bool {
        self.page.cut_after.is_some()
    }

    /// Adds an event; a full page ignores it. The first event is added whatever its size.
    pub fn push(&mut self, event: ReadEvent) {
        if self.is_full() {
            return;
        }
        let stored = match &event {
            Ok(event) => event,
            Err(broken) => &broken.event,
        };
        let id = stored.id();
        self.page.bytes += stored.size_in_memory();
        self.page.events.push(event);
        if self.page.events.len() as u64 >= self.limit || self.page.bytes >= self.max_bytes {
            self.page.cut_after = Some(id);
        }
    }

    /// The page.
    #[must_use]
    pub fn finish(self) -> ReadPage {
        self.page
    }
}
