//! Reading: an event's attachments, and their bytes, which are checked against what was stored.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use event_core::{EventRef, LogName};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use object_store::{GetResult, ObjectStoreExt as _};

use super::content::Summed;
use super::{Attachment, AttachmentError, Attachments, objects, row};

/// So many events are asked for at once.
const CHUNK: usize = 1_000;

impl Attachments {
    /// The attachments of an event, in the order in which they were stored.
    ///
    /// # Errors
    /// What the database says.
    pub async fn of(&self, event: &EventRef) -> Result<Vec<Attachment>, AttachmentError> {
        Ok(self.of_all([event]).await?.remove(event).unwrap_or_default())
    }

    /// The attachments of many events, as of a feed's page: one query a log and thousand events. An event without attachments is
    /// not in the map.
    ///
    /// ```
    /// # use event_sea_orm::prelude::*;
    /// # async fn example(db: &sea_orm::DatabaseConnection, attachments: &Attachments) -> Result<(), Box<dyn std::error::Error>> {
    /// let page = any_feed().page(db).await?;
    /// let files = attachments.of_all(page.entries.iter().map(|entry| &entry.at)).await?;
    /// for entry in &page.entries {
    ///     println!("{} has {} files", entry.at, files.get(&entry.at).map_or(0, Vec::len));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the database says.
    pub fn of_all<'e>(
        &self,
        events: impl IntoIterator<Item = &'e EventRef>,
    ) -> impl Future<Output = Result<HashMap<EventRef, Vec<Attachment>>, AttachmentError>> + Send {
        // Before the future is made, so that an iterator that is not `Send` does not make the future so.
        let mut by_log: BTreeMap<LogName, Vec<i64>> = BTreeMap::new();
        for event in events {
            by_log.entry(event.log.clone()).or_default().push(event.id);
        }
        self.of_logs(by_log)
    }

    async fn of_logs(
        &self,
        by_log: BTreeMap<LogName, Vec<i64>>,
    ) -> Result<HashMap<EventRef, Vec<Attachment>>, AttachmentError> {
        let mut found: HashMap<EventRef, Vec<Attachment>> = HashMap::new();
        for (log, mut ids) in by_log {
            ids.sort_unstable();
            ids.dedup();
            for ids in ids.chunks(CHUNK) {
                let attachments = row::select(&self.db, |sql| {
                    sql.push("log = ").bind(log.as_str()).push(" AND event_id IN ").set(ids.iter().copied());
                });
                for attachment in attachments.await? {
                    if let Some(event) = attachment.event.clone() {
                        found.entry(event).or_default().push(attachment);
                    }
                }
            }
        }
        Ok(found)
    }

    /// An attachment's bytes, all of them in memory; [`stream`](Self::stream) where they may be many.
    ///
    /// # Errors
    /// The object is missing, or is not what was stored; what the store says.
    pub async fn read(&self, attachment: &Attachment) -> Result<Bytes, AttachmentError> {
        let object = self.get(attachment).await?;
        let bytes = object.bytes().await.map_err(|error| objects::failed("read", &attachment.id, &error))?;
        let mut summed = Summed::default();
        summed.add(&bytes).await;
        check(attachment, summed)?;
        Ok(bytes)
    }

    /// An attachment's bytes as they come. Whether they are what was stored is known at their end only: the last item is an error
    /// if they are not, so that what was made of them before is to be thrown away then.
    ///
    /// # Errors
    /// As for [`read`](Self::read), also within the stream.
    pub async fn stream(
        &self,
        attachment: &Attachment,
    ) -> Result<impl Stream<Item = Result<Bytes, AttachmentError>> + Send + Unpin + use<>, AttachmentError> {
        let state = Reading {
            bytes: self.get(attachment).await?.into_stream(),
            summed: Summed::default(),
            attachment: attachment.clone(),
        };
        Ok(stream::try_unfold(state, Reading::next).boxed())
    }

    async fn get(&self, attachment: &Attachment) -> Result<GetResult, AttachmentError> {
        let missing = || AttachmentError::Missing { id: attachment.id.clone() };
        let path = objects::path_of(&attachment.id).ok_or_else(missing)?;
        self.objects.refuse_links(&attachment.id, &path).await?;
        let object = self.objects.store.get(&path).await;
        let object = object.map_err(|error| objects::failed("read", &attachment.id, &error))?;
        check_size(attachment, object.meta.size)?;
        Ok(object)
    }
}

struct Reading {
    bytes: BoxStream<'static, object_store::Result<Bytes>>,
    summed: Summed,
    attachment: Attachment,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, AttachmentError> {
        let bytes = self.bytes.try_next().await;
        match bytes.map_err(|error| objects::failed("read", &self.attachment.id, &error))? {
            Some(bytes) => {
                self.summed.add(&bytes).await;
                Ok(Some((bytes, self)))
            }
            None => check(&self.attachment, self.summed).map(|()| None),
        }
    }
}

fn check(attachment: &Attachment, summed: Summed) -> Result<(), AttachmentError> {
    check_size(attachment, summed.size)?;
    if summed.sha256() == attachment.sha256 {
        return Ok(());
    }
    let problem = "its checksum is another one".to_owned();
    Err(AttachmentError::Damaged { id: attachment.id.clone(), problem })
}

fn check_size(attachment: &Attachment, size: u64) -> Result<(), AttachmentError> {
    if size == attachment.size {
        return Ok(());
    }
    let problem = format!("it has {size} bytes, and {} were stored", attachment.size);
    Err(AttachmentError::Damaged { id: attachment.id.clone(), problem })
}
