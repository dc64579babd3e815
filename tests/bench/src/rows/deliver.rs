//! What delivering a backlog costs: to four inboxes that do nothing, beside job queues (fan-out) and beside reading the log
//! once by hand (scan).

use std::time::Instant;

use event_sea_orm::prelude::*;
use sea_orm::DatabaseConnection;

use super::Rows;
use crate::ground::{Ground, Kind};
use crate::hand::Hand;
use crate::models::{IDLE, small};
use crate::report::Row;
use crate::sample::{in_turns, median};
use crate::{Fallible, payload};

/// Events of the backlog with real payloads: kilobytes each.
const LARGE: i64 = 20_000;

pub(super) async fn run(rows: &mut Rows<'_>) -> Fallible<()> {
    for kind in [Kind::Postgres, Kind::MariaDb, Kind::Sqlite] {
        let scan = format!("scan{}", kind.suffix());
        let fan_out =
            if kind == Kind::Sqlite { "sqlite-deliver".to_owned() } else { format!("fan-out{}", kind.suffix()) };
        let large = format!("scan-large{}", kind.suffix());
        if rows.wants(&scan) || rows.wants(&fan_out) {
            let backlog = i64::try_from(rows.options.backlog)?;
            match Ground::migrated(rows.options, kind).await? {
                Some(ground) => {
                    fill(&ground, backlog, |n| small(n).into()).await?;
                    measure(rows, &ground, backlog, &scan, Some(&fan_out)).await?;
                    ground.drop().await?;
                }
                None => rows.no_server(kind, &["fan-out", "scan"]),
            }
        }
        if rows.wants(&large) {
            match (payload::webhooks()?, Ground::migrated(rows.options, kind).await?) {
                (Some(payloads), Some(ground)) => {
                    fill(&ground, LARGE, |n| payload::large(&payloads, n).into()).await?;
                    measure(rows, &ground, LARGE, &large, None).await?;
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

async fn measure(rows: &mut Rows<'_>, ground: &Ground, events: i64, scan: &str, fan_out: Option<&str>) -> Fallible<()> {
    let hand = Hand::on(ground).await?;
    let sides = in_turns(
        rows.options.rounds,
        async || {
            rewind(ground).await?;
            deliver(&ground.db, &IDLE, events).await
        },
        async || {
            if !rows.wants(scan) {
                return Ok(f64::NAN);
            }
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
    if rows.wants(scan) {
        rows.add(Row::time(scan, "s", ours, beside, 2.0).note(format!(
            "{events} events to 4 inboxes, beside reading and decoding each once by hand; {}",
            sides.spread()
        )));
    }
    if let Some(fan_out) = fan_out.filter(|fan_out| rows.wants(fan_out)) {
        let rate = 4.0 * events as f64 / median(&sides.ours);
        let least = if ground.kind == Kind::Sqlite { 500_000.0 } else { 1_000_000.0 };
        let goal = format!("at least {least} deliveries/s");
        rows.add(Row::alone(fan_out, "1/s", rate, goal, rate >= least));
    }
    Ok(())
}
