//! Futures dropped at any moment, as those of requests whose clients go away: what was acknowledged is there, also what others wrote
//! on the same pool afterwards, and no connection stays inside a transaction.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use behaviour::models::{self, IssueEvent, issue};
use behaviour::{Kind, TestDb, on_every_database, statement};
use event_sea_orm::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseConnection, TransactionTrait};

on_every_database! {
    an_empty_transaction
    recordings_on_a_pool
    many_and_set_based_changes
    transactions_with_work
    what_is_dropped_within_a_transaction_ends_it
    a_savepoint_that_is_dropped_leaves_the_transaction_around_it
    whatever_else_is_called
    drains_of_a_transactional_inbox
}

/// How often each call is dropped. `EVENTS_TEST_DROPS` has it dropped more often.
fn drops() -> usize {
    std::env::var("EVENTS_TEST_DROPS").ok().map_or(300, |drops| drops.parse().unwrap())
}

type Call<'a> = Pin<Box<dyn Future<Output = Option<Vec<String>>> + Send + 'a>>;

/// The ids of what was acknowledged.
#[derive(Default)]
struct Acknowledged(Mutex<Vec<String>>);

impl Acknowledged {
    fn add(&self, ids: Vec<String>) {
        self.0.lock().unwrap().extend(ids);
    }

    /// Whether another session sees all of them.
    async fn all_are_seen(&self, db: &TestDb) {
        let seen: std::collections::HashSet<_> = db.rows("SELECT id FROM events").await.into_iter().collect();
        let acknowledged = self.0.lock().unwrap().clone();
        let lost: Vec<_> = acknowledged.iter().filter(|id| !seen.contains(*id)).collect();
        assert!(lost.is_empty(), "{} of {} acknowledged events are lost: {lost:?}", lost.len(), acknowledged.len());
    }
}

fn id(saved: &Saved) -> String {
    saved.event().unwrap().id.to_string()
}

async fn save<C: RecordConnection>(conn: &C) -> Result<String, RecordError> {
    Ok(id(&IssueEvent::Closed.on(1).by_system().save(conn).await?))
}

/// Calls, drops the call's future after some time, and now and then saves on the same pool, which has to be seen by others.
async fn drop_at_any_moment<'a>(
    db: &TestDb,
    pool: &'a DatabaseConnection,
    longest: Duration,
    call: impl Fn(usize) -> Call<'a>,
) {
    let acknowledged = Acknowledged::default();
    // Prepared on every connection beforehand: dropped while it prepares a statement, sqlx's MySQL driver waits for ever for an answer
    // to one that it never sent (https://github.com/launchbadge/sqlx/issues/563).
    for nth in 0..12 {
        futures_util::future::join_all((0..4).map(|each| call(1_000_000 + nth * 4 + each))).await;
    }
    let mut dropped = 0;
    for nth in 0..drops() {
        let after = longest.mul_f64(fraction(nth));
        match tokio::time::timeout(after, call(nth)).await {
            Ok(Some(ids)) => acknowledged.add(ids),
            Ok(None) => {}
            Err(_) => dropped += 1,
        }
        if nth % 3 == 0 {
            let saved =
                tokio::time::timeout(Duration::from_secs(20), save(pool)).await.expect("the pool has connections");
            acknowledged.add(vec![saved.unwrap()]);
        }
    }
    assert!(dropped > 10, "only {dropped} calls were dropped");
    for _ in 0..12 {
        acknowledged.add(vec![save(pool).await.unwrap()]);
    }
    acknowledged.all_are_seen(db).await;
    no_connection_is_in_a_transaction(db).await;
}

/// Evenly spread from 0 to 1, in no order.
#[allow(clippy::cast_precision_loss, reason = "a part of a thousand")]
fn fraction(nth: usize) -> f64 {
    (nth * 617 % 1_000) as f64 / 1_000.0
}

async fn no_connection_is_in_a_transaction(db: &TestDb) {
    let open = match db.kind() {
        Kind::Sqlite => {
            // With one writer at a time: nobody else is inside a transaction that writes.
            db.sql("BEGIN IMMEDIATE").await.unwrap();
            db.sql("ROLLBACK").await.unwrap();
            return;
        }
        Kind::Postgres => {
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
        }
        Kind::MySql => {
            "SELECT count(*) FROM information_schema.innodb_trx t JOIN information_schema.processlist p \
             ON p.id = t.trx_mysql_thread_id WHERE p.db = database() AND p.command = 'Sleep'"
        }
    };
    // What a task of its own still begins, and gives back at once, is over in a moment.
    for _ in 0..50 {
        if db.number(open).await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("a connection stays inside a transaction");
}

async fn pool(db: &TestDb) -> DatabaseConnection {
    db.another(if db.kind() == Kind::Sqlite { 1 } else { 3 }).await
}

async fn an_empty_transaction(db: &TestDb) {
    let pool = &pool(db).await;
    drop_at_any_moment(db, pool, Duration::from_micros(400), |_| {
        Box::pin(async move {
            pool.transact(async |_| Ok(())).await.unwrap();
            None
        })
    })
    .await;
}

async fn recordings_on_a_pool(db: &TestDb) {
    let pool = &pool(db).await;
    drop_at_any_moment(db, pool, Duration::from_millis(2), |nth| {
        Box::pin(async move {
            let issue = i64::try_from(nth).unwrap();
            let throttled = IssueEvent::Closed.on(issue).by_system().throttle(Duration::from_secs(60));
            let saved = if nth % 2 == 0 {
                throttled.save(pool).await
            } else {
                throttled.key(issue.to_string()).save(pool).await
            };
            Some(vec![id(&saved.unwrap())])
        })
    })
    .await;
}

async fn many_and_set_based_changes(db: &TestDb) {
    for title in ["a", "b"] {
        models::issue(&**db, title).await;
    }
    let pool = &pool(db).await;
    drop_at_any_moment(db, pool, Duration::from_millis(4), |nth| {
        Box::pin(async move {
            let saved = if nth % 2 == 0 {
                record_many(pool, (0..3_i64).map(|issue| IssueEvent::Closed.on(issue).by_system())).await.unwrap()
            } else {
                let update = issue::Entity::update_all().set(issue::Column::Title, format!("title {nth}"));
                let changed = update.record(pool, |_, after| after.record(IssueEvent::Closed).by_system());
                match changed.await {
                    Ok(changed) => changed.saved,
                    // One that was dropped may not have ended yet.
                    Err(RecordError::Locked { .. }) => return None,
                    Err(error) => panic!("{error}"),
                }
            };
            Some(saved.iter().map(id).collect())
        })
    })
    .await;
}

async fn transactions_with_work(db: &TestDb) {
    models::issue(&**db, "a").await;
    let pool = &pool(db).await;
    drop_at_any_moment(db, pool, Duration::from_millis(4), |nth| {
        Box::pin(async move {
            let worked = pool.transact(async |txn| {
                let first = save(txn).await?;
                let batch = Batch::begin(txn, "dropped at any moment").await?;
                let throttled = IssueEvent::Closed.on(i64::try_from(nth).unwrap()).by_system();
                let second = batch.run(throttled.throttle(Duration::from_secs(60)).save(txn)).await?;
                Ok(vec![first, id(&second)])
            });
            Some(worked.await.unwrap())
        })
    })
    .await;
}

/// What is dropped while the transaction around it goes on is there in part: it must not be committed.
async fn what_is_dropped_within_a_transaction_ends_it(db: &TestDb) {
    let pool = pool(db).await;
    // Prepares the statements on every connection.
    futures_util::future::join_all((0..3).map(|_| async {
        let many = record_many(&pool, (0..2_500_i64).map(|_| IssueEvent::Closed.on(-1).by_system()));
        many.await.unwrap();
        save(&pool).await.unwrap();
    }))
    .await;
    let (mut ended, mut committed) = (0, Vec::new());
    for nth in 0..drops() {
        let issue = i64::try_from(nth).unwrap();
        let worked = pool.transact(async |txn| {
            let first = save(txn).await?;
            let many = record_many(txn, (0..2_500_i64).map(|_| IssueEvent::Closed.on(issue).by_system()));
            let many = tokio::time::timeout(Duration::from_millis(60).mul_f64(fraction(nth)), many).await;
            let last = save(txn).await?;
            Ok((first, many.is_ok(), last))
        });
        match worked.await {
            Ok((first, many, last)) => committed.push((nth, first, many, last)),
            Err(error) => {
                assert!(error.to_string().contains("dropped before its end"), "{error}");
                ended += 1;
            }
        }
        if nth >= 60 && ended > 5 {
            break;
        }
    }
    assert!(ended > 0, "none was dropped within its block");
    let seen = db.rows("SELECT id FROM events").await;
    for (nth, first, many, last) in committed {
        assert!(seen.contains(&first) && seen.contains(&last), "{nth} was acknowledged");
        let recorded = db.number(&format!("SELECT count(*) FROM events WHERE subject_id = '{nth}'")).await;
        // The subject of the first and the last is 1.
        let others = if nth == 1 { recorded % 2_500 } else { recorded };
        assert_eq!(others, if many && nth != 1 { 2_500 } else { others % 2_500 }, "{nth}: all of them or none");
    }
    no_connection_is_in_a_transaction(db).await;
}

/// A savepoint whose beginning is dropped ends no transaction: what was written before stays a part of it.
async fn a_savepoint_that_is_dropped_leaves_the_transaction_around_it(db: &TestDb) {
    // One connection, on which the statements are prepared here: one poll may come as far as a statement after the SAVEPOINT, and what is
    // dropped while it prepares leaves sqlx's MySQL driver out of step (https://github.com/launchbadge/sqlx/issues/563).
    let pool = db.another(1).await;
    IssueEvent::Closed.on(0).by_system().throttle(Duration::from_secs(60)).save(&pool).await.unwrap();
    for nth in 1..=60_i64 {
        let transaction = pool.begin().await.unwrap();
        let first = save(&transaction).await.unwrap();
        let throttled = IssueEvent::Closed.on(nth).by_system().throttle(Duration::from_secs(60));
        // Polled once: its SAVEPOINT is on its way.
        drop(futures_util::poll!(Box::pin(throttled.save(&transaction))));
        let second = save(&transaction).await.unwrap();
        // Neither is seen before the commit, both after it.
        if db.kind() != Kind::Sqlite {
            assert!(!db.rows("SELECT id FROM events").await.contains(&second), "round {nth}");
        }
        transaction.commit().await.unwrap();
        let seen = db.rows("SELECT id FROM events").await;
        assert!(seen.contains(&first) && seen.contains(&second), "round {nth}");
    }
    no_connection_is_in_a_transaction(db).await;
}

async fn whatever_else_is_called(db: &TestDb) {
    let pool = &pool(db).await;
    let dispatcher = &Dispatcher::builder(pool).only(["dropped_projection"]).build().unwrap();
    drop_at_any_moment(db, pool, Duration::from_millis(3), |nth| {
        Box::pin(async move {
            match nth % 6 {
                0 => drop(any_feed().limit(3).page(pool).await.unwrap()),
                1 => drop(EventTree::of(pool, &EventRef::new("events", 1)).await.unwrap()),
                2 => drop(Batch::begin(pool, "dropped").await.unwrap()),
                3 => drop(dispatcher.dead_letters().newest().await.unwrap()),
                4 => dispatcher.register().await.unwrap(),
                _ => {
                    // Nothing is that old.
                    let week = Duration::from_secs(7 * 24 * 60 * 60);
                    drop(Retention::older_than(week).run(pool).await.unwrap());
                }
            }
            None
        })
    })
    .await;
}

#[inbox(start = beginning)]
async fn dropped_projection(event: Event<IssueEvent>, txn: Txn<'_>) -> InboxResult {
    txn.execute_raw(statement(&txn, "INSERT INTO effects (event) VALUES (?)", [event.id().into()])).await?;
    handled()
}

/// As many drains as may be are dropped: effects happen once, and what others write on the pool is seen.
async fn drains_of_a_transactional_inbox(db: &TestDb) {
    db.sql("CREATE TABLE effects (event bigint NOT NULL)").await.unwrap();
    let pool = pool(db).await;
    let acknowledged = Acknowledged::default();
    let dispatcher = || {
        let builder = Dispatcher::builder(&pool).only(["dropped_projection"]).lease(Duration::from_millis(900));
        builder.batch(4, Duration::from_millis(50)).build().unwrap()
    };
    let mut one = dispatcher();
    for nth in 0..drops() / 4 {
        acknowledged.add(vec![save(&pool).await.unwrap(), save(&pool).await.unwrap()]);
        let ended = tokio::time::timeout(Duration::from_millis(12).mul_f64(fraction(nth)), one.drain()).await;
        if ended.is_err() && nth % 10 == 0 {
            one = dispatcher();
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..40 {
        one.drain().await.unwrap();
        if db.rows("SELECT event FROM effects").await.len() >= db.rows("SELECT id FROM events").await.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    acknowledged.all_are_seen(db).await;
    let effects = db.rows("SELECT event FROM effects ORDER BY event").await;
    assert_eq!(effects, db.rows("SELECT id FROM events ORDER BY id").await, "each once");
    no_connection_is_in_a_transaction(db).await;
}
