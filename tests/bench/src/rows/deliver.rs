//! What delivering a backlog costs: to four inboxes that do nothing, beside job queues (fan-out) and beside reading the log
//! once by hand (scan).

use std::time::Instant;

use event_sea_orm::prelude::*;
use sea_orm::DatabaseConnection;

use super::Rows;
use super::peers::Peers;
use crate::ground::{Ground, Kind};
use crate::hand::Hand;
use crate::models::{IDLE, ISSUES, small};
use crate::report::Row;
use crate::sample::{in_turns, median, range};
use crate::{Fallible, payload};

/// Events of the backlog with real payloads: kilobytes each.
const LARGE: i64 = 20_000;

pub(super) async fn run(rows: &mut Rows<'_>) -> Fallible<()> {
    for kind in [Kind::Postgres, Kind::MariaDb, Kind::Sqlite] {
        let scan_row = format!("scan{}", kind.suffix());
        let fan_out_row =
            if kind == Kind::Sqlite { "sqlite-deliver".to_owned() } else { format!("fan-out{}", kind.suffix()) };
        let large = format!("scan-large{}", kind.suffix());
        if rows.wants(&scan_row) || rows.wants(&fan_out_row) {
            let backlog = i64::try_from(rows.options.backlog)?;
            match Ground::migrated(rows.options, kind).await? {
                Some(ground) => {
                    fill(&ground, backlog, |n| small(n).into()).await?;
                    if rows.wants(&scan_row) {
                        scan(rows, &ground, backlog, &scan_row).await?;
                    }
                    if rows.wants(&fan_out_row) {
                        fan_out(rows, &ground, backlog, &fan_out_row).await?;
                    }
                    ground.drop().await?;
                }
                None => rows.no_server(kind, &["fan-out", "scan"]),
            }
        }
        if rows.wants(&large) {
            match (payload::webhooks()?, Ground::migrated(rows.options, kind).await?) {
                (Some(payloads), Some(ground)) => {
                    fill(&ground, LARGE, |n| payload::large(&payloads, n).on(n % ISSUES).by_system().into()).await?;
                    scan(rows, &ground, LARGE, &large).await?;
                    ground.drop().await?;
                }
                (None, _) => rows.add(Row::left_out(&large, "../shared/data is not here")),
                (_, None) => rows.no_server(kind, &["scan-large"]),
            }
        }
    }
    Ok(())
}

/// Records so many events.
pub(super) async fn fill(ground: &Ground, events: i64, event: impl Fn(i64) -> Draft) -> Fallible<()> {
    let mut from = 0;
    while from < events {
        let to = (from + 2_000).min(events);
        record_many(&ground.db, (from..to).map(&event)).await?;
        from = to;
    }
    ground.analyze().await
}

/// Delivers everything to these inboxes, from the beginning, and gives the seconds until it is saved.
pub(super) async fn deliver(db: &DatabaseConnection, inboxes: &[&'static str], events: i64) -> Fallible<f64> {
    let begun = Instant::now();
    let dispatcher = Dispatcher::builder(db).only(inboxes.iter().copied()).build()?;
    let report = dispatcher.drain().await?;
    let seconds = begun.elapsed().as_secs_f64();
    for inbox in inboxes {
        let handled = report.inboxes[*inbox].handled;
        if handled != u64::try_from(events)? {
            return Err(format!("{inbox} handled {handled} of {events} events").into());
        }
    }
    Ok(seconds)
}

/// Has every inbox begin anew.
pub(super) async fn rewind(ground: &Ground) -> Fallible<()> {
    ground.run("DELETE FROM event_cursors").await?;
    ground.run("DELETE FROM event_failures").await
}

/// Beside reading the log by hand.
async fn scan(rows: &mut Rows<'_>, ground: &Ground, events: i64, row: &str) -> Fallible<()> {
    let hand = Hand::on(ground).await?;
    let sides = in_turns(
        rows.options.rounds,
        async || {
            rewind(ground).await?;
            deliver(&ground.db, &IDLE, events).await
        },
        async || {
            let begun = Instant::now();
            let read = hand.scan().await?;
            if read != u64::try_from(events)? {
                return Err(format!("by hand {read} of {events} events were read").into());
            }
            Ok(begun.elapsed().as_secs_f64())
        },
    )
    .await?;
    hand.close().await;
    let (ours, beside) = sides.medians();
    rows.add(Row::time(row, "s", ours, beside, 2.0).note(format!(
        "{events} events to 4 inboxes, beside reading and decoding each once by hand; {}",
        sides.spread()
    )));
    Ok(())
}

/// Beside job queues, which need a job for each delivery.
async fn fan_out(rows: &mut Rows<'_>, ground: &Ground, events: i64, row: &str) -> Fallible<()> {
    let mut ours = Vec::new();
    let mut peers = Peers::of(rows.options, ground.kind);
    rewind(ground).await?;
    deliver(&ground.db, &IDLE, events).await?;
    for _ in 0..rows.options.rounds {
        rewind(ground).await?;
        ours.push(4.0 * events as f64 / deliver(&ground.db, &IDLE, events).await?);
        peers.run(u64::try_from(events)?).await?;
    }
    let rate = median(&ours);
    let least = if ground.kind == Kind::Sqlite { 500_000.0 } else { 1_000_000.0 };
    let goal = format!("at least {least} deliveries/s");
    let row = match peers.fastest() {
        Some(fastest) => Row::rate(row, "1/s", rate, fastest, 20.0).and(&goal, rate >= least),
        None => Row::alone(row, "1/s", rate, goal, rate >= least),
    };
    let row = row.note(format!("{events} events to 4 inboxes that do nothing; runs: {}", range(&ours)));
    rows.add(peers.notes().into_iter().fold(row, Row::note));
    Ok(())
}
