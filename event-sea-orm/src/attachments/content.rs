//! Bytes on their way into the store: in one piece where they are few, in parts where they are many, counted and summed as they
//! pass.

use std::pin::pin;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, WriteMultipart};
use sha2::{Digest as _, Sha256};

/// Content is sent in parts of so many bytes; S3 takes ten thousand parts, so that 78 GiB are the most there.
const PART: usize = 8 << 20;

/// So many parts are on their way at once.
const AT_ONCE: usize = 4;

/// What is summed at a time: other tasks of the thread have their turn in between.
const STEP: usize = 256 << 10;

/// What was uploaded.
pub(super) struct Uploaded {
    pub(super) size: u64,
    pub(super) sha256: String,
}

/// Why an upload failed.
pub(super) enum UploadError {
    /// What gives the content.
    Content(Box<dyn std::error::Error + Send + Sync>),
    /// It is more than so many bytes.
    TooLarge(u64),
    /// The store.
    Store(object_store::Error),
}

impl From<object_store::Error> for UploadError {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error)
    }
}

/// The sum of bytes, as they come.
#[derive(Default)]
pub(super) struct Summed {
    pub(super) size: u64,
    hash: Sha256,
}

impl Summed {
    pub(super) async fn add(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        for step in bytes.chunks(STEP) {
            self.hash.update(step);
            if step.len() == STEP {
                tokio::task::yield_now().await;
            }
        }
    }

    pub(super) fn sha256(self) -> String {
        self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Writes the content to this path.
pub(super) async fn upload(
    store: &dyn ObjectStore,
    path: &Path,
    at_most: Option<u64>,
    content: impl Stream<Item = Result<Bytes, UploadError>> + Send,
) -> Result<Uploaded, UploadError> {
    let mut upload = Upload { store, path, at_most, few: Vec::new(), many: None, summed: Summed::default() };
    let sent = upload.send(content).await;
    match (sent, upload.many) {
        (Ok(()), Some(parts)) => drop(parts.finish().await?),
        (Ok(()), None) => drop(store.put(path, PutPayload::from_iter(upload.few)).await?),
        (Err(error), Some(parts)) => {
            // The first error says more; parts that stay are the store's to clean up.
            let _ = parts.abort().await;
            return Err(error);
        }
        (Err(error), None) => return Err(error),
    }
    Ok(Uploaded { size: upload.summed.size, sha256: upload.summed.sha256() })
}

struct Upload<'a> {
    store: &'a dyn ObjectStore,
    path: &'a Path,
    at_most: Option<u64>,
    /// All that came, as long as it is less than a part.
    few: Vec<Bytes>,
    many: Option<WriteMultipart>,
    summed: Summed,
}

impl Upload<'_> {
    async fn send(
        &mut self,
        content: impl Stream<Item = Result<Bytes, UploadError>> + Send,
    ) -> Result<(), UploadError> {
        let mut content = pin!(content);
        while let Some(mut bytes) = content.try_next().await? {
            if let Some(limit) = self.at_most
                && self.summed.size.saturating_add(bytes.len() as u64) > limit
            {
                return Err(UploadError::TooLarge(limit));
            }
            // By a part at a time, so that no more than a few are held in memory beside the caller's.
            while !bytes.is_empty() {
                let piece = bytes.split_to(bytes.len().min(PART));
                self.summed.add(&piece).await;
                self.put(piece).await?;
            }
        }
        Ok(())
    }

    async fn put(&mut self, piece: Bytes) -> Result<(), UploadError> {
        if self.many.is_none() {
            if self.summed.size < PART as u64 {
                self.few.push(piece);
                return Ok(());
            }
            let parts = self.store.put_multipart(self.path).await?;
            let mut parts = WriteMultipart::new_with_chunk_size(parts, PART);
            self.few.drain(..).for_each(|bytes| parts.put(bytes));
            self.many = Some(parts);
        }
        if let Some(parts) = &mut self.many {
            parts.wait_for_capacity(AT_ONCE).await?;
            parts.put(piece);
        }
        Ok(())
    }
}
