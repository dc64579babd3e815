//! Strays: objects that no row names, as after a backup of the database was restored that is older than the store.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use event_core::AttachmentId;
use futures_util::StreamExt as _;
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStoreExt as _};
use sea_orm::{ConnectionTrait, QueryResult};

use super::objects::{ROOT, path_of, words};
use super::{AttachmentError, Attachments};
use crate::backend::{Sql, dialect};

/// So many objects are looked up at once.
const CHUNK: usize = 1_000;

/// An object in the store that no row names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stray {
    /// Where it lies in the store.
    pub path: String,
    /// How many bytes it has.
    pub size: u64,
    /// When it was written, by the store's clock.
    pub last_modified: DateTime<Utc>,
}

impl Attachments {
    /// The objects beneath `attachments/` that no row names. There are none unless the database is older than the store (a backup
    /// was restored), somebody else writes there, or an upload was swept away whose program ended before it could take its object
    /// back.
    ///
    /// They are listed and never deleted: what the database does not know of may be all that is left of a file.
    ///
    /// # Errors
    /// What the store says, what the database says.
    pub async fn strays(&self) -> Result<Vec<Stray>, AttachmentError> {
        let failed =
            |error: Error| AttachmentError::Store { what: "list attachments".to_owned(), reason: words(&error) };
        let root = Path::from(ROOT);
        let mut pages = self.objects.store.list(Some(&root)).chunks(CHUNK);
        let mut strays = Vec::new();
        while let Some(page) = pages.next().await {
            let objects: Vec<ObjectMeta> = page.into_iter().collect::<Result<_, _>>().map_err(failed)?;
            let known = self.known(&objects).await?;
            for object in objects.into_iter().filter(|object| !known.contains(&object.location)) {
                // A sweep may have removed both since the store listed it.
                match self.objects.store.head(&object.location).await {
                    Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(failed(error)),
                    Ok(object) => strays.push(Stray {
                        path: object.location.to_string(),
                        size: object.size,
                        last_modified: object.last_modified,
                    }),
                }
            }
        }
        Ok(strays)
    }

    /// The paths of these objects that rows stand for; found by the ids that they end in.
    async fn known(&self, objects: &[ObjectMeta]) -> Result<HashSet<Path>, AttachmentError> {
        let backend = self.db.get_database_backend();
        let dialect = dialect(backend)?;
        let ids = objects.iter().filter_map(|object| Some(AttachmentId::from(object.location.filename()?)));
        // Of anything else there is no row, and not every name can be bound.
        let ids: Vec<_> = ids.filter(AttachmentId::is_valid).collect();
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let mut sql = Sql::new(dialect);
        sql.push("SELECT id FROM event_attachments WHERE id IN ").set(ids.iter().map(AttachmentId::as_str));
        let failed = |error| AttachmentError::of(dialect, error);
        let rows = self.db.query_all_raw(sql.statement(backend)).await.map_err(failed)?;
        let path = |row: &QueryResult| Ok(path_of(&AttachmentId::from(row.try_get::<String>("", "id")?)));
        rows.iter().filter_map(|row| path(row).transpose()).collect::<Result<_, _>>().map_err(failed)
    }
}
