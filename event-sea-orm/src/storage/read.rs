//! Reading a log for the dispatcher; the statement is the database's own (`backend/`).

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use event_core::storage::{PageBuilder, Read, ReadEvent, ReadPage, StorageError, StorageErrorKind, UnreadableEvent};
use event_core::{EventRef, LogName, StoredEvent, SubjectRef};
use futures_util::TryStreamExt as _;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, QueryResult, Statement, StreamTrait};

use super::{SeaStorage, packed};
use crate::names::Names;
use crate::own_table::{self, OwnTable};
use crate::row::stored_event;

impl SeaStorage {
    pub(super) async fn read_log(&self, read: &Read<'_>) -> Result<ReadPage, StorageError> {
        let dialect = self.known_dialect()?;
        let db = self.own().await?;
        if let Some(statement) = dialect.read_packed(read)
            && let Some(page) = self.read_packed(&db, read, statement).await?
        {
            return Ok(page);
        }
        let statement = dialect.read(read);
        let table = own_table::of(read.log.as_str());
        // Each row is read while the database sends the next ones; to the last, for an open read keeps its snapshot. What comes
        // behind the bound by bytes is received and let go: the next read is of fewer events, if these are so large.
        let rows = self.answer(async {
            let mut rows = db.stream_raw(statement).await?;
            let (mut page, mut names) = (PageBuilder::new(read), Names::default());
            while let Some(row) = rows.try_next().await? {
                if !page.is_full() {
                    match self.read_event(read.log, table, &mut names, &row) {
                        Ok(event) => page.push(event),
                        Err(error) => return Ok(Err(error)),
                    }
                }
            }
            Ok(Ok(page.finish()))
        });
        rows.await?
    }

    /// All of it by one value; `None` where it has to be read by rows.
    async fn read_packed(
        &self,
        db: &DatabaseConnection,
        read: &Read<'_>,
        statement: Statement,
    ) -> Result<Option<ReadPage>, StorageError> {
        let row = match self.answer(db.query_one_raw(statement)).await {
            Ok(row) => row,
            // Of what is in the log, or longer than a value may be. What else there is to say, the rows say as well.
            Err(error) if error.kind() == StorageErrorKind::Other => return Ok(None),
            Err(error) => return Err(error),
        };
        // NULL where there is no event.
        let Some(Ok(page)) = row.map(|row| row.try_get::<Option<String>>("", "page")) else { return Ok(None) };
        Ok(packed::unpack(read, page.as_deref().unwrap_or_default()))
    }

    /// The row as an event; one that is broken holds up nobody but its own readers.
    fn read_event(
        &self,
        log: &LogName,
        table: Option<&'static OwnTable>,
        names: &mut Names,
        row: &QueryResult,
    ) -> Result<ReadEvent, StorageError> {
        match stored_event(log, table, names, row, 0) {
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
