//! An attachment, as its row says, and how rows are asked for.

use chrono::{DateTime, Utc};
use event_core::{AttachmentId, EventRef};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, QueryResult};

use super::AttachmentError;
use crate::backend::{Sql, dialect};
use crate::row::integer;

/// A file that is stored, attached to an event or not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attachment {
    /// Its id: a UUID, and later ones are greater.
    pub id: AttachmentId,
    /// The file's name, as it was given: any text, which may hold `/` and `..`. No path on any disk is made of it.
    pub name: String,
    /// The content type, as it was given; nobody checked that the content is of it.
    pub content_type: String,
    /// How many bytes it has.
    pub size: u64,
    /// The SHA-256 of its bytes: 64 hexadecimal digits in lower case.
    pub sha256: String,
    /// The event that it is attached to.
    pub event: Option<EventRef>,
    /// When storing it began, by the database's clock.
    pub created_at: DateTime<Utc>,
}

impl From<Attachment> for AttachmentId {
    fn from(attachment: Attachment) -> Self {
        attachment.id
    }
}

impl From<&Attachment> for AttachmentId {
    fn from(attachment: &Attachment) -> Self {
        attachment.id.clone()
    }
}

/// The stored attachments of this condition, in the order in which they were stored.
pub(super) async fn select(
    db: &DatabaseConnection,
    condition: impl FnOnce(&mut Sql<'_>),
) -> Result<Vec<Attachment>, AttachmentError> {
    let backend = db.get_database_backend();
    let dialect = dialect(backend)?;
    let statement = {
        let mut sql = Sql::new(dialect);
        sql.push("SELECT id, name, content_type, size, sha256, log, event_id, created_at FROM event_attachments ");
        sql.push("WHERE state = 'stored' AND ");
        condition(&mut sql);
        sql.statement(backend)
    };
    let failed = |error| AttachmentError::of(dialect, error);
    let rows = db.query_all_raw(statement).await.map_err(failed)?;
    let mut attachments: Vec<_> = rows.iter().map(attachment).collect::<Result<_, _>>().map_err(failed)?;
    // Not by the database, which might walk the primary key for it.
    attachments.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(attachments)
}

fn attachment(row: &QueryResult) -> Result<Attachment, DbErr> {
    let log: Option<String> = row.try_get("", "log")?;
    let event = match log {
        Some(log) => Some(EventRef::new(log, integer(row, "event_id")?)),
        None => None,
    };
    let size = integer(row, "size")?;
    let id: String = row.try_get("", "id")?;
    Ok(Attachment {
        id: id.into(),
        name: row.try_get("", "name")?,
        content_type: row.try_get("", "content_type")?,
        size: u64::try_from(size).map_err(|_| DbErr::Type("the size of an attachment is negative".to_owned()))?,
        sha256: row.try_get("", "sha256")?,
        event,
        created_at: row.try_get("", "created_at")?,
    })
}
