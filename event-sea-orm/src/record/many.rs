//! Many events of any enums and logs: one statement per log and chunk, all of them or none.

use std::collections::{BTreeMap, HashMap};

use chrono::Utc;
use event_core::{Draft, EventRef, NewEvent, Saved};
use sea_orm::{ConnectionTrait, DbErr};

use super::{RecordConnection, RecordError, atomic, attach, insert, throttle};
use crate::backend::{Dialect, dialect};
use crate::wake;

/// Records many events, of any enums and logs, and says of each, in their order, whether it is new or was there already.
///
/// All of them or none: everything is checked before anything is written, and the statements (one per log and thousand
/// events) run in a transaction of their own, which inside a transaction is a savepoint. Within a log the events get their
/// ids in the order they are given; a key that comes twice in one call records once.
///
/// ```
/// # use event_sea_orm::prelude::*;
/// # async fn example<E: DomainEvent + Clone>(db: &sea_orm::DatabaseConnection, event: E) -> Result<(), RecordError> {
/// let imported = (1..=3).map(|id: i64| event.clone().on(id).by_system().key(format!("import-{id}")));
/// let saved = record_many(db, imported).await?;
/// println!("{} new events", saved.iter().filter(|saved| saved.is_new()).count());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The first recording that is wrong, a key that belongs to another event, or what the database says. Nothing was recorded.
pub fn record_many<C>(
    conn: &C,
    recordings: impl IntoIterator<Item = impl Into<Draft>>,
) -> impl Future<Output = Result<Vec<Saved>, RecordError>> + Send
where
    C: RecordConnection,
{
    let now = Utc::now();
    // Collected before the future is made, so that an iterator that is not `Send` does not make the future so; finished within it,
    // where its context is that of the task that awaits it.
    let drafts: Vec<Draft> = recordings.into_iter().map(Into::into).collect();
    async move {
        let events: Result<Vec<_>, _> = drafts.into_iter().map(|draft| draft.finish(now)).collect();
        save_all(conn, events?).await
    }
}

async fn save_all<C>(conn: &C, events: Vec<NewEvent>) -> Result<Vec<Saved>, RecordError>
where
    C: RecordConnection,
{
    let dialect = dialect(conn.get_database_backend())?;
    let Some(first) = events.first() else { return Ok(Vec::new()) };
    let transaction = atomic::begin(conn, dialect, first.log).await?;
    let worked = in_transaction(&transaction, dialect, &events).await;
    let saved = atomic::end(transaction, dialect, first.log, worked).await?;
    wake::hint_of(&saved);
    Ok(saved)
}

/// Records them within a transaction that is there.
pub(super) async fn in_transaction<C: ConnectionTrait>(
    conn: &C,
    dialect: &dyn Dialect,
    events: &[NewEvent],
) -> Result<Vec<Saved>, RecordError> {
    let mut saved: Vec<Option<Saved>> = vec![None; events.len()];
    for (index, event) in events.iter().enumerate() {
        saved[index] = throttle::pass(conn, dialect, event).await?;
    }
    let mut by_log: BTreeMap<&'static str, Vec<usize>> = BTreeMap::new();
    for (index, event) in events.iter().enumerate().filter(|(index, _)| saved[*index].is_none()) {
        by_log.entry(event.log).or_default().push(index);
    }
    for (log, indexes) in by_log {
        for chunk in indexes.chunks(dialect.insert_most()) {
            save_chunk(conn, dialect, log, events, chunk, &mut saved).await?;
        }
    }
    // Every chunk filled its places.
    let saved: Option<Vec<_>> = saved.into_iter().collect();
    let saved = saved.ok_or(RecordError::Db(DbErr::RecordNotInserted.into()))?;
    for (event, saved) in events.iter().zip(&saved) {
        attach::attach(conn, dialect, event, saved).await?;
    }
    Ok(saved)
}

/// Writes the events at `chunk`, all of `log`, and fills their places in `saved`.
async fn save_chunk<C: ConnectionTrait>(
    conn: &C,
    dialect: &dyn Dialect,
    log: &'static str,
    events: &[NewEvent],
    chunk: &[usize],
    saved: &mut [Option<Saved>],
) -> Result<(), RecordError> {
    let mut first_of_key: HashMap<&str, usize> = HashMap::new();
    let mut repeated = Vec::new();
    let mut fresh = Vec::new();
    for &index in chunk {
        let key = events[index].idempotency_key.as_deref();
        match key.map(|key| *first_of_key.entry(key).or_insert(index)) {
            Some(first) if first != index => repeated.push((index, first)),
            _ => fresh.push(index),
        }
    }

    let rows: Vec<_> = fresh.iter().map(|&index| &events[index]).collect();
    let written = insert::insert(conn, dialect, log, &rows).await?;
    let (keyed, plain): (Vec<_>, Vec<_>) = written.into_iter().partition(|row| row.key.is_some());
    let ids: HashMap<String, i64> = keyed.into_iter().filter_map(|row| Some((row.key?, row.id))).collect();
    let mut plain = plain.into_iter();
    let mut existing = Vec::new();
    for index in fresh {
        let id = match events[index].idempotency_key.as_deref() {
            None => plain.next().map(|row| row.id),
            Some(key) => ids.get(key).copied(),
        };
        match id {
            Some(id) => saved[index] = Some(Saved::Recorded(EventRef::new(log, id))),
            None => existing.push(index),
        }
    }

    let keys: Vec<_> = existing.iter().filter_map(|&index| events[index].idempotency_key.as_deref()).collect();
    if !keys.is_empty() {
        for stored in insert::by_keys(conn, dialect, log, &keys).await? {
            if let Some(&index) = stored.idempotency_key.as_deref().and_then(|key| first_of_key.get(key)) {
                saved[index] = Some(insert::already(&events[index], &stored)?);
            }
        }
    }
    for (index, first) in repeated {
        if let Some(there) = saved[first].as_ref().and_then(Saved::event).cloned() {
            saved[index] = Some(insert::already_in_call(&events[index], &events[first], &there)?);
        }
    }
    Ok(())
}
