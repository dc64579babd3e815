//! A page of a feed and its entries.

use std::ops::Deref;
use std::sync::Arc;

use event_core::{DecodeError, DomainEvent, Labels, Recorded, StoredEvent};

use super::token::PageToken;

/// A page of a feed, newest first.
///
/// ```
/// # use event_sea_orm::prelude::*;
/// fn show<E: DomainEvent>(page: &Page<Entry<E>>) {
///     for entry in page {
///         println!("{}", entry.summary());
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Where the next page begins; `None` when this was the last.
    pub next: Option<PageToken>,
}

impl<'a, T> IntoIterator for &'a Page<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter()
    }
}

impl<T> IntoIterator for Page<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

/// An entry of any feed: derefs to its [`StoredEvent`].
#[derive(Clone, Debug)]
pub struct AnyEntry {
    stored: Arc<StoredEvent>,
    labels: Labels,
}

impl AnyEntry {
    pub(super) fn new(stored: Arc<StoredEvent>, labels: Labels) -> Self {
        Self { stored, labels }
    }

    /// The event as a sentence, with its subject's and actor's labels where they are known.
    pub fn summary(&self) -> String {
        self.stored.summary(&self.labels)
    }

    /// The names of its subject and actor.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The event, shared.
    pub fn stored(&self) -> &Arc<StoredEvent> {
        &self.stored
    }
}

impl Deref for AnyEntry {
    type Target = StoredEvent;

    fn deref(&self) -> &StoredEvent {
        &self.stored
    }
}

/// An entry of a typed feed: derefs to its [`StoredEvent`], and has the typed event in [`event`](Self::event).
///
/// An event that this program can't decode (a newer one recorded it) keeps its place in the page, with a summary like
/// any other; only `event()` is an error then.
#[derive(Clone, Debug)]
pub struct Entry<E> {
    any: AnyEntry,
    event: Result<Recorded<E>, DecodeError>,
}

impl<E: DomainEvent> Entry<E> {
    pub(super) fn new(stored: Arc<StoredEvent>, labels: Labels) -> Self {
        Self { event: Recorded::from_stored(stored.clone()), any: AnyEntry::new(stored, labels) }
    }

    /// The typed event.
    ///
    /// # Errors
    /// When this program can't decode it; the rest of the page is not concerned.
    pub fn event(&self) -> Result<&Recorded<E>, &DecodeError> {
        self.event.as_ref()
    }

    /// The typed event, taken out.
    ///
    /// # Errors
    /// As [`event`](Self::event).
    pub fn into_event(self) -> Result<Recorded<E>, DecodeError> {
        self.event
    }

    /// The event as a sentence, with its subject's and actor's labels where they are known.
    pub fn summary(&self) -> String {
        self.any.summary()
    }

    /// The names of its subject and actor.
    pub fn labels(&self) -> &Labels {
        self.any.labels()
    }

    /// The event without its type, shared.
    pub fn stored(&self) -> &Arc<StoredEvent> {
        self.any.stored()
    }
}

impl<E> Deref for Entry<E> {
    type Target = StoredEvent;

    fn deref(&self) -> &StoredEvent {
        &self.any
    }
}
