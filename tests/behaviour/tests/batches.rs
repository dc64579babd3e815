//! Batches: events recorded together, with why; nested, found again, and gone with a rollback.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use behaviour::models::{AccountEvent, IssueEvent};
use behaviour::{TestDb, on_every_database};
use event_sea_orm::prelude::*;
use sea_orm::DbErr;

on_every_database! {
    events_of_a_batch_are_found_again
    batches_nest
    a_rollback_leaves_no_batch
    an_inner_batch_that_is_rolled_back_leaves_the_outer_one
    batches_are_listed_newest_first
    a_description_has_a_longest
}

async fn ids(db: &TestDb, batches: Vec<String>) -> Vec<String> {
    let page = any_feed().in_batches(batches).page(&**db).await.unwrap();
    let mut ids: Vec<_> = page.entries.iter().map(|entry| entry.at.to_string()).collect();
    ids.sort();
    ids
}

async fn events_of_a_batch_are_found_again(db: &TestDb) {
    IssueEvent::Closed.on(1).by_system().save(&**db).await.unwrap();
    let batch = db
        .transact(async |txn| {
            let batch = Batch::begin(txn, "Closed what was stale").await?;
            batch.run(IssueEvent::Closed.on(2).by_system().save(txn)).await?;
            // Its future is made outside, and awaited within.
            batch.run(record_many(txn, [AccountEvent::SignedIn.on(3).by_system()])).await?;
            Ok(batch)
        })
        .await
        .unwrap();
    IssueEvent::Closed.on(4).by_system().save(&**db).await.unwrap();
    assert_eq!(Batch::find(&**db, &batch.id).await.unwrap(), Some(batch.clone()));
    assert_eq!(batch.description, "Closed what was stale");
    assert_eq!(ids(db, batch.and_nested(&**db).await.unwrap()).await, ["audit_events/1", "events/2"]);
    let page = any_feed().in_batches([batch.id.as_str()]).page(&**db).await.unwrap();
    assert!(page.entries.iter().all(|entry| entry.batch_id.as_deref() == Some(batch.id.as_str())));
    assert!(ids(db, Vec::new()).await.is_empty());
    assert_eq!(Batch::find(&**db, "none").await.unwrap(), None);
}

async fn batches_nest(db: &TestDb) {
    let outer = Batch::begin(&**db, "outer").await.unwrap();
    let inner = outer
        .run(async {
            IssueEvent::Closed.on(1).by_system().save(&**db).await.unwrap();
            let inner = Batch::begin(&**db, "inner").await.unwrap();
            inner.run(async { IssueEvent::Closed.on(2).by_system().save(&**db).await.unwrap() }).await;
            IssueEvent::Closed.on(3).by_system().save(&**db).await.unwrap();
            inner
        })
        .await;
    assert_eq!((outer.parent_id.as_deref(), inner.parent_id.as_deref()), (None, Some(outer.id.as_str())));
    assert_eq!(ids(db, vec![outer.id.clone()]).await, ["events/1", "events/3"]);
    assert_eq!(ids(db, vec![inner.id.clone()]).await, ["events/2"]);
    assert_eq!(outer.and_nested(&**db).await.unwrap(), [outer.id.clone(), inner.id.clone()]);
    assert_eq!(ids(db, outer.and_nested(&**db).await.unwrap()).await, ["events/1", "events/2", "events/3"]);
}

async fn a_rollback_leaves_no_batch(db: &TestDb) {
    let rolled_back = db.transact_with_error(async |txn| {
        let batch = Batch::begin(txn, "nothing").await.unwrap();
        batch.run(async { IssueEvent::Closed.on(1).by_system().save(txn).await.unwrap() }).await;
        Err::<(), DbErr>(DbErr::Custom("no".to_owned()))
    });
    rolled_back.await.unwrap_err();
    assert_eq!(db.number("SELECT count(*) FROM event_batches").await, 0);
    assert!(Batch::newest(&**db, 10).await.unwrap().is_empty());
}

async fn an_inner_batch_that_is_rolled_back_leaves_the_outer_one(db: &TestDb) {
    use sea_orm::TransactionTrait as _;
    let outer = db
        .transact(async |txn| {
            let outer = Batch::begin(txn, "outer").await?;
            let work = outer.run(async {
                let part = txn.begin().await?;
                let inner = Batch::begin(&part, "inner").await?;
                inner.run(IssueEvent::Closed.on(1).by_system().save(&part)).await?;
                part.rollback().await?;
                IssueEvent::Closed.on(2).by_system().save(txn).await
            });
            work.await?;
            Ok(outer)
        })
        .await
        .unwrap();
    assert_eq!(outer.and_nested(&**db).await.unwrap(), std::slice::from_ref(&outer.id));
    assert_eq!(db.number("SELECT count(*) FROM events").await, 1);
    assert_eq!(ids(db, vec![outer.id]).await.len(), 1);
}

async fn batches_are_listed_newest_first(db: &TestDb) {
    let mut begun = Vec::new();
    for n in 0..5 {
        begun.insert(0, Batch::begin(&**db, format!("batch {n}")).await.unwrap());
    }
    assert_eq!(Batch::newest(&**db, 3).await.unwrap(), begun[..3]);
}

async fn a_description_has_a_longest(db: &TestDb) {
    let longest = "é".repeat(Batch::DESCRIPTION_MAX / 2) + "!";
    let batch = Batch::begin(&**db, longest.clone()).await.unwrap();
    assert_eq!(Batch::find(&**db, &batch.id).await.unwrap().unwrap().description, longest);
    let error = Batch::begin(&**db, longest + "!").await.unwrap_err();
    assert!(matches!(error, RecordError::LongDescription { bytes: 65_536 }), "{error:?}");
    assert!(error.to_string().contains("65536 bytes and may have 65535"), "{error}");
    assert_eq!(db.number("SELECT count(*) FROM event_batches").await, 1);
}
