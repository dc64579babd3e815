//! Transactions: what is kept, what is not, and where their futures can run.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use behaviour::models::{self, IssueEvent};
use behaviour::{TestDb, on_every_database, statement};
use event_sea_orm::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseConnection, EntityTrait};

on_every_database! {
    what_is_ok_is_committed
    an_error_rolls_back
    a_panic_rolls_back
    a_dropped_one_rolls_back
    one_dropped_at_any_moment_leaves_the_connection_whole
    the_future_is_send
    readers_that_write_do_not_fail_each_other
    an_error_of_the_applications_own_comes_back
    attempts_are_bounded
    ; servers_only:
    a_deadlock_is_retried
    ; postgres_only:
    a_commit_refused_because_of_another_transaction_is_locked
}

async fn count(db: &TestDb) -> i64 {
    db.number("SELECT count(*) FROM events").await
}

async fn what_is_ok_is_committed(db: &TestDb) {
    let title = "Broken".to_owned();
    let issue = db
        .transact(async |txn| {
            let issue = models::issue(txn, &title).await;
            issue.record(IssueEvent::Created).by_system().save(txn).await?;
            Ok(issue)
        })
        .await
        .unwrap();
    assert_eq!(issue.title, title);
    assert_eq!(count(db).await, 1);
}

async fn an_error_rolls_back(db: &TestDb) {
    let result = db
        .transact(async |txn| {
            IssueEvent::Created.on(1).by_system().save(txn).await?;
            IssueEvent::Created.on(1).save(txn).await
        })
        .await;
    assert!(matches!(result, Err(RecordError::Invalid(_))));
    assert_eq!(count(db).await, 0);
}

async fn a_panic_rolls_back(db: &TestDb) {
    let pool = db.another(1).await;
    let task = tokio::spawn(async move {
        let _: Result<(), RecordError> = pool
            .transact(async |txn| {
                IssueEvent::Created.on(1).by_system().save(txn).await.unwrap();
                panic!("on purpose");
            })
            .await;
    });
    assert!(task.await.unwrap_err().is_panic());
    IssueEvent::Closed.on(1).by_system().save(&**db).await.unwrap();
    assert_eq!(count(db).await, 1);
}

async fn a_dropped_one_rolls_back(db: &TestDb) {
    let work = db.transact(async |txn| {
        IssueEvent::Created.on(1).by_system().save(txn).await?;
        std::future::pending::<Result<(), RecordError>>().await
    });
    assert!(tokio::time::timeout(Duration::from_millis(200), work).await.is_err());
    assert_eq!(count(db).await, 0);
    // The connection is of use again.
    IssueEvent::Closed.on(1).by_system().save(&**db).await.unwrap();
}

/// As axum bounds its handlers.
async fn call<F, Fut>(handler: F, db: DatabaseConnection) -> i64
where
    F: FnOnce(DatabaseConnection) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Saved, RecordError>> + Send,
{
    handler(db).await.unwrap().event().unwrap().id
}

async fn the_future_is_send(db: &TestDb) {
    async fn handler(db: DatabaseConnection) -> Result<Saved, RecordError> {
        let (issue, title) = (models::issue(&db, "Broken").await, String::from("x"));
        let (issue, title) = (&issue, title.as_str());
        db.transact(async |txn| {
            models::issue::Entity::find_by_id(issue.id).one(txn).await?;
            record_many(txn, [issue.record(IssueEvent::Created).by_system().key(title)]).await?;
            issue.record(IssueEvent::Closed).by_system().save(txn).await
        })
        .await
    }
    assert_eq!(call(handler, (*db).clone()).await, 2);
    let pool = (*db).clone();
    let task = tokio::spawn(async move {
        let kept = vec![1_i64, 2];
        pool.transact(async |txn| {
            for &id in &kept {
                IssueEvent::Closed.on(id).by_system().save(txn).await?;
            }
            Ok(kept.len())
        })
        .await
    });
    assert_eq!(task.await.unwrap().unwrap(), 2);
    let pool = (*db).clone();
    let task = tokio::spawn(async move {
        let kept = String::from("kept");
        pool.transact_retrying(2, async |txn| IssueEvent::Closed.on(1).by_system().key(&kept).save(txn).await).await
    });
    assert!(task.await.unwrap().unwrap().is_new());
    let pool = (*db).clone();
    tokio::spawn(async move { IssueEvent::feed().page(&pool).await.map(|page| page.entries.len()) })
        .await
        .unwrap()
        .unwrap();
}

async fn readers_that_write_do_not_fail_each_other(db: &TestDb) {
    let pool = db.another(4).await;
    let tasks: Vec<_> = (0..40_i64)
        .map(|n| {
            let pool = pool.clone();
            tokio::spawn(async move {
                pool.transact(async |txn| {
                    models::issue::Entity::find().all(txn).await?;
                    IssueEvent::Commented { comment_id: n }.on(n).by_system().save(txn).await
                })
                .await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(count(db).await, 40);
}

async fn one_dropped_at_any_moment_leaves_the_connection_whole(db: &TestDb) {
    // As a request whose client goes away. The pool has one connection: were the driver to think it still in a transaction,
    // what is committed next would be seen by nobody else.
    let (pool, other) = (db.another(1).await, db.another(1).await);
    // Prepared beforehand: dropped while it prepares a statement, sqlx's MySQL driver waits for ever for an answer to one that it
    // never sent (https://github.com/launchbadge/sqlx/issues/563).
    pool.transact(async |txn| IssueEvent::Closed.on(1).by_system().save(txn).await).await.unwrap();
    for polls in 1..60 {
        let mut dropped = Box::pin(pool.transact(async |txn| IssueEvent::Closed.on(1).by_system().save(txn).await));
        let mut left = polls;
        std::future::poll_fn(|context| {
            left -= 1;
            let ended = dropped.as_mut().poll(context).is_ready();
            if ended || left == 0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        drop(dropped);
        // One that is rolled back shows it: it would leave the outer transaction open.
        let undone = pool.transact(async |txn| {
            IssueEvent::Closed.on(2).by_system().save(txn).await?;
            Err::<(), _>(RecordError::from(sea_orm::DbErr::Custom("undone".to_owned())))
        });
        assert!(undone.await.is_err());
        let key = format!("after {polls} polls");
        IssueEvent::Closed.on(3).by_system().key(&key).save(&pool).await.unwrap();
        let seen = IssueEvent::feed().of_id(3).limit(1).page(&other).await.unwrap();
        assert_eq!(seen.entries.first().and_then(|entry| entry.idempotency_key.clone()), Some(key));
    }
}

#[derive(Debug)]
enum AppError {
    Forbidden,
    Other,
}

impl<E: Into<RecordError>> From<E> for AppError {
    fn from(_: E) -> Self {
        Self::Other
    }
}

async fn an_error_of_the_applications_own_comes_back(db: &TestDb) {
    let refused = db.transact_with_error::<AppError, ()>(async |txn| {
        IssueEvent::Created.on(1).by_system().save(txn).await?;
        Err(AppError::Forbidden)
    });
    assert!(matches!(refused.await, Err(AppError::Forbidden)));
    let failed = db.transact_with_error::<AppError, _>(async |txn| {
        txn.execute_unprepared("SELECT nothing").await?;
        Ok(())
    });
    assert!(matches!(failed.await, Err(AppError::Other)));
    assert_eq!(count(db).await, 0);
}

async fn attempts_are_bounded(db: &TestDb) {
    let attempts = AtomicUsize::new(0);
    let locked = || RecordError::Locked { log: "events".to_owned(), advice: "" };
    let never = db.transact_retrying(3, async |txn| {
        attempts.fetch_add(1, Relaxed);
        IssueEvent::Created.on(1).by_system().save(txn).await?;
        Err::<(), _>(locked())
    });
    assert!(matches!(never.await, Err(RecordError::Locked { .. })));
    assert_eq!((attempts.swap(0, Relaxed), count(db).await), (3, 0));
    // At the second time, and then no more.
    let second = db.transact_retrying(3, async |txn| {
        let attempt = attempts.fetch_add(1, Relaxed);
        IssueEvent::Created.on(1).by_system().save(txn).await?;
        if attempt == 0 { Err(locked()) } else { Ok(attempt) }
    });
    assert_eq!(second.await.unwrap(), 1);
    assert_eq!((attempts.swap(0, Relaxed), count(db).await), (2, 1));
    // What no other transaction is the cause of is not tried again, and no attempts are one.
    let invalid = db.transact_retrying(0, async |txn| {
        attempts.fetch_add(1, Relaxed);
        IssueEvent::Created.on(1).save(txn).await
    });
    assert!(matches!(invalid.await, Err(RecordError::Invalid(_))));
    assert_eq!(attempts.load(Relaxed), 1);
}

async fn a_deadlock_is_retried(db: &TestDb) {
    for title in ["a", "b"] {
        models::issue(&**db, title).await;
    }
    let both_hold_one = tokio::sync::Barrier::new(2);
    let attempts = AtomicUsize::new(0);
    let swap = async |first: i64, second: i64| {
        let mine = AtomicUsize::new(0);
        db.transact_retrying(5, async |txn| {
            attempts.fetch_add(1, Relaxed);
            txn.execute_unprepared(&format!("UPDATE issues SET title = 'held' WHERE id = {first}")).await?;
            if mine.fetch_add(1, Relaxed) == 0 {
                both_hold_one.wait().await;
            }
            txn.execute_unprepared(&format!("UPDATE issues SET title = 'held' WHERE id = {second}")).await?;
            IssueEvent::Closed.on(first).by_system().save(txn).await
        })
        .await
    };
    let (one, other) = futures_util::future::join(swap(1, 2), swap(2, 1)).await;
    assert!(one.unwrap().is_new() && other.unwrap().is_new());
    assert!(attempts.load(Relaxed) >= 3, "one of them was rolled back");
    assert_eq!(count(db).await, 2);
}

/// Each of two reads what the other one writes: PostgreSQL notices at the second one's COMMIT.
async fn a_commit_refused_because_of_another_transaction_is_locked(db: &TestDb) {
    db.sql("CREATE TABLE duty (doctor int NOT NULL)").await.unwrap();
    db.sql("INSERT INTO duty VALUES (1), (2)").await.unwrap();
    let other = db.another(1).await;
    let leave = async |txn: &sea_orm::DatabaseTransaction, doctor: i32| {
        txn.execute_unprepared("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE").await?;
        txn.query_one_raw(statement(txn, "SELECT count(*) FROM duty", [])).await?;
        txn.execute_unprepared(&format!("DELETE FROM duty WHERE doctor = {doctor}")).await?;
        IssueEvent::Closed.on(i64::from(doctor)).by_system().save(txn).await
    };
    let refused = db.transact(async |txn| {
        let saved = leave(txn, 1).await?;
        other.transact(async |txn| leave(txn, 2).await).await?;
        Ok(saved)
    });
    let error = refused.await.unwrap_err();
    assert!(matches!(error, RecordError::Locked { .. }), "{error:?}");
    assert!(error.to_string().starts_with("the transaction was not committed: another transaction"), "{error}");
    assert_eq!(db.rows("SELECT subject_id FROM events").await, ["2"]);
}
