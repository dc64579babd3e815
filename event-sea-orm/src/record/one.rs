//! One event: one statement, one round trip; with a throttle or attachments, all of it in an atomic block.

use chrono::Utc;
use event_core::{Draft, EventRef, NewEvent, Saved};
use sea_orm::{ConnectionTrait, DbErr};

use super::{RecordConnection, RecordError, atomic, attach, insert, throttle};
use crate::backend::{Dialect, dialect};
use crate::wake;

/// How often a key may vanish between "it exists" and "which event has it" (retention deleted it) before we give up.
const ROUNDS: usize = 3;

pub(super) async fn save<C>(draft: Draft, conn: &C) -> Result<Saved, RecordError>
where
    C: RecordConnection,
{
    let event = draft.finish(Utc::now())?;
    let dialect = dialect(conn.get_database_backend())?;
    conn.check_free().map_err(|error| RecordError::of(dialect, event.log, error))?;
    let saved = if event.throttle.is_some() || !event.attachments.is_empty() {
        // All or nothing: a throttle that is taken by no event would keep the next ones out.
        let transaction = atomic::begin(conn, dialect, event.log).await?;
        let worked = write_in(&transaction, dialect, &event).await;
        atomic::end_one(transaction, dialect, event.log, worked).await?
    } else {
        write(conn, dialect, &event).await?
    };
    if saved.is_new() {
        wake::hint(event.log);
    }
    Ok(saved)
}

/// On a connection of which nothing is known but that it takes statements.
pub(super) async fn save_on<C: ConnectionTrait>(draft: Draft, conn: &C) -> Result<Saved, RecordError> {
    let event = draft.finish(Utc::now())?;
    let needs = match &event {
        event if event.throttle.is_some() => Some("a throttle"),
        event if !event.attachments.is_empty() => Some("attachments"),
        _ => None,
    };
    if let Some(needs) = needs {
        return Err(RecordError::NeedsBlock { action: event.action, needs });
    }
    let saved = write(conn, dialect(conn.get_database_backend())?, &event).await?;
    if saved.is_new() {
        wake::hint(event.log);
    }
    Ok(saved)
}

/// In a transaction that is around more than this event: passes its throttle, if it has one, writes it, and attaches what is to be.
pub(crate) async fn write_in<C: ConnectionTrait>(
    conn: &C,
    dialect: &dyn Dialect,
    event: &NewEvent,
) -> Result<Saved, RecordError> {
    let saved = match throttle::pass(conn, dialect, event).await? {
        Some(ended) => ended,
        None => write(conn, dialect, event).await?,
    };
    attach::attach(conn, dialect, event, &saved).await?;
    Ok(saved)
}

async fn write<C: ConnectionTrait>(conn: &C, dialect: &dyn Dialect, event: &NewEvent) -> Result<Saved, RecordError> {
    for _ in 0..ROUNDS {
        if let [written] = insert::insert(conn, dialect, event.log, &[event]).await?.as_slice() {
            return Ok(Saved::Recorded(EventRef::new(event.log, written.id)));
        }
        let Some(key) = event.idempotency_key.as_deref() else { break };
        if let [existing] = insert::by_keys(conn, dialect, event.log, &[key]).await?.as_slice() {
            return insert::already(event, existing);
        }
    }
    Err(RecordError::Db(DbErr::RecordNotInserted.into()))
}
