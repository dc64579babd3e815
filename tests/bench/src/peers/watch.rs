//! When a peer is done: every handler ran once, and the database says so.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::PgPool;

use super::{Fallible, Ran};

/// Handlers that have run; one run of one peer at a time.
static HANDLED: AtomicU64 = AtomicU64::new(0);

/// How long a peer may take: one that lost a job would hold up the benchmark for ever.
const PATIENCE: Duration = Duration::from_secs(900);

/// What every handler of a peer does.
pub(super) fn handle() {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// Has the database forget how the backlog came about, so that the worker pays for its own work only, and starts the clock.
pub(super) async fn start(pool: &PgPool, vacuum: &'static str) -> Fallible<Instant> {
    sqlx::query(vacuum).execute(pool).await?;
    sqlx::query("CHECKPOINT").execute(pool).await?;
    HANDLED.store(0, Ordering::Relaxed);
    Ok(Instant::now())
}

/// Waits until every handler has run and `done`, a query for a boolean, agrees.
/// The answer counts from the moment at which it was asked: what the asking costs is not the peer's.
pub(super) async fn finish(pool: &PgPool, start: Instant, jobs: u64, done: &'static str) -> Fallible<Ran> {
    loop {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let took = start.elapsed();
        let handled = HANDLED.load(Ordering::Relaxed);
        if handled >= jobs && sqlx::query_scalar(done).fetch_one(pool).await? {
            return match HANDLED.load(Ordering::Relaxed) {
                ran if ran == jobs => Ok(Ran { jobs, seconds: took.as_secs_f64() }),
                ran => Err(format!("{ran} handlers ran for {jobs} jobs").into()),
            };
        }
        if took > PATIENCE {
            return Err(
                format!("only {handled} of {jobs} handlers ran in {PATIENCE:?}, or their jobs are not done").into()
            );
        }
    }
}
