//! Throttles: at most once in so long a time, whoever records at the same moment.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use behaviour::models::{self, issue, robot, user};
use behaviour::{Kind, TestDb, on_every_database};
use chrono::{DateTime, TimeDelta, Utc};
use event_core::{Draft, RecordingError, Saved};
use event_sea_orm::prelude::*;
use sea_orm::DbErr;
use serde::{Deserialize, Serialize};

on_every_database! {
    once_per_subject_until_its_time_is_over
    once_per_subject_and_actor
    once_per_key_of_the_callers
    a_recording_can_set_it_aside
    a_throttle_counts_within_its_action
    the_same_event_recorded_again_is_no_throttled_one
    what_is_rolled_back_throttles_nobody
    what_fails_throttles_nobody
    many_at_once_record_one
    many_events_in_one_call
    a_throttle_has_an_end
    history_is_imported_in_either_order
    a_late_event_opens_no_throttle
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, name = "watched"), actor(user::Entity), actor(robot::Entity))]
enum WatchEvent {
    #[event(throttle = "5m")]
    Viewed,
    #[event(throttle("1h", per_actor))]
    Downloaded,
    Commented,
}

const MINUTE: Duration = Duration::from_secs(60);

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::minutes(minutes)
}

fn viewed(issue: i64, minutes: i64) -> Recording<WatchEvent> {
    WatchEvent::Viewed.on(issue).by_system().at(at(minutes))
}

async fn is_new(db: &TestDb, recording: Recording<WatchEvent>) -> bool {
    recording.save(&**db).await.unwrap().is_new()
}

async fn once_per_subject_until_its_time_is_over(db: &TestDb) {
    assert!(is_new(db, viewed(1, 0)).await);
    let throttled = viewed(1, 4).save(&**db).await.unwrap();
    assert_eq!(throttled, Saved::Throttled { until: at(5) });
    assert_eq!(throttled.event(), None);
    assert!(is_new(db, viewed(2, 4)).await, "another subject");
    assert!(is_new(db, viewed(1, 5)).await);
    assert_eq!(viewed(1, 6).save(&**db).await.unwrap(), Saved::Throttled { until: at(10) });
    assert_eq!(db.number("SELECT count(*) FROM events").await, 3);
    // Long ago, too.
    let moon = DateTime::from_timestamp(-14_182_916, 0).unwrap();
    assert!(is_new(db, viewed(4, 0).at(moon)).await);
    let again = viewed(4, 0).at(moon).save(&**db).await.unwrap();
    assert_eq!(again, Saved::Throttled { until: moon + TimeDelta::minutes(5) });
    // Now, where nobody says when.
    assert!(is_new(db, WatchEvent::Viewed.on(3).by_system()).await);
    assert!(!is_new(db, WatchEvent::Viewed.on(3).by_system()).await);
}

async fn once_per_subject_and_actor(db: &TestDb) {
    let (ada, bob) = (models::user(&**db, "Ada").await, models::user(&**db, "Bob").await);
    let by = |user: &user::Model| WatchEvent::Downloaded.on(1).by(user).at(at(0));
    assert!(is_new(db, by(&ada)).await);
    assert!(!is_new(db, by(&ada)).await);
    assert!(is_new(db, by(&bob)).await);
    assert!(is_new(db, WatchEvent::Downloaded.on(1).by_system().at(at(0))).await);
    assert!(!is_new(db, WatchEvent::Downloaded.on(1).by_system().at(at(0))).await);
}

async fn once_per_key_of_the_callers(db: &TestDb) {
    let session = |issue: i64, key: &'static str| {
        WatchEvent::Commented.on(issue).by_system().at(at(0)).throttle(Throttle::per_key(MINUTE, key))
    };
    assert!(is_new(db, session(1, "a")).await);
    assert!(!is_new(db, session(2, "a")).await);
    assert!(is_new(db, session(2, "b")).await);
}

async fn a_recording_can_set_it_aside(db: &TestDb) {
    assert!(is_new(db, viewed(1, 0)).await);
    assert!(is_new(db, viewed(1, 1).unthrottled()).await);
    assert!(is_new(db, viewed(2, 0).throttle(MINUTE)).await);
    assert!(is_new(db, viewed(2, 1).throttle(MINUTE)).await);
}

async fn a_throttle_counts_within_its_action(db: &TestDb) {
    assert!(is_new(db, viewed(1, 0)).await);
    assert!(is_new(db, WatchEvent::Commented.on(1).by_system().at(at(0)).throttle(MINUTE)).await);
    assert!(!is_new(db, viewed(1, 0)).await);
}

async fn the_same_event_recorded_again_is_no_throttled_one(db: &TestDb) {
    let first = viewed(1, 0).key("k").save(&**db).await.unwrap();
    let again = viewed(1, 1).key("k").save(&**db).await.unwrap();
    assert_eq!(again, Saved::AlreadyRecorded(first.event().unwrap().clone()));
    let error = viewed(2, 1).key("k").save(&**db).await.unwrap_err();
    assert!(matches!(error, RecordError::KeyConflict { .. }), "{error:?}");
}

async fn what_is_rolled_back_throttles_nobody(db: &TestDb) {
    let rolled_back = db.transact_with_error(async |txn| {
        assert!(viewed(1, 0).save(txn).await.unwrap().is_new());
        Err::<(), DbErr>(DbErr::Custom("no".to_owned()))
    });
    rolled_back.await.unwrap_err();
    assert!(is_new(db, viewed(1, 0)).await);
}

async fn what_fails_throttles_nobody(db: &TestDb) {
    WatchEvent::Commented.on(1).by_system().key("taken").save(&**db).await.unwrap();
    // On a plain connection, and in a transaction that goes on behind the error.
    viewed(1, 0).key("taken").save(&**db).await.unwrap_err();
    assert_eq!(db.number("SELECT count(*) FROM event_throttles").await, 0);
    db.transact(async |txn| {
        viewed(1, 0).key("taken").save(txn).await.unwrap_err();
        viewed(1, 0).save(txn).await
    })
    .await
    .unwrap();
    assert_eq!(db.number("SELECT count(*) FROM events").await, 2);
}

/// Transactions that overlap as much as they can: none ends before all have tried.
async fn many_at_once_record_one(db: &TestDb) {
    const MANY: usize = 50;
    let connections = if db.kind() == Kind::Sqlite { 4 } else { 16 };
    let pool = db.another(connections).await;
    let begin = Arc::new(tokio::sync::Barrier::new(MANY));
    let tasks: Vec<_> = (0..MANY)
        .map(|n| {
            let (pool, begin) = (pool.clone(), begin.clone());
            tokio::spawn(async move {
                begin.wait().await;
                loop {
                    let saved = pool.transact(async |txn| {
                        let saved = viewed(1, 0).save(txn).await?;
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        // Of those that got through the first few are rolled back: another one gets through then.
                        if saved.is_new() && n % 3 == 0 {
                            return Err(RecordError::from(DbErr::Custom("rolled back".to_owned())));
                        }
                        Ok(saved)
                    });
                    match saved.await {
                        Ok(saved) => return saved.is_new(),
                        // MariaDB: after a rollback those that waited for the row may wait for each other. As the error says.
                        Err(RecordError::Locked { .. }) => {}
                        Err(error) => {
                            assert!(error.to_string().contains("rolled back"), "{error}");
                            return false;
                        }
                    }
                }
            })
        })
        .collect();
    let mut new = 0;
    for task in tasks {
        new += usize::from(task.await.unwrap());
    }
    assert_eq!(new, 1);
    assert_eq!(db.number("SELECT count(*) FROM events").await, 1);
    pool.close().await.unwrap();
}

async fn many_events_in_one_call(db: &TestDb) {
    let drafts: Vec<Draft> = vec![
        viewed(1, 0).into(),
        viewed(1, 1).into(),
        WatchEvent::Commented.on(1).by_system().into(),
        viewed(2, 0).into(),
        viewed(1, 5).into(),
    ];
    let saved = record_many(&**db, drafts).await.unwrap();
    let new: Vec<_> = saved.iter().map(Saved::is_new).collect();
    assert_eq!(new, [true, false, true, true, true]);
    assert_eq!(saved[1], Saved::Throttled { until: at(5) });
    assert_eq!(db.number("SELECT count(*) FROM events").await, 4);
    let none = record_many(&**db, [viewed(1, 6), viewed(2, 1)]).await.unwrap();
    assert!(none.iter().all(|saved| matches!(saved, Saved::Throttled { .. })));
}

async fn a_throttle_has_an_end(db: &TestDb) {
    let for_ever = viewed(1, 0).throttle(Duration::MAX).save(&**db).await.unwrap_err();
    let is_bad = |error: &RecordError| {
        matches!(error, RecordError::Invalid(RecordingError::BadText { what: "the throttle", .. }))
    };
    assert!(is_bad(&for_ever), "{for_ever:?}");
    let late = DateTime::from_timestamp(253_402_300_700, 0).unwrap();
    let error = viewed(1, 0).at(late).save(&**db).await.unwrap_err();
    assert!(is_bad(&error), "{error:?}");
    assert_eq!(db.number("SELECT count(*) FROM event_throttles").await, 0);
}

/// The minutes of the events that are recorded of these, one after another.
async fn recorded(db: &TestDb, issue: i64, minutes: impl IntoIterator<Item = i64>) -> Vec<i64> {
    let mut new = Vec::new();
    for minute in minutes {
        if is_new(db, viewed(issue, minute)).await {
            new.push(minute);
        }
    }
    new
}

async fn history_is_imported_in_either_order(db: &TestDb) {
    let every_fifth: Vec<i64> = (0..60).step_by(5).collect();
    assert_eq!(recorded(db, 1, 0..60).await, every_fifth);
    let mut backwards = recorded(db, 2, (0..=55).rev()).await;
    backwards.reverse();
    assert_eq!(backwards, every_fifth);
    // Beside what is new, which keeps its own distance.
    assert!(is_new(db, viewed(3, 1_000)).await);
    assert_eq!(recorded(db, 3, 0..30).await, &every_fifth[..6]);
    assert_eq!(viewed(3, 1_004).save(&**db).await.unwrap(), Saved::Throttled { until: at(1_005) });
    assert_eq!(viewed(3, 29).save(&**db).await.unwrap(), Saved::Throttled { until: at(30) });
    assert_eq!(recorded(db, 3, [1_005, 1_006]).await, [1_005]);
    // Where there is no time before or after.
    let year_1 = DateTime::from_timestamp(-62_135_596_790, 0).unwrap();
    assert!(is_new(db, viewed(4, 0).at(year_1)).await);
    assert!(!is_new(db, viewed(4, 0).at(year_1 + TimeDelta::minutes(1))).await);
    assert!(is_new(db, viewed(4, 0)).await);
}

async fn a_late_event_opens_no_throttle(db: &TestDb) {
    assert_eq!(recorded(db, 1, [10, 4, 11, 9, 14, 15]).await, [10, 4, 15]);
}
