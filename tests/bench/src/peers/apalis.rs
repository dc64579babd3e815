//! apalis-postgres.

use std::time::Duration;

use apalis::prelude::*;
use apalis_postgres::{Config, PgPool, PostgresStorage, queries};
use tokio::sync::oneshot;

use super::{CHUNK, Delivery, Fallible, Ran, deliveries, watch};

pub(crate) const NAME: &str = "apalis-postgres";
pub(crate) const SETTINGS: &str =
    "1.0, 4 workers in a monitor, batches of 50,000, no locks of single tasks, 10 connections";

const QUEUE: &str = "delivery";
/// One fetches and acknowledges by turns; a few of them overlap.
const WORKERS: usize = 4;
/// A fetch reads the whole table (the statement in `get_jobs` is planned for a LIMIT of a tenth of it), and an acknowledgement
/// every job that its worker ever took: few large batches beat the 10 of the default and the hundred of the example by far.
const BATCH: usize = 50_000;

async fn deliver(_: Delivery) -> Result<(), BoxDynError> {
    watch::handle();
    Ok(())
}

/// Enqueues the backlog, not timed, and times the workers of one process on it.
pub(crate) async fn run(url: &str, events: u64, handlers: u32) -> Fallible<Ran> {
    let pool = PgPool::connect(url).await?;
    PostgresStorage::setup(&pool).await?;
    let jobs = enqueue(&pool, events, handlers).await?;
    // Only what was due before the current second is fetched.
    tokio::time::sleep(Duration::from_secs(1)).await;

    let start = watch::start(&pool, "VACUUM (ANALYZE) apalis.jobs").await?;
    let (stop, stopped) = oneshot::channel::<()>();
    let mut running = tokio::spawn(monitor(&pool).run_with_signal(async move {
        // An error says that the sender is gone: a reason to stop as well.
        let _ = stopped.await;
        Ok(())
    }));
    let ran = tokio::select! {
        ran = watch::finish(&pool, start, jobs, "SELECT NOT EXISTS (SELECT FROM apalis.jobs WHERE status <> 'Done')") => ran,
        ended = &mut running => return Err(format!("the worker ended before its jobs: {ended:?}").into()),
    };
    drop(stop);
    running.await??;
    ran
}

fn monitor(pool: &PgPool) -> Monitor {
    let config = Config::default().queue(QUEUE).batch_size(BATCH).lock_tasks(false);
    (0..WORKERS).fold(Monitor::new(), |monitor, index| {
        let storage = PostgresStorage::<Delivery>::new(pool).with_config(config.clone());
        monitor
            .register(move |_| WorkerBuilder::new(format!("deliverer-{index}")).backend(storage.clone()).build(deliver))
    })
}

async fn enqueue(pool: &PgPool, events: u64, handlers: u32) -> Fallible<u64> {
    let deliveries: Vec<_> = deliveries(events, handlers).collect();
    for chunk in deliveries.chunks(CHUNK) {
        let tasks = chunk.iter().map(|delivery| Ok(TaskBuilder::new(serde_json::to_vec(delivery)?).build()));
        let tasks = tasks.collect::<Fallible<Vec<_>>>()?;
        let mut txn = pool.begin().await?;
        queries::push_tasks(&mut *txn, QUEUE, tasks).await?;
        txn.commit().await?;
    }
    Ok(deliveries.len() as u64)
}
