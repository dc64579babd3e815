//! Throttles that ended long ago do nothing any more.

use chrono::{DateTime, Utc};
use event_core::storage::StorageError;

use crate::storage::SeaStorage;

/// How many go at once.
const BATCH: i64 = 500;

impl SeaStorage {
    /// Removes those that ended before, in batches; how many.
    pub(super) async fn remove_throttles(&self, before: DateTime<Utc>) -> Result<u64, StorageError> {
        let db = self.own().await?;
        let mut removed = 0;
        loop {
            let mut sql = self.sql()?;
            sql.push("SELECT name FROM event_throttles WHERE until <= ").bind(before).push(" LIMIT ").bind(BATCH);
            let rows = self.query(&db, sql).await?;
            if rows.is_empty() {
                return Ok(removed);
            }
            let names = rows.iter().map(|row| self.text(row, "name")).collect::<Result<Vec<_>, _>>()?;
            let mut sql = self.sql()?;
            // Taken again meanwhile, it stays.
            sql.push("DELETE FROM event_throttles WHERE until <= ").bind(before).push(" AND name IN ").set(names);
            let gone = self.execute(&db, sql).await?;
            // All of them taken again, or of a name that another program wrote and that compares as another (PostgreSQL pads it).
            if gone == 0 {
                return Ok(removed);
            }
            removed += gone;
        }
    }
}
