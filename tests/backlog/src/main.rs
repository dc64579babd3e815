//! A worker with a long log behind it: memory stays flat however long it is, and a new inbox that begins at the beginning
//! catches up while new events are delivered to the others.
//!
//! ```text
//! cargo run --release -p backlog -- --database postgres://postgres@127.0.0.1:5432/postgres --events 10000000
//! ```
//!
//! It makes a database of its own on that server (`sqlite:` a file in a temporary folder) and drops it at the end. The last
//! line is a JSON object; exit code 1 if an event is missing, if the peak of the resident memory is above `--most-mib`, or if
//! the live inbox waited for the one that catches up.

mod database;
mod events;
mod memory;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use clap::Parser;
use event_sea_orm::prelude::*;
use sea_orm::DatabaseConnection;
use tokio::sync::oneshot;

use database::Ground;
use events::{Counts, ThingEvent};

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Debug, Parser)]
struct Options {
    /// The server, or `sqlite:`.
    #[arg(long, value_name = "URL")]
    database: String,
    /// How many events are behind.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    events: u64,
    /// The most memory that the worker may have had resident, in MiB.
    #[arg(long, value_name = "N", default_value_t = 64)]
    most_mib: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("backlog: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(options: Options) -> Fallible<bool> {
    let folder = tempfile::tempdir()?;
    let ground = Ground::make(&options.database, folder.path()).await?;
    let judged = work(&ground.db, &options).await;
    ground.drop().await?;
    judged
}

async fn work(db: &DatabaseConnection, options: &Options) -> Fallible<bool> {
    event_sea_orm::migrate(db).await?;
    let begun = Instant::now();
    fill(db, options.events).await?;
    eprintln!("{} events recorded in {:.1} s", options.events, begun.elapsed().as_secs_f64());
    let filled_mib = memory::peak_mib()?;

    let counts = Arc::new(Counts::default());
    let begun = Instant::now();
    let worker = Worker::start(db, &counts, &["live"])?;
    reach(&counts, options.events, |counts| counts.live.load(Relaxed)).await?;
    let seconds = begun.elapsed().as_secs_f64();
    worker.stop().await?;
    let behind_mib = memory::peak_mib()?;
    eprintln!("{} delivered in {seconds:.1} s, peak {behind_mib} MiB", options.events);

    // The second inbox begins at the beginning; meanwhile there is something new for the first one.
    let begun = Instant::now();
    let worker = Worker::start(db, &counts, &["live", "late"])?;
    let (mut recorded, mut worst) = (0, Duration::ZERO);
    while counts.late.load(Relaxed) < options.events {
        let asked = Instant::now();
        ThingEvent::Happened { count: 0 }.on(1).by_system().save(db).await?;
        recorded += 1;
        reach(&counts, options.events + recorded, |counts| counts.live.load(Relaxed)).await?;
        worst = worst.max(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let late_seconds = begun.elapsed().as_secs_f64();
    reach(&counts, options.events + recorded, |counts| counts.late.load(Relaxed)).await?;
    worker.stop().await?;

    let all = options.events + recorded;
    let peak_mib = memory::peak_mib()?;
    let (live, late) = (counts.live.load(Relaxed), counts.late.load(Relaxed));
    // The time is a matter of the machine; waiting for the whole backlog is one of the design.
    let waited = worst.as_secs_f64() > 0.5 && worst.as_secs_f64() > late_seconds / 2.0;
    let ok = live == all && late == all && peak_mib <= options.most_mib && !waited;
    println!(
        "{}",
        serde_json::json!({
            "events": options.events, "live": live, "late": late, "recorded_beside": recorded,
            "seconds": round(seconds), "late_seconds": round(late_seconds), "worst_wait_ms": worst.as_millis() as u64,
            "filled_mib": filled_mib, "behind_mib": behind_mib, "peak_mib": peak_mib, "ok": ok,
        })
    );
    Ok(ok)
}

fn round(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

async fn fill(db: &DatabaseConnection, events: u64) -> Fallible<()> {
    let mut done = 0;
    while done < events {
        let most = (done + 1_000).min(events);
        let chunk = (done..most)
            .map(|count| ThingEvent::Happened { count }.on(i64::try_from(count % 1_000).unwrap_or(0)).by_system());
        record_many(db, chunk).await?;
        done = most;
    }
    Ok(())
}

/// Waits until so many are counted; an hour without any progress is an error.
async fn reach(counts: &Counts, goal: u64, count: impl Fn(&Counts) -> u64) -> Fallible<()> {
    let (mut last, mut since) = (0, Instant::now());
    loop {
        let now = count(counts);
        if now >= goal {
            return Ok(());
        }
        if now != last {
            (last, since) = (now, Instant::now());
        }
        if since.elapsed() > Duration::from_secs(60) {
            return Err(format!("no progress for a minute: {now} of {goal}").into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

struct Worker {
    stop: oneshot::Sender<()>,
    run: tokio::task::JoinHandle<Result<(), event_core::storage::StorageError>>,
}

impl Worker {
    fn start(db: &DatabaseConnection, counts: &Arc<Counts>, inboxes: &[&str]) -> Fallible<Self> {
        let builder = Dispatcher::builder(db).state(counts.clone());
        let dispatcher = builder.only(inboxes.iter().map(|&inbox| inbox.to_owned())).build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        Ok(Self { stop, run: tokio::spawn(async move { dispatcher.run(async { drop(stopped.await) }).await }) })
    }

    async fn stop(self) -> Fallible<()> {
        drop(self.stop);
        Ok(self.run.await??)
    }
}
