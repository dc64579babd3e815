//! Attaching: the files of a recording become its event's, in the atomic block in which the event is written.
//!
//! An UPDATE that takes only what is nobody's yet. It locks the rows to the end of the recorder's transaction, as a sweep does that
//! claims them to be removed: whoever comes second finds what the first one did.

use std::collections::HashMap;

use event_core::{AttachmentId, EventRef, NewEvent, Saved};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use super::{AttachmentRefusal, RecordError};
use crate::backend::{Dialect, Sql};
use crate::row::integer;

/// The table.
pub(crate) const TABLE: &str = "event_attachments";

/// The files of a recording that came to this.
pub(super) async fn attach<C: ConnectionTrait>(
    conn: &C,
    dialect: &dyn Dialect,
    event: &NewEvent,
    saved: &Saved,
) -> Result<(), RecordError> {
    if event.attachments.is_empty() {
        return Ok(());
    }
    match saved {
        Saved::Recorded(at) => take(conn, dialect, event, at).await,
        Saved::AlreadyRecorded(at) => compare(conn, dialect, event, at).await,
        // Throttled: they stay nobody's, and are swept.
        _ => Ok(()),
    }
}

async fn take<C: ConnectionTrait>(
    conn: &C,
    dialect: &dyn Dialect,
    event: &NewEvent,
    at: &EventRef,
) -> Result<(), RecordError> {
    let mut sql = Sql::new(dialect);
    sql.push("UPDATE event_attachments SET log = ").bind(at.log.as_str()).push(", event_id = ").bind(at.id);
    sql.push(" WHERE event_id IS NULL AND state = 'stored' AND id IN ").set(ids(event));
    let done = conn.execute_raw(sql.statement(conn.get_database_backend())).await;
    let done = done.map_err(|error| RecordError::of(dialect, TABLE, error))?;
    if done.rows_affected() == event.attachments.len() as u64 {
        return Ok(());
    }
    let rows = Rows::of(conn, dialect, event).await?;
    for id in &event.attachments {
        if let Some(refusal) = rows.refusal(id, at) {
            return Err(RecordError::Attachment { action: event.action, id: id.clone(), refusal });
        }
    }
    Err(RecordError::Db(DbErr::RecordNotUpdated.into()))
}

/// The event stands there already, under its key. Tried again after an answer that was lost, it has these very files; tried again
/// from the beginning, ones of the same content, which were stored once more and stay nobody's.
async fn compare<C: ConnectionTrait>(
    conn: &C,
    dialect: &dyn Dialect,
    event: &NewEvent,
    at: &EventRef,
) -> Result<(), RecordError> {
    let given = Rows::of(conn, dialect, event).await?;
    let mut kept = select(conn, dialect, |sql| {
        sql.push("log = ").bind(at.log.as_str()).push(" AND event_id = ").bind(at.id);
    })
    .await?;
    for id in &event.attachments {
        let here = kept.iter().position(|row| row.id == id.as_str());
        let here = match here {
            Some(here) => Some(here),
            None => match given.refusal(id, at) {
                Some(refusal) => return Err(RecordError::Attachment { action: event.action, id: id.clone(), refusal }),
                None => {
                    kept.iter().position(|row| Some(&row.content) == given.0.get(id.as_str()).map(|row| &row.content))
                }
            },
        };
        let Some(here) = here else { return Err(other_files(event, at)) };
        kept.swap_remove(here);
    }
    if kept.is_empty() { Ok(()) } else { Err(other_files(event, at)) }
}

fn other_files(event: &NewEvent, at: &EventRef) -> RecordError {
    RecordError::KeyConflict { action: event.action, existing: at.clone(), differs: "attachments".to_owned() }
}

fn ids(event: &NewEvent) -> impl Iterator<Item = &str> {
    event.attachments.iter().map(AttachmentId::as_str)
}

/// What an attachment's row says, as far as attaching has to know.
struct Row {
    id: String,
    state: String,
    event: Option<EventRef>,
    /// Name, type, size and checksum.
    content: (String, String, Option<i64>, Option<String>),
}

/// The rows of a recording's attachments, by their ids.
struct Rows(HashMap<String, Row>);

impl Rows {
    async fn of<C: ConnectionTrait>(conn: &C, dialect: &dyn Dialect, event: &NewEvent) -> Result<Self, RecordError> {
        let rows = select(conn, dialect, |sql| {
            sql.push("id IN ").set(ids(event));
        });
        Ok(Self(rows.await?.into_iter().map(|row| (row.id.clone(), row)).collect()))
    }

    /// Why it can't be attached to this event; none where it can be, or is.
    fn refusal(&self, id: &AttachmentId, at: &EventRef) -> Option<AttachmentRefusal> {
        let Some(row) = self.0.get(id.as_str()) else { return Some(AttachmentRefusal::Unknown) };
        match (&row.event, row.state.as_str()) {
            (Some(event), _) if event != at => Some(AttachmentRefusal::Attached { event: event.clone() }),
            (_, "stored") => None,
            (_, "uploading") => Some(AttachmentRefusal::NotStored),
            _ => Some(AttachmentRefusal::Swept),
        }
    }
}

async fn select<C: ConnectionTrait>(
    conn: &C,
    dialect: &dyn Dialect,
    condition: impl FnOnce(&mut Sql<'_>),
) -> Result<Vec<Row>, RecordError> {
    let statement = {
        let mut sql = Sql::new(dialect);
        sql.push("SELECT id, state, log, event_id, name, content_type, size, sha256 FROM event_attachments WHERE ");
        condition(&mut sql);
        sql.push(dialect.newest_rows());
        sql.statement(conn.get_database_backend())
    };
    let failed = |error| RecordError::of(dialect, TABLE, error);
    let rows = conn.query_all_raw(statement).await.map_err(failed)?;
    rows.iter().map(row).collect::<Result<_, _>>().map_err(failed)
}

fn row(row: &QueryResult) -> Result<Row, DbErr> {
    let log: Option<String> = row.try_get("", "log")?;
    let event = match log {
        Some(log) => Some(EventRef::new(log, integer(row, "event_id")?)),
        None => None,
    };
    let size = row.try_get("", "size")?;
    let content = (row.try_get("", "name")?, row.try_get("", "content_type")?, size, row.try_get("", "sha256")?);
    Ok(Row { id: row.try_get("", "id")?, state: row.try_get("", "state")?, event, content })
}
