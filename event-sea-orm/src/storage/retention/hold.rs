//! Up to where every inbox has done its work.

use chrono::{DateTime, Utc};
use event_core::storage::StorageError;
use event_core::{LogName, registry};

use super::{Held, Retention};
use crate::storage::SeaStorage;

/// An inbox's place in a log.
pub(super) struct Hold {
    inbox: String,
    /// Everything up to this id is done, or has a failure row.
    up_to: i64,
    linked: bool,
    begun: bool,
    paused: bool,
}

/// Up to where all of them have done their work.
pub(super) fn bound(holds: &[Hold]) -> i64 {
    holds.iter().map(|hold| hold.up_to).min().unwrap_or(i64::MAX)
}

impl SeaStorage {
    /// The places of all inboxes that have a cursor in this log, or are linked and will.
    ///
    /// What a cursor says of an id, it says for good: an id below `high` that is no hole is done, or has had a failure row since the
    /// save that closed the hole. So what is read here stays true, however far the inbox goes on.
    pub(super) async fn holds(&self, log: &LogName) -> Result<Vec<Hold>, StorageError> {
        let linked = registry::inboxes();
        let is_linked = |inbox: &str| linked.iter().any(|linked| linked.name() == inbox);
        let mut sql = self.sql()?;
        sql.push("SELECT inbox, high, missing, in_flight, CASE WHEN paused_at IS NULL THEN 0 ELSE 1 END AS paused");
        sql.push(" FROM event_cursors WHERE log = ").bind(log.as_str()).push(" ORDER BY inbox");
        let mut holds = Vec::new();
        for row in self.query(&self.own().await?, sql).await? {
            let inbox = self.text(&row, "inbox")?;
            let missing = self.ids(&row, "missing", &inbox, log)?;
            let in_flight = self.ids(&row, "in_flight", &inbox, log)?;
            let hole = [missing.first(), in_flight.first()].into_iter().flatten().min();
            let high = self.number(&row, "high")?;
            holds.push(Hold {
                linked: is_linked(&inbox),
                up_to: hole.map_or(high, |hole| high.min(hole - 1)),
                begun: true,
                paused: self.number(&row, "paused")? != 0,
                inbox,
            });
        }
        let to_come = linked.iter().filter(|inbox| {
            !holds.iter().any(|hold| hold.inbox == inbox.name()) && inbox.logs().iter().any(|taken| taken == log)
        });
        let to_come: Vec<_> = to_come
            .map(|inbox| Hold { inbox: inbox.name().to_owned(), up_to: 0, linked: true, begun: false, paused: false })
            .collect();
        holds.extend(to_come);
        Ok(holds)
    }

    /// Those of them that hold old events back.
    pub(super) async fn held_back(
        &self,
        retention: &Retention,
        log: &LogName,
        holds: Vec<Hold>,
        before: DateTime<Utc>,
    ) -> Result<Vec<Held>, StorageError> {
        let db = self.own().await?;
        let mut held = Vec::new();
        for hold in holds {
            let mut sql = self.sql()?;
            let time = retention.time();
            sql.push("SELECT ").push(time).push(" FROM ").name(log.as_str()).push(" WHERE id > ").bind(hold.up_to);
            // Ids are drawn in the order of recording, or nearly.
            sql.push(" ORDER BY ").push(if time == "created_at" { "id" } else { time }).push(" LIMIT 1");
            let Some(row) = self.query(&db, sql).await?.into_iter().next() else { continue };
            let oldest: DateTime<Utc> = self.column(&row, time)?;
            if oldest > before {
                continue;
            }
            let Hold { inbox, up_to, linked, begun, paused } = hold;
            tracing::warn!(%log, inbox, up_to, linked, paused, "an inbox holds old events back");
            held.push(Held { inbox, up_to, oldest, linked, begun, paused });
        }
        Ok(held)
    }
}
