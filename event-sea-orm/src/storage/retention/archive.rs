//! Where removed events go.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use event_core::cursor::IdSet;
use event_core::storage::{Read, StorageError};
use event_core::{LogName, StoredEvent};
use sea_orm::ConnectionTrait;

use super::RetentionError;
use crate::storage::SeaStorage;

/// Where to.
#[derive(Clone, Debug)]
pub(super) enum Archive {
    Nowhere,
    /// Into the table beside the log.
    Table,
    Elsewhere(Elsewhere),
}

type Taken = Pin<Box<dyn Future<Output = Result<(), Box<dyn std::error::Error + Send + Sync>>> + Send>>;

/// A user's own archive.
#[derive(Clone)]
pub(super) struct Elsewhere(Arc<dyn Fn(Vec<Arc<StoredEvent>>) -> Taken + Send + Sync>);

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Elsewhere")
    }
}

/// The table beside a log.
pub(crate) fn archive_of(log: &LogName) -> String {
    format!("{log}_archive")
}

impl Archive {
    pub(super) fn elsewhere<F, W, E>(archive: F) -> Self
    where
        F: Fn(Vec<Arc<StoredEvent>>) -> W + Send + Sync + 'static,
        W: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self::Elsewhere(Elsewhere(Arc::new(move |events| {
            let taken = archive(events);
            Box::pin(async move { taken.await.map_err(Into::into) })
        })))
    }
}

/// About how many bytes of memory the events may take that are given away at once.
const MAX_BYTES: usize = 16 << 20;

impl Elsewhere {
    /// Gives these events away, as many as may be held in memory at once; returns which of them, and the ids that are left.
    pub(super) async fn take(
        &self,
        storage: &SeaStorage,
        log: &LogName,
        mut ids: Vec<i64>,
    ) -> Result<(Vec<i64>, Vec<i64>), RetentionError> {
        let also: IdSet = ids.iter().copied().collect();
        let read = Read { log, after: None, also: &also, limit: u64::MAX, max_bytes: MAX_BYTES };
        let read = storage.read_log(&read).await?;
        ids.retain(|&id| read.cut_after.is_some_and(|cut| id > cut));
        let left = ids;
        let events: Vec<_> = read.events.into_iter().filter_map(Result::ok).collect();
        let ids = events.iter().map(|event| event.at.id).collect();
        if !events.is_empty() {
            let taken = (self.0)(events).await;
            taken.map_err(|source| RetentionError::Archive { log: log.clone(), source })?;
        }
        Ok((ids, left))
    }
}

impl SeaStorage {
    /// The table beside the log, if it is missing.
    pub(super) async fn make_archive(&self, log: &LogName) -> Result<(), StorageError> {
        let db = self.own().await?;
        for statement in self.known_dialect()?.archive_up(log.as_str(), &archive_of(log)) {
            self.answer(db.execute_unprepared(&statement)).await?;
        }
        Ok(())
    }
}
