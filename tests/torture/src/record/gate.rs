//! The gate: writers wait while an inbox is too far behind, or the workers would never catch up at the end.

use std::time::Duration;

use sea_orm::DatabaseConnection;
use tokio::sync::watch;

use crate::events::LOGS;
use crate::sql;

pub(super) struct Gate {
    most: i64,
    open: watch::Sender<bool>,
}

const LOOK_EVERY: Duration = Duration::from_millis(300);

impl Gate {
    pub(super) fn new(most: u64) -> Self {
        Self { most: i64::try_from(most).unwrap_or(i64::MAX), open: watch::Sender::new(true) }
    }

    /// Waits while the gate is shut.
    pub(super) async fn passed(&self) {
        // The sender is ours, so that waiting can't fail.
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }

    pub(super) fn open(&self) {
        self.open.send_replace(true);
    }

    /// Opens and shuts the gate, for ever. A server that does not answer changes nothing.
    pub(super) async fn watch(&self, db: &DatabaseConnection) {
        loop {
            if let Ok(lag) = lag(db).await {
                self.open.send_replace(lag < self.most);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// How many ids the inbox that is furthest behind has yet to read, in either log.
async fn lag(db: &DatabaseConnection) -> Result<i64, sea_orm::DbErr> {
    let mut most = 0;
    for log in LOGS {
        let newest = sql::number(db, &format!("SELECT max(id) FROM {log}"), []).await?;
        let read = sql::number(db, "SELECT min(high) FROM event_cursors WHERE log = ?", [log.into()]).await?;
        most = most.max(newest - read);
    }
    Ok(most)
}
