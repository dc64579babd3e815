//! Inserts on databases that don't return the rows they wrote: the first id is told, and the others are counted from there.
//!
//! A statement with so many rows in VALUES ("simple insert") gets its ids in one step, in the rows' order, whatever others
//! insert meanwhile and whatever `innodb_autoinc_lock_mode` is.
//! <https://dev.mysql.com/doc/refman/8.0/en/innodb-auto-increment-handling.html>

use std::collections::BTreeSet;

use event_core::NewEvent;
use sea_orm::{ConnectionTrait, DbErr, Statement};

use super::RecordError;
use super::insert::{Rows, Written, size};
use crate::backend::{Dialect, Sql};

/// How often others may take keys between "they are free" and the insert before we give up.
const ROUNDS: usize = 5;

/// A statement is not to be much longer than this: the server takes none beyond `max_allowed_packet`.
const BYTES: usize = 1 << 20;

/// The most rows of a statement.
const THOUSAND: usize = 1_000;

pub(super) async fn insert<C: ConnectionTrait>(
    conn: &C,
    dialect: &dyn Dialect,
    log: &'static str,
    events: &[&NewEvent],
) -> Result<Vec<Written>, RecordError> {
    let failed = |error| RecordError::of(dialect, log, error);
    if let [event] = events {
        return match conn.execute_raw(dialect.insert(log, Rows::of(log, events)?)).await {
            Ok(done) => Ok(vec![written(event, first_id(done.last_insert_id()).map_err(failed)?)]),
            Err(error) if event.idempotency_key.is_some() && dialect.is_taken_key(log, &error) => Ok(Vec::new()),
            Err(error) => Err(failed(error)),
        };
    }
    let step = step(conn).await.map_err(failed)?;
    let mut rows = Vec::with_capacity(events.len());
    for piece in pieces(events) {
        insert_piece(conn, dialect, log, piece, step, &mut rows).await?;
    }
    Ok(rows)
}

/// Leaves out the events whose keys are taken, and inserts the others.
async fn insert_piece<C: ConnectionTrait>(
    conn: &C,
    dialect: &dyn Dialect,
    log: &'static str,
    events: &[&NewEvent],
    step: i64,
    rows: &mut Vec<Written>,
) -> Result<(), RecordError> {
    let failed = |error| RecordError::of(dialect, log, error);
    let mut end = "";
    for _ in 0..ROUNDS {
        let taken = taken_keys(conn, dialect, log, events, end).await.map_err(failed)?;
        let is_free = |event: &&NewEvent| event.idempotency_key.as_ref().is_none_or(|key| !taken.contains(key));
        let free: Vec<_> = events.iter().copied().filter(is_free).collect();
        if free.is_empty() {
            return Ok(());
        }
        match conn.execute_raw(dialect.insert(log, Rows::of(log, &free)?)).await {
            Ok(done) => {
                let first = first_id(done.last_insert_id()).map_err(failed)?;
                rows.extend(
                    (first..)
                        .step_by(usize::try_from(step).unwrap_or(1))
                        .zip(free)
                        .map(|(id, event)| written(event, id)),
                );
                return Ok(());
            }
            // Another transaction was faster. The error undid the statement and nothing else.
            Err(error) if dialect.is_taken_key(log, &error) => end = dialect.newest_rows(),
            Err(error) => return Err(failed(error)),
        }
    }
    Err(RecordError::Locked { log: log.to_owned(), advice: dialect.locked_advice() })
}

/// Asked without locks at first: a lock on keys that are not there yet is one on the space between keys, and would have two
/// imports wait for each other.
async fn taken_keys<C: ConnectionTrait>(
    conn: &C,
    dialect: &dyn Dialect,
    log: &'static str,
    events: &[&NewEvent],
    end: &str,
) -> Result<BTreeSet<String>, DbErr> {
    let keys: Vec<_> = events.iter().filter_map(|event| event.idempotency_key.as_deref()).collect();
    if keys.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mut sql = Sql::new(dialect);
    sql.push("SELECT idempotency_key FROM ").name(log).push(" WHERE idempotency_key IN ").set(keys).push(end);
    let rows = conn.query_all_raw(sql.statement(conn.get_database_backend())).await?;
    rows.iter().map(|row| row.try_get("", "idempotency_key")).collect()
}

/// How far apart a statement's ids are.
async fn step<C: ConnectionTrait>(conn: &C) -> Result<i64, DbErr> {
    let ask = "SELECT CAST(@@SESSION.auto_increment_increment AS signed) AS step";
    let row = conn.query_one_raw(Statement::from_string(conn.get_database_backend(), ask)).await?;
    row.map_or(Ok(1), |row| row.try_get("", "step"))
}

/// Pieces of a thousand or a power of two each, and of a bounded size: every other number of rows is another statement, which the
/// driver and the server keep prepared.
fn pieces<'e>(mut events: &'e [&'e NewEvent]) -> impl Iterator<Item = &'e [&'e NewEvent]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fit = events.iter().take(THOUSAND).take_while(|event| {
            bytes += size(event);
            bytes <= BYTES
        });
        let fit = fit.count().max(1).min(events.len());
        let rows = if fit == THOUSAND { fit } else { fit.checked_ilog2().map_or(0, |log| 1 << log) };
        let (piece, rest) = events.split_at(rows);
        events = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

fn written(event: &NewEvent, id: i64) -> Written {
    Written { id, key: event.idempotency_key.clone() }
}

fn first_id(id: u64) -> Result<i64, DbErr> {
    i64::try_from(id).ok().filter(|id| *id > 0).ok_or(DbErr::UnpackInsertId)
}
