//! Throttles: one row for what counts together, taken by one atomic statement.
//!
//! The row is locked from that statement to the end of the recorder's transaction, so that of many at once all but the first wait
//! for its commit and then find it taken; after a rollback it is as it was, and the next one takes it. Never "look, then insert".

use chrono::{DateTime, Utc};
use event_core::{NewEvent, Saved, ThrottleGate, ThrottleState};
use sea_orm::{ConnectionTrait, DbErr};

use super::{RecordError, insert};
use crate::backend::{Dialect, Sql};

/// Passes the event's throttle, if it has one; else says what becomes of the recording.
pub(super) async fn pass<C: ConnectionTrait>(
    conn: &C,
    dialect: &dyn Dialect,
    event: &NewEvent,
) -> Result<Option<Saved>, RecordError> {
    let Some(gate) = &event.throttle else { return Ok(None) };
    let until = take(conn, dialect, event.log, event.action, gate);
    let Some(until) = until.await.map_err(|error| RecordError::of(dialect, event.log, error))? else { return Ok(None) };
    // The event that took it may be this very one, recorded again.
    if let Some(key) = event.idempotency_key.as_deref()
        && let [existing] = insert::by_keys(conn, dialect, event.log, &[key]).await?.as_slice()
    {
        return insert::already(event, existing).map(Some);
    }
    Ok(Some(Saved::Throttled { until }))
}

/// Takes the gate; until when it is taken by another, if it is.
async fn take<C: ConnectionTrait>(
    conn: &C,
    dialect: &dyn Dialect,
    log: &str,
    action: &str,
    gate: &ThrottleGate,
) -> Result<Option<DateTime<Utc>>, DbErr> {
    let backend = conn.get_database_backend();
    let statement = dialect.take_throttle(log, action, gate);
    if !dialect.returning() {
        let taken = conn.execute_raw(statement).await?;
        return Ok(taken_until(taken.last_insert_id(), gate));
    }
    if !conn.query_all_raw(statement).await?.is_empty() {
        return Ok(None);
    }
    let mut sql = Sql::new(dialect);
    sql.push("SELECT until, last_at FROM event_throttles WHERE log = ").bind(log);
    sql.push(" AND name = ").bind(gate.name.as_str());
    // A snapshot older than the row does not show it, and may show an older one, by which it is free.
    let Some(row) = conn.query_one_raw(sql.statement(backend)).await? else { return Ok(Some(gate.until)) };
    let state = ThrottleState { until: row.try_get("", "until")?, last_at: row.try_get("", "last_at")? };
    Ok(Some(gate.taken_until(&state).unwrap_or(gate.until)))
}

/// From the year 1, the first that can be stored, to 1970.
const MICROS_TO_1970: i64 = 62_135_596_800_000_000;

/// MySQL's way to give a value back: microseconds since the year 1, or 0 where the gate was free.
fn taken_until(micros: u64, gate: &ThrottleGate) -> Option<DateTime<Utc>> {
    let micros = i64::try_from(micros).ok().filter(|&micros| micros > 0)?;
    Some(DateTime::from_timestamp_micros(micros - MICROS_TO_1970).unwrap_or(gate.until))
}
