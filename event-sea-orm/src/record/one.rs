//! One event: one statement, one round trip.

use chrono::Utc;
use event_core::{Draft, EventRef, Saved};
use sea_orm::{ConnectionTrait, DbErr};

use super::{RecordError, insert, throttle};
use crate::backend::dialect;
use crate::wake;

/// How often a key may vanish between "it exists" and "which event has it" (retention deleted it) before we give up.
const ROUNDS: usize = 3;

pub(super) async fn save<C: ConnectionTrait>(draft: Draft, conn: &C) -> Result<Saved, RecordError> {
    let event = draft.finish(Utc::now())?;
    let dialect = dialect(conn.get_database_backend())?;
    if let Some(ended) = throttle::pass(conn, dialect, &event).await? {
        return Ok(ended);
    }
    for _ in 0..ROUNDS {
        if let [written] = insert::insert(conn, dialect, event.log, &[&event]).await?.as_slice() {
            wake::hint();
            return Ok(Saved::Recorded(EventRef::new(event.log, written.id)));
        }
        let Some(key) = event.idempotency_key.as_deref() else { break };
        if let [existing] = insert::by_keys(conn, dialect, event.log, &[key]).await?.as_slice() {
            return insert::already(&event, existing);
        }
    }
    Err(RecordError::Db(DbErr::RecordNotInserted))
}
