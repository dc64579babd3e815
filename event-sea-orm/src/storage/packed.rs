//! A page of a log as one value, where a row for each event costs more than what is in it.
//!
//! SQLite's driver copies every value of every row for another thread, under the one lock by which SQLite counts its memory: of
//! the time of reading an event that was more than half. So the database puts the page together: of each event a JSON array of
//! what is short, with the lengths of what is JSON itself, and then that, as it is.
//!
//! Nothing here is an error of the log's: what can't be read so is read by rows, which says what is wrong.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use event_core::storage::{PageBuilder, Read, ReadPage};
use event_core::{ActorRef, EventRef, StoredEvent, StoredMetadata, SubjectRef};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::names::Names;

/// An event whose JSON is longer than this makes the page be read by rows: as one value it could be bounded only by the number of
/// its events. Lower where the page may have many events, so that the value has some four times the bytes of a page at most.
pub(crate) fn longest(read: &Read<'_>) -> u64 {
    let each = u64::try_from(read.max_bytes).unwrap_or(u64::MAX) / read.limit.max(1);
    each.max(LONGEST_MIN)
}

const LONGEST_MIN: u64 = 16 << 10;

/// How long an event's JSON is, as an expression over the columns of a shared log; without loading any of it.
pub(crate) const LENGTH: &str =
    "octet_length(metadata) + coalesce(octet_length(context), 0) + coalesce(octet_length(snapshot), 0)";

/// What an event's piece of the page is, as an expression over the columns of a shared log.
pub(crate) const PIECE: &str = "json_array(id, subject_type, subject_id, actor_type, actor_id, action, version, \
     correlation_id, causation_log, causation_id, idempotency_key, batch_id, occurred_at, created_at, \
     octet_length(metadata), octet_length(context), octet_length(snapshot)) \
     || metadata || coalesce(context, '') || coalesce(snapshot, '')";

/// The array, whose places are those of [`PIECE`].
#[derive(Deserialize)]
struct Head<'p> {
    id: i64,
    #[serde(borrow)]
    subject_type: Cow<'p, str>,
    subject_id: String,
    actor_type: Option<String>,
    actor_id: Option<String>,
    #[serde(borrow)]
    action: Cow<'p, str>,
    version: u32,
    correlation_id: Option<String>,
    causation_log: Option<String>,
    causation_id: Option<i64>,
    idempotency_key: Option<String>,
    batch_id: Option<String>,
    #[serde(borrow)]
    occurred_at: Cow<'p, str>,
    #[serde(borrow)]
    created_at: Cow<'p, str>,
    metadata: usize,
    context: Option<usize>,
    snapshot: Option<usize>,
}

/// The events of a page, if all of it can be read. In place of one that is too long there is something else.
pub(super) fn unpack(read: &Read<'_>, page: &str) -> Option<ReadPage> {
    let log = read.log;
    let mut events = PageBuilder::new(read);
    let mut names = Names::default();
    let mut pieces = Pieces(page);
    while !pieces.0.is_empty() && !events.is_full() {
        let head = pieces.head()?;
        let metadata = StoredMetadata::from_text(pieces.text(head.metadata)?.to_owned()).ok()?;
        let mut event = StoredEvent::new(
            EventRef { log: log.clone(), id: head.id },
            SubjectRef { kind: names.get(head.subject_type), id: head.subject_id },
            names.get(head.action),
            metadata,
            time(&head.occurred_at)?,
            time(&head.created_at)?,
        );
        event.version = head.version;
        event.actor =
            head.actor_type.zip(head.actor_id).map(|(name, id)| ActorRef { kind: names.get(Cow::Owned(name)), id });
        event.context = pieces.json(head.context)?;
        event.snapshot = pieces.json(head.snapshot)?;
        event.correlation_id = head.correlation_id;
        event.causation = head.causation_log.zip(head.causation_id).map(|(log, id)| EventRef { log: log.into(), id });
        event.idempotency_key = head.idempotency_key;
        event.batch_id = head.batch_id;
        events.push(Ok(Arc::new(event)));
    }
    Some(events.finish())
}

/// What is left of a page.
struct Pieces<'p>(&'p str);

impl<'p> Pieces<'p> {
    fn head(&mut self) -> Option<Head<'p>> {
        let mut heads = serde_json::Deserializer::from_str(self.0).into_iter();
        let head = heads.next()?.ok()?;
        self.0 = self.0.get(heads.byte_offset()..)?;
        Some(head)
    }

    fn text(&mut self, length: usize) -> Option<&'p str> {
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    /// `Some(None)` where there is none.
    fn json<T: DeserializeOwned>(&mut self, length: Option<usize>) -> Option<Option<T>> {
        let Some(length) = length else { return Some(None) };
        serde_json::from_str(self.text(length)?).ok().map(Some)
    }
}

/// A time in the form that the log takes.
fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}
