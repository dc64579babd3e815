//! graphile_worker, set up as its own benchmark of throughput is.

use std::sync::Arc;
use std::time::Duration;

use graphile_worker::tokio_postgres::TokioPostgresDatabase;
use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, TaskHandler, Worker, WorkerContext, WorkerOptions,
};
use sqlx::PgPool;

use super::{CHUNK, Delivery, Fallible, Ran, deliveries, watch};

pub(crate) const NAME: &str = "graphile_worker";
pub(crate) const SETTINGS: &str =
    "0.14, tokio-postgres, concurrency 100, 2 local queues of 2,000, completions batched for 5 ms, 20 connections";

const CONNECTIONS: usize = 20;

impl TaskHandler for Delivery {
    const IDENTIFIER: &'static str = "delivery";

    async fn run(self, _: WorkerContext) -> impl IntoTaskHandlerResult {
        watch::handle();
        Ok::<(), String>(())
    }
}

/// Enqueues the backlog, not timed, and times one worker on it.
pub(crate) async fn run(url: &str, events: u64, handlers: u32) -> Fallible<Ran> {
    let pool = PgPool::connect(url).await?;
    let worker = Arc::new(worker(url).await?);
    let jobs = enqueue(&worker, events, handlers).await?;

    let start = watch::start(&pool, "VACUUM (ANALYZE) graphile_worker._private_jobs").await?;
    let mut running = tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { worker.run().await }
    });
    // A completed job is deleted; a failed one stays.
    let ran = tokio::select! {
        ran = watch::finish(&pool, start, jobs, "SELECT NOT EXISTS (SELECT FROM graphile_worker._private_jobs)") => ran,
        ended = &mut running => return Err(format!("the worker ended before its jobs: {ended:?}").into()),
    };
    worker.request_shutdown();
    running.await??;
    ran
}

async fn worker(url: &str) -> Fallible<Worker> {
    let worker = WorkerOptions::default()
        .database(TokioPostgresDatabase::from_url(url, CONNECTIONS)?)
        .concurrency(100)
        .poll_interval(Duration::from_millis(5))
        .complete_job_batch_delay(Duration::from_millis(5))
        .local_queue(LocalQueueConfig::default().with_size(2_000).with_queue_count(2))
        .listen_os_shutdown_signals(false)
        .define_job::<Delivery>()
        .init();
    Ok(worker.await?)
}

async fn enqueue(worker: &Worker, events: u64, handlers: u32) -> Fallible<u64> {
    let spec = JobSpec::default();
    let jobs: Vec<_> = deliveries(events, handlers).map(|delivery| (delivery, &spec)).collect();
    let utils = worker.create_utils();
    for chunk in jobs.chunks(CHUNK) {
        utils.add_jobs(chunk).await?;
    }
    Ok(jobs.len() as u64)
}
