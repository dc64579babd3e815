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

pub(super) async fn run(rows: &mut Rows<'_>) -> Fallible<()> {
    for kind in [Kind::Postgres, Kind::MariaDb, Kind::Sqlite] {
        let row = format!("transactional{}", kind.suffix());
        if !rows.wants(&row) {
            continue;
        }
        let Some(ground) = Ground::migrated(rows.options, kind).await? else {
            rows.no_server(kind, &["transactional"]);
            continue;
        };
        ground.run("INSERT INTO counters VALUES (2, 0)").await?;
        fill(&ground, EVENTS, |n| small(n).into()).await?;
        let hand = Hand::on(&ground).await?;
        let sides = in_turns(
            rows.options.rounds,
            async || {
                rewind(&ground).await?;
                Ok(EVENTS as f64 / deliver(&ground.db, &["projection"], EVENTS).await?)
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
            Row::rate(&row, "events/s", ours, beside, 10.0)
                .note(format!("beside a transaction per event by hand; {}", sides.spread())),
        );
        hand.close().await;
        ground.drop().await?;
    }
    Ok(())
}
