//! Reading a log for the dispatcher; the statement is the database's own (`backend/`).

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use event_core::storage::{Read, ReadEvent, StorageError, UnreadableEvent};
use event_core::{EventRef, LogName, StoredEvent, SubjectRef};
use futures_util::TryStreamExt as _;
use sea_orm::{QueryResult, StreamTrait};

use super::SeaStorage;
use crate::own_table::{self, OwnTable};
use crate::row::stored_event;

fn id(event: &ReadEvent) -> i64 {
    match event {
        Ok(event) => event.at.id,
        Err(broken) => broken.event.at.id,
    }
}

impl SeaStorage {
    pub(super) async fn read_log(&self, read: &Read<'_>) -> Result<Vec<ReadEvent>, StorageError> {
        let statement = self.known_dialect()?.read(read);
        let db = self.own().await?;
        let table = own_table::of(read.log.as_str());
        // Each row is read while the database sends the next ones; to the last, for an open read keeps its snapshot.
        let rows = self.answer(async {
            let mut rows = db.stream_raw(statement).await?;
            let mut events = Vec::new();
            while let Some(row) = rows.try_next().await? {
                events.push(self.read_event(read.log, table, &row));
            }
            Ok(events)
        });
        let mut events: Vec<_> = rows.await?.into_iter().collect::<Result<_, _>>()?;
        events.sort_by_key(id);
        Ok(events)
    }

    /// The row as an event; one that is broken holds up nobody but its own readers.
    fn read_event(
        &self,
        log: &LogName,
        table: Option<&'static OwnTable>,
        row: &QueryResult,
    ) -> Result<ReadEvent, StorageError> {
        match stored_event(log, table, row, 0) {
            Ok(event) => Ok(Ok(Arc::new(event))),
            Err(broken) => {
                let text = |column: &str| row.try_get::<String>("", column).unwrap_or_default();
                let time = |column: &str| row.try_get::<DateTime<Utc>>("", column).unwrap_or_default();
                let at = EventRef { log: log.clone(), id: self.number(row, "id")? };
                let subject = match table.map(|table| &table.subject) {
                    // The second column behind the event's id.
                    Some(key) => {
                        let id = key.read(row, 2).ok().flatten().unwrap_or_default();
                        SubjectRef { kind: Cow::Borrowed(key.kind), id }
                    }
                    None => SubjectRef { kind: Cow::Owned(text("subject_type")), id: text("subject_id") },
                };
                let (occurred, created) = (time("occurred_at"), time("created_at"));
                let event = StoredEvent::new(at, subject, text("action"), serde_json::Map::new(), occurred, created);
                Ok(Err(UnreadableEvent { event: Arc::new(event), reason: broken.to_string() }))
            }
        }
    }
}
