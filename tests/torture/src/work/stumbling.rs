//! A transactional inbox whose handler goes wrong after it wrote: what it wrote has to be undone, and nothing else.

use event_sea_orm::prelude::*;
use sea_orm::{ConnectionTrait as _, DbBackend};

use super::effects;
use crate::events::TallyEvent;
use crate::numbers::dice;

#[inbox(
    on(Troubled),
    start = beginning,
    timeout = "700ms",
    retry(max_attempts = 100, backoff = exponential, base = "5ms", max_wait = "500ms"),
)]
async fn stumbling(event: Event<TallyEvent>, txn: Txn<'_>, attempt: Attempt) -> InboxResult {
    let number = event.event.number();
    let first = attempt.number == 1;
    effects::write(&txn, "stumbling", number).await?;
    match dice(number, 10).u32(0..1_000) {
        0..120 if first => Err(InboxError::new("stumbled after it wrote")),
        120..160 if attempt.number < 4 => Err(InboxError::new("stumbled again after it wrote")),
        160..200 if first => panic!("panicked after it wrote"),
        // Dropped by its time-out while the database is at its statement.
        200..206 if first => {
            let slow = match txn.get_database_backend() {
                DbBackend::Postgres => "SELECT pg_sleep(2)",
                DbBackend::MySql => "SELECT SLEEP(2)",
                _ => {
                    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) \
                     UPDATE totals SET effects = effects + (SELECT count(*) FROM n WHERE i < 0) WHERE inbox = 'stumbling'"
                }
            };
            txn.execute_unprepared(slow).await?;
            handled()
        }
        // Dropped at an await that has nothing to do with the database.
        206..210 if first => std::future::pending().await,
        210..215 => Err(InboxError::new("never worth a retry, after it wrote").no_retry()),
        215..260 => {
            // A part that is undone by the handler itself.
            let undone: Result<(), sea_orm::DbErr> = txn
                .savepoint(async |txn| {
                    effects::write(&txn, "stumbling", number).await?;
                    Err(sea_orm::DbErr::Custom("undone on purpose".to_owned()))
                })
                .await;
            if undone.is_ok() {
                return Err(InboxError::new("the savepoint was kept"));
            }
            handled()
        }
        _ => handled(),
    }
}
