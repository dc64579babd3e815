//! Where "now" is: where the cursor of a new inbox starts that takes what is recorded from now on.

use std::time::Duration;

use event_core::LogName;
use event_core::cursor::{IdSet, SavedCursor};
use event_core::storage::{Storage, StorageError};
use tokio::time::Instant;

use super::{Proof, SeaStorage};

/// How long recorders that are under way are waited for.
const WAIT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

impl SeaStorage {
    /// The newest visible event, with every id below that may still become visible for a hole.
    ///
    /// Ids are drawn in order, so whoever drew one below the newest visible id had drawn it before we saw that one. When
    /// everybody who recorded then has ended, nothing below is still to come. One who does not end for long has the log's
    /// gaps looked up, after the newest id was read: a gap's event that commits later is recorded "from now on".
    pub(super) async fn now_of(&self, log: &LogName) -> Result<SavedCursor, StorageError> {
        let mut sql = self.sql()?;
        sql.push("SELECT max(id) AS newest FROM ").name(log.as_str()).push(" WHERE ");
        self.known_dialect()?.drawn_only(&mut sql, log.as_str());
        let newest: Option<i64> = match self.query(&self.own().await?, sql).await?.first() {
            Some(row) => row.try_get("", "newest").map_err(|error| self.error(error))?,
            None => None,
        };
        let high = newest.unwrap_or(0);
        let mut undecided = IdSet::new();
        undecided.insert_range(1..=high);
        let mut proof = Proof::default();
        let begun = Instant::now();
        while !undecided.is_empty() {
            let look = self.look(log, &undecided, &IdSet::new(), &mut proof).await?;
            undecided.remove_all(&look.ripe);
            if begun.elapsed() >= WAIT {
                break;
            }
            if !undecided.is_empty() {
                tokio::time::sleep(PAUSE).await;
            }
        }
        let missing = if undecided.is_empty() { undecided } else { self.gaps(log, high).await? };
        Ok(SavedCursor { high, ceiling: high, missing, in_flight: IdSet::new() })
    }

    /// The ids up to `high` that are not visible.
    async fn gaps(&self, log: &LogName, high: i64) -> Result<IdSet, StorageError> {
        let mut sql = self.sql()?;
        sql.push(
            "SELECT low, high FROM (SELECT coalesce(lag(id) OVER (ORDER BY id), 0) + 1 AS low, id - 1 AS high FROM ",
        );
        sql.name(log.as_str()).push(" WHERE id <= ").bind(high).push(") AS gap WHERE low <= high");
        let mut gaps = IdSet::new();
        for row in self.query(&self.own().await?, sql).await? {
            gaps.insert_range(self.number(&row, "low")?..=self.number(&row, "high")?);
        }
        Ok(gaps)
    }
}
