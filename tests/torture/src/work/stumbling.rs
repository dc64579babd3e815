//! A transactional inbox whose handler goes wrong after it wrote: what it wrote has to be undone, and nothing else.

use event_sea_orm::prelude::*;
use sea_orm::{ConnectionTrait as _, DbBackend, DbErr};

use super::effects;
use crate::events::{TallyEvent, Trouble};
use crate::numbers::dice;

#[inbox(
    on(Troubled),
    start = beginning,
    timeout = "700ms",
    retry(max_attempts = 100, backoff = exponential, base = "5ms", max_wait = "500ms"),
)]
async fn stumbling(event: Event<TallyEvent>, txn: Txn<'_>, attempt: Attempt) -> InboxResult {
    let TallyEvent::Troubled { number, trouble } = event.event else { return skipped("not in trouble") };
    let first = attempt.number == 1;
    effects::write(&txn, "stumbling", number).await?;
    match (trouble, dice(number, 10).u32(0..100)) {
        (Trouble::Grave, 0..30) if first => overrun(&txn).await?,
        (Trouble::Grave, 30..50) if first => std::future::pending().await,
        (Trouble::Common, 0..5) if first => return Err(InboxError::new("stumbled after it wrote")),
        (Trouble::Common, 5..7) if attempt.number < 4 => return Err(InboxError::new("stumbled again after it wrote")),
        (Trouble::Common, 7..9) if first => panic!("panicked after it wrote"),
        (Trouble::Common, 9..10) => return Err(InboxError::new("never worth a retry, after it wrote").no_retry()),
        (Trouble::Common, 10..14) => undo_a_part(&txn, number).await?,
        _ => {}
    }
    handled()
}

/// Has the handler dropped by its time-out while the database is at its statement.
async fn overrun(txn: &Txn<'_>) -> Result<(), DbErr> {
    let slow = match txn.get_database_backend() {
        DbBackend::Postgres => "SELECT pg_sleep(2)",
        DbBackend::MySql => "SELECT SLEEP(2)",
        _ => {
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) \
             UPDATE totals SET effects = effects + (SELECT count(*) FROM n WHERE i < 0) WHERE inbox = 'stumbling'"
        }
    };
    txn.execute_unprepared(slow).await.map(drop)
}

/// A part that is undone by the handler itself.
async fn undo_a_part(txn: &Txn<'_>, number: i64) -> Result<(), InboxError> {
    let part: Result<(), DbErr> = txn
        .savepoint(async |txn| {
            effects::write(&txn, "stumbling", number).await?;
            Err(DbErr::Custom("undone on purpose".to_owned()))
        })
        .await;
    match part {
        Ok(()) => Err(InboxError::new("the savepoint was kept")),
        Err(_) => Ok(()),
    }
}
