//! How long an event takes from its commit in another process to its handler's start.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event_sea_orm::prelude::*;
use sea_orm::sqlx::postgres::PgListener;
use tokio::sync::oneshot;

use super::Rows;
use crate::Fallible;
use crate::child::{Orders, now_nanos, start};
use crate::ground::{Ground, Kind, connect};
use crate::models::Arrivals;
use crate::report::Row;
use crate::sample::{Sides, in_turns, quantile};

/// Events of an idle run, and how far apart they are: the worker falls asleep in between.
const IDLE: (i64, u64) = (30, 150_000);
/// How long a run under load is.
const LOADED: Duration = Duration::from_secs(4);
/// The latest that an event is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn run(rows: &mut Rows<'_>) -> Fallible<()> {
    if !rows.wants("latency") && !rows.wants("latency-load") {
        return Ok(());
    }
    let Some(ground) = Ground::migrated(rows.options, Kind::Postgres).await? else {
        rows.no_server(Kind::Postgres, &["latency", "latency-load"]);
        return Ok(());
    };
    if rows.wants("latency") {
        idle(rows, &ground).await?;
    }
    if rows.wants("latency-load") {
        loaded(rows, &ground).await?;
    }
    ground.drop().await
}

async fn idle(rows: &mut Rows<'_>, ground: &Ground) -> Fallible<()> {
    let db = connect(&ground.url, 4).await?;
    let arrivals = Arrivals::default();
    let worker = Worker::start(&db, &["timed"], &arrivals).await?;
    let mut listener = PgListener::connect(&ground.url).await?;
    listener.listen("bench").await?;
    let (count, apart_us) = IDLE;
    let mut first = 0;
    let (mut all, mut bare) = (Vec::new(), Vec::new());
    let sides = in_turns(
        rows.options.rounds,
        async || {
            first += count;
            let orders = Orders::Record { url: ground.url.clone(), first, count, apart_us };
            let sent: Vec<(i64, u64)> = start(&orders).await?;
            let latencies = latencies(&sent, &arrivals).await?;
            all.extend_from_slice(&latencies);
            Ok(quantile(&latencies, 0.5))
        },
        async || {
            let orders = Orders::Notify { url: ground.url.clone(), first: 0, count, apart_us };
            let sending = tokio::spawn(async move { start::<Vec<(i64, u64)>>(&orders).await });
            let heard = Arrivals::default();
            for _ in 0..count {
                let told = listener.recv().await?;
                let now = now_nanos();
                locked(&heard).push((told.payload().parse()?, now));
            }
            let latencies = latencies(&sending.await??, &heard).await?;
            bare.extend_from_slice(&latencies);
            Ok(quantile(&latencies, 0.5))
        },
    )
    .await?;
    worker.stop().await?;
    let (ours, beside) = sides.medians();
    let (p99, bare_p99) = (quantile(&all, 0.99), quantile(&bare, 0.99));
    rows.add(
        Row::time("latency", "us", ours, beside, 1.5).and("p99 at most 10 ms", p99 <= 10_000.0).note(format!(
            "beside a bare LISTEN/NOTIFY; p99 ours {p99:.0} us, bare {bare_p99:.0} us; {}",
            sides.spread()
        )),
    );
    db.close().await?;
    Ok(())
}

/// At a tenth of the top rate: how much a failing and a slow inbox beside delay the others.
async fn loaded(rows: &mut Rows<'_>, ground: &Ground) -> Fallible<()> {
    let count = 2_000;
    let begun = std::time::Instant::now();
    let orders = Orders::Record { url: ground.url.clone(), first: 1_000_000, count, apart_us: 0 };
    start::<Vec<(i64, u64)>>(&orders).await?;
    let top = count as f64 / begun.elapsed().as_secs_f64();
    let apart_us = 10e6 / top;
    let count = (LOADED.as_secs_f64() * top / 10.0) as i64;
    let run = async |inboxes: &[&'static str]| -> Fallible<f64> {
        // What the slow one left undone at the last run is not this one's.
        let ground = Ground::migrated(rows.options, Kind::Postgres).await?.ok_or("there is no server")?;
        let arrivals = Arrivals::default();
        let worker = Worker::start(&ground.db, inboxes, &arrivals).await?;
        let orders = Orders::Record { url: ground.url.clone(), first: 0, count, apart_us: apart_us as u64 };
        let sent: Vec<(i64, u64)> = start(&orders).await?;
        let latencies = latencies(&sent, &arrivals).await?;
        worker.stop().await?;
        ground.drop().await?;
        Ok(quantile(&latencies, 0.99))
    };
    let mut sides = Sides { ours: Vec::new(), beside: Vec::new() };
    for _ in 0..rows.options.rounds {
        sides.ours.push(run(&["timed", "failing", "slow"]).await?);
        sides.beside.push(run(&["timed"]).await?);
    }
    let (ours, beside) = sides.medians();
    rows.add(Row::time("latency-load", "us", ours, beside, 2.0).note(format!(
        "p99 at {:.0} events/s, with a failing and a slow inbox beside, and without; {}",
        top / 10.0,
        sides.spread()
    )));
    Ok(())
}

/// From what was sent and when, and what arrived and when: microseconds.
async fn latencies(sent: &[(i64, u64)], arrivals: &Arrivals) -> Fallible<Vec<f64>> {
    let begun = std::time::Instant::now();
    loop {
        // The first arrival counts: a retry is none.
        let mut arrived = HashMap::new();
        for &(n, at) in locked(arrivals).iter() {
            arrived.entry(n).or_insert(at);
        }
        let latencies: Vec<_> =
            sent.iter().filter_map(|(n, at)| Some(arrived.get(n)?.saturating_sub(*at) as f64 / 1e3)).collect();
        if latencies.len() == sent.len() {
            return Ok(latencies);
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("{} of {} events arrived", latencies.len(), sent.len()).into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn locked(arrivals: &Arrivals) -> std::sync::MutexGuard<'_, Vec<(i64, u64)>> {
    arrivals.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A dispatcher at work.
struct Worker {
    stop: oneshot::Sender<()>,
    running: tokio::task::JoinHandle<Result<(), event_core::storage::StorageError>>,
}

impl Worker {
    /// Gives it a moment to begin.
    async fn start(db: &sea_orm::DatabaseConnection, inboxes: &[&'static str], arrivals: &Arrivals) -> Fallible<Self> {
        let builder = Dispatcher::builder(db).only(inboxes.iter().copied()).state::<Arc<Mutex<_>>>(arrivals.clone());
        let dispatcher = builder.build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(async move { dispatcher.run(async { drop(stopped.await) }).await });
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        Ok(Self { stop, running })
    }

    async fn stop(self) -> Fallible<()> {
        drop(self.stop);
        Ok(self.running.await??)
    }
}
