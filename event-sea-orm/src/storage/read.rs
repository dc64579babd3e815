//! Reading a log for the dispatcher: one statement, one snapshot, sorted by id.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use event_core::storage::{Read, ReadEvent, StorageError, UnreadableEvent};
use event_core::{EventRef, LogName, StoredEvent, SubjectRef};
use sea_orm::QueryResult;
use serde_json::json;

use super::SeaStorage;
use crate::row::{COLUMNS, stored_event};

impl SeaStorage {
    pub(super) async fn read_log(&self, read: &Read<'_>) -> Result<Vec<ReadEvent>, StorageError> {
        let mut sql = self.sql()?;
        sql.push("SELECT * FROM (");
        if let Some(after) = read.after {
            sql.push("SELECT ").push(COLUMNS).push(" FROM ").name(read.log.as_str()).push(" WHERE id > ").bind(after);
            sql.push(" ORDER BY id LIMIT ").bind(i64::try_from(read.limit).unwrap_or(i64::MAX));
        } else {
            sql.push("SELECT ").push(COLUMNS).push(" FROM ").name(read.log.as_str()).push(" WHERE id < 0");
        }
        sql.push(")");
        if !read.also.is_empty() {
            // As one value, however many ranges; CROSS JOIN keeps SQLite from walking the log for each.
            let ranges: Vec<_> = read.also.ranges().map(|range| json!([range.start(), range.end()])).collect();
            sql.push(" UNION ALL SELECT ").push(COLUMNS);
            sql.push(
                " FROM (SELECT json_extract(value, '$[0]') AS low, json_extract(value, '$[1]') AS high FROM json_each(",
            );
            sql.bind(json!(ranges).to_string()).push(")) AS hole CROSS JOIN ").name(read.log.as_str());
            sql.push(" AS log ON log.id BETWEEN hole.low AND hole.high");
        }
        sql.push(" ORDER BY id");
        let rows = self.query(&self.db, sql).await?;
        rows.iter().map(|row| self.read_event(read.log, row)).collect()
    }

    /// The row as an event; one that is broken holds up nobody but its own readers.
    fn read_event(&self, log: &LogName, row: &QueryResult) -> Result<ReadEvent, StorageError> {
        match stored_event(log, row) {
            Ok(event) => Ok(Ok(Arc::new(event))),
            Err(broken) => {
                let text = |column: &str| row.try_get::<String>("", column).unwrap_or_default();
                let time = |column: &str| row.try_get::<DateTime<Utc>>("", column).unwrap_or_default();
                let at = EventRef { log: log.clone(), id: self.number(row, "id")? };
                let subject = SubjectRef { kind: Cow::Owned(text("subject_type")), id: text("subject_id") };
                let (occurred, created) = (time("occurred_at"), time("created_at"));
                let event = StoredEvent::new(at, subject, text("action"), serde_json::Map::new(), occurred, created);
                Ok(Err(UnreadableEvent { event: Arc::new(event), reason: broken.to_string() }))
            }
        }
    }
}
