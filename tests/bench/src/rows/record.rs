//! What recording costs: one event in a transaction that updates its subject, and many at once.

use std::time::Instant;

use event_sea_orm::prelude::*;
use sea_orm::{ActiveModelTrait, ConnectionTrait, DatabaseConnection, DbBackend, Set, Statement, TransactionTrait};

use super::Rows;
use crate::ground::{Ground, Kind, connect};
use crate::hand::Hand;
use crate::models::{ISSUES, IssueEvent, row, small};
use crate::report::Row;
use crate::sample::in_turns;
use crate::{Fallible, payload};

/// Transactions of a run.
const EACH: i64 = 1_000;
/// Batches of a run, and events of each.
const BATCHES: i64 = 20;
const BATCH: i64 = 1_000;

pub(super) async fn run(rows: &mut Rows<'_>) -> Fallible<()> {
    for kind in [Kind::Postgres, Kind::MariaDb, Kind::Sqlite] {
        let at_most = if kind == Kind::Sqlite { 1.3 } else { 1.1 };
        let base = if kind == Kind::Sqlite { "sqlite-record".to_owned() } else { format!("record{}", kind.suffix()) };
        single(rows, kind, &base, at_most, None).await?;
        if kind == Kind::Postgres {
            let row = format!("{base}-large");
            match payload::webhooks()? {
                Some(payloads) => single(rows, kind, &row, at_most, Some(&payloads)).await?,
                None if rows.wants(&row) => rows.add(Row::left_out(&row, "../shared/data is not here")),
                None => {}
            }
            orm(rows, kind).await?;
        }
        if kind != Kind::Sqlite {
            many(rows, kind).await?;
        }
    }
    Ok(())
}

fn payload_of(payloads: Option<&[serde_json::Value]>, n: i64) -> IssueEvent {
    match payloads {
        None => IssueEvent::Commented { comment_id: n },
        Some(payloads) => payload::large(payloads, n),
    }
}

async fn single(
    rows: &mut Rows<'_>,
    kind: Kind,
    row: &str,
    at_most: f64,
    payloads: Option<&[serde_json::Value]>,
) -> Fallible<()> {
    if !rows.wants(row) {
        return Ok(());
    }
    let Some(ground) = Ground::migrated(rows.options, kind).await? else {
        rows.no_server(kind, &["record"]);
        return Ok(());
    };
    let db = connect(&ground.url, 1).await?;
    let hand = Hand::on(&ground).await?;
    let sides = in_turns(
        rows.options.rounds,
        async || {
            let begun = Instant::now();
            for n in 0..EACH {
                let event = payload_of(payloads, n);
                db.transact(async |txn| {
                    txn.execute_raw(update_issue(txn.get_database_backend(), n % ISSUES)).await?;
                    event.on(n % ISSUES).by_system().save(txn).await?;
                    Ok(())
                })
                .await?;
            }
            Ok(per_event(begun))
        },
        async || {
            let begun = Instant::now();
            hand.record(0..EACH, |n| payload_of(payloads, n)).await?;
            Ok(per_event(begun))
        },
    )
    .await?;
    let (ours, beside) = sides.medians();
    rows.add(Row::time(row, "us", ours, beside, at_most).note(format!("beside sqlx by hand; {}", sides.spread())));
    hand.close().await;
    db.close().await?;
    ground.drop().await
}

/// Microseconds.
fn per_event(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e6 / EACH as f64
}

fn update_issue(backend: DbBackend, id: i64) -> Statement {
    let text = match backend {
        DbBackend::Postgres => "UPDATE issues SET comments = comments + 1 WHERE id = $1",
        _ => "UPDATE issues SET comments = comments + 1 WHERE id = ?",
    };
    Statement::from_sql_and_values(backend, text, [id.into()])
}

/// The same row by a SeaORM model, in the same transaction.
async fn orm(rows: &mut Rows<'_>, kind: Kind) -> Fallible<()> {
    if !rows.wants("record-orm") {
        return Ok(());
    }
    let Some(ground) = Ground::migrated(rows.options, kind).await? else {
        rows.no_server(kind, &["record-orm"]);
        return Ok(());
    };
    let db = connect(&ground.url, 1).await?;
    let sides = in_turns(
        rows.options.rounds,
        async || {
            let begun = Instant::now();
            for n in 0..EACH {
                let txn = db.begin().await?;
                txn.execute_raw(update_issue(DbBackend::Postgres, n % ISSUES)).await?;
                small(n).save(&txn).await?;
                txn.commit().await?;
            }
            Ok(per_event(begun))
        },
        async || {
            let begun = Instant::now();
            for n in 0..EACH {
                let txn = db.begin().await?;
                txn.execute_raw(update_issue(DbBackend::Postgres, n % ISSUES)).await?;
                model(n).insert(&txn).await?;
                txn.commit().await?;
            }
            Ok(per_event(begun))
        },
    )
    .await?;
    let (ours, beside) = sides.medians();
    let row = Row::time("record-orm", "us", ours, beside, 1.0);
    rows.add(row.note(format!("beside a SeaORM ActiveModel's insert; {}", sides.spread())));
    db.close().await?;
    ground.drop().await
}

fn model(n: i64) -> row::ActiveModel {
    row::ActiveModel {
        subject_type: Set("issue".to_owned()),
        subject_id: Set((n % ISSUES).to_string()),
        action: Set("commented".to_owned()),
        version: Set(1),
        metadata: Set(serde_json::json!({ "comment_id": n })),
        occurred_at: Set(chrono::Utc::now()),
        ..Default::default()
    }
}

async fn many(rows: &mut Rows<'_>, kind: Kind) -> Fallible<()> {
    let name = format!("record-many{}", kind.suffix());
    if !rows.wants(&name) {
        return Ok(());
    }
    let Some(ground) = Ground::migrated(rows.options, kind).await? else {
        rows.no_server(kind, &["record-many"]);
        return Ok(());
    };
    let db: DatabaseConnection = connect(&ground.url, 1).await?;
    let hand = Hand::on(&ground).await?;
    let rate = |begun: Instant| (BATCHES * BATCH) as f64 / begun.elapsed().as_secs_f64();
    let sides = in_turns(
        rows.options.rounds,
        async || {
            let begun = Instant::now();
            for batch in 0..BATCHES {
                record_many(&db, (batch * BATCH..(batch + 1) * BATCH).map(small)).await?;
            }
            Ok(rate(begun))
        },
        async || {
            let begun = Instant::now();
            for batch in 0..BATCHES {
                let numbers = batch * BATCH..(batch + 1) * BATCH;
                let events: Vec<_> = numbers.map(|n| (n % ISSUES, IssueEvent::Commented { comment_id: n })).collect();
                hand.record_many(&events).await?;
            }
            Ok(rate(begun))
        },
    )
    .await?;
    let (ours, beside) = sides.medians();
    let by_hand = if kind == Kind::Postgres { "INSERT ... SELECT unnest" } else { "multi-row INSERT" };
    let row = Row::rate(&name, "events/s", ours, beside, 0.9);
    rows.add(row.note(format!("beside {by_hand} by hand, 1,000 at a time; {}", sides.spread())));
    hand.close().await;
    db.close().await?;
    ground.drop().await
}
