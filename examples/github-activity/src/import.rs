//! Recording what the file tells of: each payload's event and rows in a transaction of their own.

use std::collections::BTreeMap;
use std::path::Path;

use event_sea_orm::prelude::*;
use sea_orm::DatabaseConnection;
use tokio::sync::mpsc::Receiver;

use crate::error::Error;
use crate::mapping::{Change, Mapped, map};
use crate::payload::Payload;

/// What became of the payloads.
#[derive(Debug, Default)]
pub struct Imported {
    pub recorded: u64,
    pub already_recorded: u64,
    /// Webhooks and actions that mean nothing here, and how many payloads each.
    pub skipped: BTreeMap<String, u64>,
}

/// Records the payloads as they come, up to the first that is an error; `imported` says what was done, also then.
pub async fn import(
    db: &DatabaseConnection,
    file: &Path,
    mut payloads: Receiver<Result<Payload, Error>>,
    imported: &mut Imported,
) -> Result<(), Error> {
    while let Some(payload) = payloads.recv().await {
        let payload = payload?;
        match map(&payload).map_err(|source| Error::Payload { file: file.to_owned(), source })? {
            Mapped::Skipped(name) => *imported.skipped.entry(name).or_default() += 1,
            Mapped::Change(change) => match record(db, *change).await {
                Ok(true) => imported.recorded += 1,
                Ok(false) => imported.already_recorded += 1,
                Err(source) => {
                    let (name, place, source) = (payload.name(), payload.place, Box::new(source));
                    return Err(Error::Record { file: file.to_owned(), place, name, source });
                }
            },
        }
    }
    Ok(())
}

/// Whether it is new. The rows of one that is not stay as they are: later payloads may have changed them since.
async fn record(db: &DatabaseConnection, change: Change) -> Result<bool, RecordError> {
    db.transact(async |txn| {
        let is_new = record_many(txn, [change.event]).await?.iter().all(Saved::is_new);
        if is_new {
            for row in change.rows {
                row.upsert(txn).await?;
            }
        }
        Ok(is_new)
    })
    .await
}
