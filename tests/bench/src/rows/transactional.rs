//! A projection that updates a counter's row: its effects and its place in one transaction, a batch at a time.

use std::time::Instant;

use super::Rows;
use super::deliver::{deliver, fill, rewind};
use crate::Fallible;
use crate::ground::{Ground, Kind};
use crate::hand::Hand;
use crate::models::small;
use crate::report::Row;
use crate::sample::in_turns;

const EVENTS: i64 = 100_000;
/// By hand a part will do for a rate.
const BY_HAND: u64 = 5_000;

/// The row's name, the inbox and its goal: handlers that take a batch, and those that are called for each event.
const WAYS: [(&str, &str, f64); 2] =
    [("transactional", "projection", 10.0), ("transactional-each", "projection_each", 4.0)];

pub(super) async fn run(rows: &mut Rows<'_>) -> Fallible<()> {
    for kind in [Kind::Postgres, Kind::MariaDb, Kind::Sqlite] {
        let ways = WAYS.map(|(row, inbox, goal)| (format!("{row}{}", kind.suffix()), inbox, goal));
        if !ways.iter().any(|(row, ..)| rows.wants(row)) {
            continue;
        }
        let Some(ground) = Ground::migrated(rows.options, kind).await? else {
            rows.no_server(kind, &WAYS.map(|(row, ..)| row));
            continue;
        };
        ground.run("INSERT INTO counters VALUES (2, 0)").await?;
        fill(&ground, EVENTS, |n| small(n).into()).await?;
        for (row, inbox, goal) in ways {
            if rows.wants(&row) {
                compare(rows, &ground, &row, inbox, goal).await?;
            }
        }
        ground.drop().await?;
    }
    Ok(())
}

async fn compare(rows: &mut Rows<'_>, ground: &Ground, row: &str, inbox: &'static str, goal: f64) -> Fallible<()> {
    let hand = Hand::on(ground).await?;
    let sides = in_turns(
        rows.options.rounds,
        async || {
            rewind(ground).await?;
            Ok(EVENTS as f64 / deliver(&ground.db, &[inbox], EVENTS).await?)
        },
        async || {
            let begun = Instant::now();
            let done = hand.project(0, BY_HAND).await?;
            Ok(done as f64 / begun.elapsed().as_secs_f64())
        },
    )
    .await?;
    let (ours, beside) = sides.medians();
    rows.add(
        Row::rate(row, "events/s", ours, beside, goal)
            .note(format!("beside a transaction per event by hand; {}", sides.spread())),
    );
    hand.close().await;
    Ok(())
}
