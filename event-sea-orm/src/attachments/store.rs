//! Storing: the row first, then the object, then what the object turned out to be.

use bytes::{Bytes, BytesMut};
use event_core::AttachmentId;
use futures_util::{Stream, StreamExt as _, stream};
use sea_orm::ConnectionTrait;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use uuid::Uuid;

use super::content::{self, UploadError, Uploaded};
use super::{Attachment, AttachmentError, Attachments, objects, row};
use crate::backend::{Sql, dialect};

/// The most characters of a name and of a content type.
const TEXT_MAX: usize = 255;

/// How much is read at a time.
const BUFFER: usize = 64 << 10;

type ContentError = Box<dyn std::error::Error + Send + Sync>;

impl Attachments {
    /// Stores a file, to be attached to an event: `.attach(attachment)`. Until then it is nobody's, and a
    /// [`sweep`](Self::sweep) removes it after a while.
    ///
    /// Call it before the transaction begins: its row is committed by itself, on the pool.
    ///
    /// The name may be any text of at most 255 characters; it is kept, and no path is made of it. The content type is kept too, and
    /// nobody checks that the content is of it.
    ///
    /// # Errors
    /// A name or a content type that is none, what the store says, what the database says. What was written of it is swept.
    pub async fn store(
        &self,
        name: impl Into<String>,
        content_type: impl Into<String>,
        content: impl Into<Bytes>,
    ) -> Result<Attachment, AttachmentError> {
        let content = content.into();
        if let Some(limit) = self.at_most.filter(|&limit| content.len() as u64 > limit) {
            return Err(AttachmentError::TooLarge { limit });
        }
        self.store_content(name.into(), content_type.into(), stream::iter([Ok(content)])).await
    }

    /// As [`store`](Self::store), for content that comes bit by bit. It is sent on as it comes, and never held as a whole.
    ///
    /// # Errors
    /// As for `store`, and what the stream says.
    pub async fn store_stream<B, Err>(
        &self,
        name: impl Into<String>,
        content_type: impl Into<String>,
        content: impl Stream<Item = Result<B, Err>> + Send,
    ) -> Result<Attachment, AttachmentError>
    where
        B: Into<Bytes>,
        Err: Into<ContentError>,
    {
        let content = content.map(|bytes| bytes.map(Into::into).map_err(|error| UploadError::Content(error.into())));
        self.store_content(name.into(), content_type.into(), content).await
    }

    /// As [`store_stream`](Self::store_stream), of what can be read: a `tokio::fs::File`, a socket.
    ///
    /// # Errors
    /// As for `store`, and what the reader says.
    pub async fn store_reader(
        &self,
        name: impl Into<String>,
        content_type: impl Into<String>,
        reader: impl AsyncRead + Send + Unpin,
    ) -> Result<Attachment, AttachmentError> {
        let content = stream::try_unfold(reader, |mut reader| async move {
            let mut buffer = BytesMut::with_capacity(BUFFER);
            match reader.read_buf(&mut buffer).await {
                Ok(0) => Ok(None),
                Ok(_) => Ok(Some((buffer.freeze(), reader))),
                Err(error) => Err(UploadError::Content(error.into())),
            }
        });
        self.store_content(name.into(), content_type.into(), content).await
    }

    async fn store_content(
        &self,
        name: String,
        content_type: String,
        content: impl Stream<Item = Result<Bytes, UploadError>> + Send,
    ) -> Result<Attachment, AttachmentError> {
        check_name(&name)?;
        check_content_type(&content_type)?;
        let id = AttachmentId::from(Uuid::now_v7().to_string());
        let missing = || AttachmentError::Missing { id: id.clone() };
        let path = objects::path_of(&id).ok_or_else(missing)?;
        self.begin(&id, &name, &content_type).await?;
        self.objects.prepare(&id, &path).await?;
        match content::upload(&*self.objects.store, &path, self.at_most, content).await {
            Ok(uploaded) => {
                self.objects.protect(&id, &path).await?;
                self.finish(id, &uploaded).await
            }
            Err(UploadError::Content(source)) => Err(AttachmentError::Content { id, source }),
            Err(UploadError::TooLarge(limit)) => {
                self.remove_begun(&id).await;
                Err(AttachmentError::TooLarge { limit })
            }
            // A sweep takes away what an upload has written so far, and the store then misses it.
            Err(UploadError::Store(error)) => match self.is_uploading(&id).await {
                Ok(false) => self.take_back(id).await,
                _ => Err(objects::failed("store", &id, &error)),
            },
        }
    }

    /// Removes an upload that did not end, as a sweep would: claimed first. What fails here, a sweep does again; an account that may not
    /// delete leaves the row to it.
    async fn remove_begun(&self, id: &AttachmentId) {
        let Ok(dialect) = dialect(self.db.get_database_backend()) else { return };
        let run = async |sql: Sql<'_>| self.db.execute_raw(sql.statement(self.db.get_database_backend())).await;
        let mut sql = Sql::new(dialect);
        sql.push("UPDATE event_attachments SET state = 'removing' WHERE state = 'uploading' AND id = ")
            .bind(id.as_str());
        if run(sql).await.is_err() || self.objects.delete(id).await.is_err() {
            return;
        }
        let mut sql = Sql::new(dialect);
        sql.push("DELETE FROM event_attachments WHERE state = 'removing' AND id = ").bind(id.as_str());
        drop(run(sql).await);
    }

    async fn begin(&self, id: &AttachmentId, name: &str, content_type: &str) -> Result<(), AttachmentError> {
        let backend = self.db.get_database_backend();
        let dialect = dialect(backend)?;
        let mut sql = Sql::new(dialect);
        sql.push("INSERT INTO event_attachments (id, name, content_type, state) VALUES ");
        sql.list([id.as_str(), name, content_type, "uploading"]);
        let done = self.db.execute_raw(sql.statement(backend)).await;
        done.map(drop).map_err(|error| AttachmentError::of(dialect, error))
    }

    async fn finish(&self, id: AttachmentId, uploaded: &Uploaded) -> Result<Attachment, AttachmentError> {
        let backend = self.db.get_database_backend();
        let dialect = dialect(backend)?;
        let mut sql = Sql::new(dialect);
        sql.push("UPDATE event_attachments SET state = 'stored', size = ");
        sql.bind(i64::try_from(uploaded.size).unwrap_or(i64::MAX)).push(", sha256 = ").bind(uploaded.sha256.as_str());
        sql.push(" WHERE state = 'uploading' AND id = ").bind(id.as_str());
        let done = self.db.execute_raw(sql.statement(backend)).await;
        done.map_err(|error| AttachmentError::of(dialect, error))?;
        match self.find(&id).await? {
            Some(attachment) => Ok(attachment),
            None => self.take_back(id).await,
        }
    }

    /// The sweep may not have found the object, which was not there yet, and nobody else knows of it.
    async fn take_back(&self, id: AttachmentId) -> Result<Attachment, AttachmentError> {
        self.objects.delete(&id).await?;
        Err(AttachmentError::SweptAway { id })
    }

    async fn is_uploading(&self, id: &AttachmentId) -> Result<bool, AttachmentError> {
        let backend = self.db.get_database_backend();
        let dialect = dialect(backend)?;
        let mut sql = Sql::new(dialect);
        sql.push("SELECT id FROM event_attachments WHERE state = 'uploading' AND id = ").bind(id.as_str());
        let row = self.db.query_one_raw(sql.statement(backend)).await;
        Ok(row.map_err(|error| AttachmentError::of(dialect, error))?.is_some())
    }

    /// The stored attachment of that id, attached or not: for a file that one request stores and another one attaches. The id
    /// alone gives no right to it; that is to be checked.
    ///
    /// # Errors
    /// What the database says.
    pub async fn find(&self, id: &AttachmentId) -> Result<Option<Attachment>, AttachmentError> {
        // It may come from a URL, and the driver can't bind every text.
        if !id.is_valid() {
            return Ok(None);
        }
        let found = row::select(&self.db, |sql| {
            sql.push("id = ").bind(id.as_str());
        });
        Ok(found.await?.pop())
    }
}

fn check_name(name: &str) -> Result<(), AttachmentError> {
    let characters = name.chars().count();
    let problem = if name.is_empty() {
        "is empty".to_owned()
    } else if characters > TEXT_MAX {
        format!("has {characters} characters; {TEXT_MAX} at most")
    } else if name.contains('\0') {
        "holds a NUL character".to_owned()
    } else {
        return Ok(());
    };
    Err(AttachmentError::Invalid { what: "name", problem })
}

/// It goes into headers of HTTP, where a line break would begin another one.
fn check_content_type(content_type: &str) -> Result<(), AttachmentError> {
    let is_header = content_type.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let problem = if !is_header {
        "holds what is no visible ASCII character".to_owned()
    } else if content_type.len() > TEXT_MAX {
        format!("has {} characters; {TEXT_MAX} at most", content_type.len())
    } else if !content_type.split_once('/').is_some_and(|(kind, rest)| !kind.is_empty() && !rest.is_empty()) {
        "is none: one is `text/plain`, and of what is unknown `application/octet-stream`".to_owned()
    } else {
        return Ok(());
    };
    Err(AttachmentError::Invalid { what: "content type", problem })
}
