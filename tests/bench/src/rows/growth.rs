//! What a long log costs: recording, delivery at its end and feed pages beside those of a short one; and the memory of a
//! worker that has all of it behind.

use std::time::Instant;

use event_sea_orm::prelude::*;
use sea_orm::DatabaseConnection;

use super::Rows;
use super::deliver::fill;
use crate::Fallible;
use crate::child::{Orders, start};
use crate::ground::{Ground, Kind, connect};
use crate::models::{IssueEvent, small};
use crate::report::Row;
use crate::sample::in_turns;

const SHORT: i64 = 10_000;
/// Events recorded one by one in a run, and then delivered.
const EACH: i64 = 1_000;
/// Entries of a page: the short log has a thousandth one, the last.
const PAGE: usize = 10;
/// Pages of a run.
const PAGES: usize = 200;
/// The most memory, in MiB.
const MOST_MIB: f64 = 64.0;

pub(super) async fn run(rows: &mut Rows<'_>) -> Fallible<()> {
    if !rows.wants("growth") && !rows.wants("memory") {
        return Ok(());
    }
    let (Some(long), Some(short)) =
        (Ground::migrated(rows.options, Kind::Postgres).await?, Ground::migrated(rows.options, Kind::Postgres).await?)
    else {
        rows.no_server(Kind::Postgres, &["growth", "memory"]);
        return Ok(());
    };
    let events = i64::try_from(rows.options.long)?;
    eprintln!("bench: recording {events} events; this takes minutes");
    fill(&long, events, |n| small(n).into()).await?;
    if rows.wants("memory") {
        memory(rows, &long, events).await?;
    }
    if rows.wants("growth") {
        fill(&short, SHORT, |n| small(n).into()).await?;
        growth(rows, &long, &short, events).await?;
    }
    long.drop().await?;
    short.drop().await
}

async fn memory(rows: &mut Rows<'_>, long: &Ground, events: i64) -> Fallible<()> {
    let peak: u64 = start(&Orders::Deliver { url: long.url.clone(), inbox: "idle_b".to_owned() }).await?;
    let mib = peak as f64 / 1024.0;
    let row = Row::alone("memory", "MiB", mib, format!("at most {MOST_MIB:.0} MiB resident"), mib <= MOST_MIB);
    rows.add(row.note(format!("the peak of a process that delivers {events} events to an inbox")));
    Ok(())
}

async fn growth(rows: &mut Rows<'_>, long: &Ground, short: &Ground, events: i64) -> Fallible<()> {
    let (of_long, of_short) = (connect(&long.url, 1).await?, connect(&short.url, 1).await?);
    let rounds = rows.options.rounds;
    let note = format!("{events} events beside {SHORT}");

    let sides = in_turns(rounds, async || record(&of_long).await, async || record(&of_short).await).await?;
    let (ours, beside) = sides.medians();
    let row = Row::time("growth-record", "us", ours, beside, 1.1);
    rows.add(row.note(format!("{note}; {}", sides.spread())));

    // Both are at the end to begin with.
    let (long_tail, short_tail) = (tail(&long.db)?, tail(&short.db)?);
    long_tail.drain().await?;
    short_tail.drain().await?;
    let sides = in_turns(
        rounds,
        async || deliver_tail(&of_long, &long_tail).await,
        async || deliver_tail(&of_short, &short_tail).await,
    )
    .await?;
    let (ours, beside) = sides.medians();
    let row = Row::time("growth-tail", "us", ours, beside, 1.1);
    rows.add(row.note(format!("delivery of {EACH} new events at the end; {}", sides.spread())));

    for (name, pages) in [("growth-first-page", 0), ("growth-thousandth-page", 999)] {
        let (of_long_page, of_short_page) = (feed(&of_long, pages).await?, feed(&of_short, pages).await?);
        let sides = in_turns(
            rounds,
            async || page(&of_long, &of_long_page).await,
            async || page(&of_short, &of_short_page).await,
        )
        .await?;
        let (ours, beside) = sides.medians();
        rows.add(Row::time(name, "us", ours, beside, 1.2).note(sides.spread()));
    }
    of_long.close().await?;
    of_short.close().await?;
    Ok(())
}

/// Microseconds for an event.
async fn record(db: &DatabaseConnection) -> Fallible<f64> {
    let begun = Instant::now();
    for n in 0..EACH {
        small(n).save(db).await?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1e6 / EACH as f64)
}

fn tail(db: &DatabaseConnection) -> Fallible<Dispatcher> {
    Ok(Dispatcher::builder(db).only(["idle_a"]).build()?)
}

/// Microseconds for an event, recording left out.
async fn deliver_tail(db: &DatabaseConnection, dispatcher: &Dispatcher) -> Fallible<f64> {
    record_many(db, (0..EACH).map(small)).await?;
    let begun = Instant::now();
    dispatcher.drain().await?;
    Ok(begun.elapsed().as_secs_f64() * 1e6 / EACH as f64)
}

/// The feed of all issues at its `n`th page.
async fn feed(db: &DatabaseConnection, n: usize) -> Fallible<Feed<IssueEvent>> {
    let mut feed = IssueEvent::feed().limit(PAGE as u64);
    for _ in 0..n {
        let next = feed.clone().page(db).await?.next;
        feed = feed.after(next);
    }
    Ok(feed)
}

/// Microseconds for a page.
async fn page(db: &DatabaseConnection, feed: &Feed<IssueEvent>) -> Fallible<f64> {
    let begun = Instant::now();
    for _ in 0..PAGES {
        if feed.clone().page(db).await?.entries.len() != PAGE {
            return Err("a page is short".into());
        }
    }
    Ok(begun.elapsed().as_secs_f64() * 1e6 / PAGES as f64)
}
