//! Figures, asked for by `cargo test -p behaviour --release --test figures -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Instant;

use behaviour::TestDb;
use behaviour::models::{self, IssueEvent};
use event_sea_orm::prelude::*;
use sea_orm::ConnectionTrait;

fn rate(what: &str, number: u32, since: Instant) {
    println!("{what}: {:.0}/s", f64::from(number) / since.elapsed().as_secs_f64());
}

#[tokio::test]
#[ignore = "measures"]
async fn figures() {
    let db = TestDb::sqlite().await;
    db.execute_unprepared("PRAGMA synchronous = NORMAL").await.unwrap();
    let (ada, issue) = (models::user(&*db, "Ada").await, models::issue(&*db, "It").await);
    let event = |n: u32| IssueEvent::Commented { comment_id: n.into() };

    let start = Instant::now();
    for n in 0..2_000 {
        issue.record(event(n)).by(&ada).save(&*db).await.unwrap();
    }
    rate("save, each committed", 2_000, start);

    let start = Instant::now();
    for n in 0..2_000 {
        issue.record(event(n)).by(&ada).key(format!("{n}")).save(&*db).await.unwrap();
    }
    rate("save with a key, each committed", 2_000, start);

    let start = Instant::now();
    db.transact(async |txn| {
        for n in 0..5_000 {
            issue.record(event(n)).by(&ada).save(txn).await?;
        }
        Ok::<_, RecordError>(())
    })
    .await
    .unwrap();
    rate("save in one transaction", 5_000, start);

    let start = Instant::now();
    record_many(&*db, (0..50_000).map(|n| issue.record(event(n)).by(&ada))).await.unwrap();
    rate("record_many", 50_000, start);

    let start = Instant::now();
    for _ in 0..500 {
        issue.feed::<IssueEvent>().page(&*db).await.unwrap();
    }
    rate("pages of 20 of 59,000 with labels", 500, start);
}
