//! Recording: what is written, when, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use behaviour::models::{self, AccountEvent, IssueEvent, PageEvent, Status, robot, wiki_page};
use behaviour::{Kind, TestDb, on_every_database};
use chrono::{DateTime, TimeDelta, Utc};
use event_sea_orm::prelude::*;
use sea_orm::{ConnectionTrait, EntityTrait, TransactionTrait};
use serde_json::json;

// SQLite has one lock for all that write; on servers recorders wait for each other only over a key.
on_every_database! {
    an_event_reads_back_as_it_was_recorded
    numbers_read_back_as_they_were
    metadata_that_could_not_be_read_back_is_refused
    an_event_is_one_statement
    a_rollback_leaves_nothing
    nobody_and_nothing_are_refused
    actors_can_be_of_several_kinds
    the_same_event_under_the_same_key_is_recorded_once
    another_event_under_the_same_key_is_refused
    keys_belong_to_their_log
    fifty_at_once_under_one_key_record_one
    many_are_recorded_in_order
    many_are_recorded_wholly_or_not_at_all
    many_of_nothing_is_nothing
    a_read_only_database_says_so
    a_missing_table_says_so
    a_save_beside_its_own_transaction_says_so
    a_time_that_no_database_has_is_refused
    ; sqlite_only:
    a_locked_database_says_so
    ; servers_only:
    a_lock_that_is_not_given_says_so
}

async fn count(db: &TestDb) -> i64 {
    db.number("SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM audit_events)").await
}

fn changed() -> IssueEvent {
    IssueEvent::StatusChanged { from: Status::Open, to: Status::Closed }
}

async fn an_event_reads_back_as_it_was_recorded(db: &TestDb) {
    let (ada, issue) = (models::user(&**db, "Ada").await, models::issue(&**db, "Broken").await);
    let then: DateTime<Utc> = "2026-01-02T03:04:05.123456789Z".parse().unwrap();
    let before = Utc::now();
    let saved = issue
        .record(changed())
        .by(&ada)
        .at(then)
        .key("k\u{e4}y '\"")
        .correlation("request-1")
        .caused_by(EventRef::new("audit_events", 9))
        .context("ip", "::1")
        .context("deep", json!({"a": [1, null]}))
        .snapshot_value(&json!([1, "two"]))
        .save(&**db)
        .await
        .unwrap();
    assert_eq!(saved, Saved::Recorded(EventRef::new("events", 1)));

    let page = issue.feed::<IssueEvent>().page(&**db).await.unwrap();
    let event = page.entries[0].event().unwrap();
    assert_eq!(event.event, changed());
    assert_eq!(event.at, *saved.event().unwrap());
    assert_eq!(event.subject, subject_of::<IssueEvent, _>(&issue));
    assert_eq!(event.actor, Some(actor_of::<IssueEvent, _>(&ada)));
    assert_eq!((event.action.as_str(), event.version), ("status_changed", 1));
    assert_eq!(event.occurred_at, then - TimeDelta::nanoseconds(789));
    assert_eq!(event.idempotency_key.as_deref(), Some("k\u{e4}y '\""));
    assert_eq!(event.correlation_id.as_deref(), Some("request-1"));
    assert_eq!(event.causation, Some(EventRef::new("audit_events", 9)));
    assert_eq!(serde_json::to_value(&event.context).unwrap(), json!({"ip": "::1", "deep": {"a": [1, null]}}));
    assert_eq!(event.snapshot, Some(json!([1, "two"])));
    // SQLite's clock has milliseconds.
    assert!(event.created_at > before - TimeDelta::milliseconds(2) && event.created_at <= Utc::now());
}

async fn an_event_is_one_statement(db: &TestDb) {
    let issue = models::issue(&**db, "Broken").await;
    db.take_statements();
    issue.record(IssueEvent::Closed).by_system().save(&**db).await.unwrap();
    assert_eq!(db.take_statements().len(), 1);
    issue.record(IssueEvent::Closed).by_system().key("k").save(&**db).await.unwrap();
    assert_eq!(db.take_statements().len(), 1);
    issue.record(IssueEvent::Closed).by_system().key("k").save(&**db).await.unwrap();
    assert_eq!(db.take_statements().len(), 2);
}

async fn a_rollback_leaves_nothing(db: &TestDb) {
    let txn = db.begin().await.unwrap();
    let issue = models::issue(&txn, "Broken").await;
    issue.record(IssueEvent::Created).by_system().save(&txn).await.unwrap();
    record_many(&txn, [issue.record(IssueEvent::Closed).by_system()]).await.unwrap();
    txn.rollback().await.unwrap();
    assert_eq!(count(db).await, 0);
}

async fn nobody_and_nothing_are_refused(db: &TestDb) {
    let issue = models::issue(&**db, "Broken").await;
    db.take_statements();
    let error = issue.record(IssueEvent::Closed).save(&**db).await.unwrap_err();
    assert!(matches!(error, RecordError::Invalid(RecordingError::MissingActor { action: "closed", .. })), "{error}");
    let page = wiki_page::Model { slug: String::new(), number: None };
    let error = page.record(PageEvent::Created).by_system().save(&**db).await.unwrap_err();
    assert!(matches!(error, RecordError::Invalid(RecordingError::EmptySubject { .. })), "{error}");
    let error = issue.record(IssueEvent::Closed).by_system().key("").save(&**db).await.unwrap_err();
    assert!(matches!(error, RecordError::Invalid(RecordingError::BadText { .. })), "{error}");
    assert!(db.take_statements().is_empty());
}

async fn actors_can_be_of_several_kinds(db: &TestDb) {
    let robot = robot::Model { id: uuid::Uuid::from_u128(7) };
    let issue = models::issue(&**db, "Broken").await;
    issue.record(IssueEvent::Closed).by(&robot).save(&**db).await.unwrap();
    let page = IssueEvent::feed().by(&robot).page(&**db).await.unwrap();
    let robot = ActorRef::new("robot", "00000000-0000-0000-0000-000000000007");
    assert_eq!(page.entries[0].actor, Some(robot));
}

async fn the_same_event_under_the_same_key_is_recorded_once(db: &TestDb) {
    let issue = models::issue(&**db, "Broken").await;
    let recording = issue.record(changed()).by_system().key("request-1");
    let first = recording.clone().save(&**db).await.unwrap();
    // When it happened, and in what context, is told anew by each try.
    let again = recording.at(Utc::now() + TimeDelta::days(1)).context("try", 2).save(&**db).await.unwrap();
    assert!(first.is_new());
    assert_eq!(again, Saved::AlreadyRecorded(first.event().unwrap().clone()));
    assert_eq!(count(db).await, 1);
}

async fn another_event_under_the_same_key_is_refused(db: &TestDb) {
    let (ada, issue) = (models::user(&**db, "Ada").await, models::issue(&**db, "Broken").await);
    issue.record(IssueEvent::Commented { comment_id: 4711 }).by(&ada).key("secret-key").save(&**db).await.unwrap();
    let comment = |comment_id| IssueEvent::Commented { comment_id };
    let key = "secret-key";
    let actor = actor_of::<IssueEvent, _>(&ada);
    let cases: [(Draft, &str); 5] = [
        (comment(4711).on(issue.id + 1).by_ref(actor).key(key).into(), "subject"),
        (issue.record(comment(4712)).by(&ada).key(key).into(), "metadata"),
        (issue.record(comment(4711)).by_system().key(key).into(), "actor"),
        (issue.record(IssueEvent::Closed).by(&ada).key(key).into(), "action, metadata"),
        (PageEvent::Created.on("x").by_system().key(key).into(), "subject, action, metadata, actor"),
    ];
    for (draft, what) in cases {
        let error = record_many(&**db, [draft]).await.unwrap_err();
        let RecordError::KeyConflict { existing, differs, .. } = &error else { panic!("{error}") };
        assert_eq!((existing, differs.as_str()), (&EventRef::new("events", 1), what));
        assert!(!error.to_string().contains("47") && !error.to_string().contains("secret"), "{error}");
    }
    let error = issue.record(IssueEvent::Closed).by(&ada).key(key).save(&**db).await.unwrap_err();
    assert!(matches!(error, RecordError::KeyConflict { .. }));
    assert_eq!(count(db).await, 1);
}

async fn keys_belong_to_their_log(db: &TestDb) {
    let ada = models::user(&**db, "Ada").await;
    let in_shared = PageEvent::Created.on("home").by_system().key("k").save(&**db).await.unwrap();
    let in_audit = ada.record(AccountEvent::SignedIn).by(&ada).key("k").save(&**db).await.unwrap();
    assert!(in_shared.is_new() && in_audit.is_new());
    assert_eq!(in_audit.event().unwrap(), &EventRef::new("audit_events", 1));
}

async fn fifty_at_once_under_one_key_record_one(db: &TestDb) {
    let issue = models::issue(&**db, "Broken").await;
    let pool = db.another(8).await;
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (pool, recording) = (pool.clone(), issue.record(IssueEvent::Closed).by_system().key("once"));
            tokio::spawn(async move { recording.save(&pool).await.unwrap() })
        })
        .collect();
    let (mut new, mut ids) = (0, std::collections::BTreeSet::new());
    for task in tasks {
        let saved = task.await.unwrap();
        ids.insert(saved.event().unwrap().id);
        new += i32::from(saved.is_new());
    }
    assert_eq!((new, ids.len(), count(db).await), (1, 1, 1));
}

async fn many_are_recorded_in_order(db: &TestDb) {
    let ada = models::user(&**db, "Ada").await;
    PageEvent::Created.on("old").by_system().key("old").save(&**db).await.unwrap();
    let mut drafts: Vec<Draft> = vec![
        IssueEvent::Created.on(1).by_system().into(),
        ada.record(AccountEvent::SignedIn).by(&ada).key("a").into(),
        PageEvent::Created.on("old").by_system().key("old").into(),
        PageEvent::Created.on("new").by_system().key("new").into(),
        IssueEvent::Closed.on(1).by_system().into(),
        PageEvent::Created.on("new").by_system().key("new").into(),
        ada.record(AccountEvent::Deactivated).by(&ada).into(),
        ada.record(AccountEvent::SignedIn).by(&ada).key("a").into(),
    ];
    let saved = record_many(&**db, drafts.clone()).await.unwrap();
    let new: Vec<_> = saved.iter().map(Saved::is_new).collect();
    assert_eq!(new, [true, true, false, true, true, false, true, false]);
    let at = |index: usize| saved[index].event().unwrap();
    assert_eq!((at(2), at(5), at(7)), (&EventRef::new("events", 1), at(3), at(1)));
    // On servers an insert that finds its key there uses an id up.
    assert!(1 < at(0).id && at(0).id < at(3).id && at(3).id < at(4).id, "{saved:?}");
    assert!(at(1).log.as_str() == "audit_events" && at(1).id < at(6).id, "{saved:?}");
    // More than one statement's worth, keys among them, one across the chunks.
    drafts.truncate(0);
    drafts.extend((0..2_500).map(|n| {
        let recording = IssueEvent::Commented { comment_id: n }.on(n).by_system();
        Draft::from(if n % 3 == 0 { recording.key(format!("n{n}")) } else { recording })
    }));
    drafts.push(IssueEvent::Commented { comment_id: 0 }.on(0).by_system().key("n0").into());
    let saved = record_many(&**db, drafts).await.unwrap();
    assert_eq!(saved[2_500], Saved::AlreadyRecorded(saved[0].event().unwrap().clone()));
    let ids: Vec<_> = saved[..2_500].iter().map(|saved| saved.event().unwrap().id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b));
    // The ids are those of the very events.
    let subjects = db.rows("SELECT id, subject_id FROM events WHERE action = 'commented' ORDER BY id").await;
    assert_eq!(subjects, (0..).zip(&ids).map(|(n, id)| format!("{id} {n}")).collect::<Vec<_>>());
}

async fn many_are_recorded_wholly_or_not_at_all(db: &TestDb) {
    PageEvent::Created.on("old").by_system().key("old").save(&**db).await.unwrap();
    let good: Vec<Draft> = (0..1_500).map(|n: i64| IssueEvent::Created.on(n).by_system().into()).collect();

    // Wrong in itself: found before anything is sent.
    let mut drafts = good.clone();
    drafts.push(IssueEvent::Created.on(1).into());
    db.take_statements();
    let error = record_many(&**db, drafts).await.unwrap_err();
    assert!(matches!(error, RecordError::Invalid(_)));
    assert!(db.take_statements().is_empty());

    // Wrong by what is there: found after the first statement.
    let mut drafts = good.clone();
    drafts.push(PageEvent::Created.on("other").by_system().key("old").into());
    let error = record_many(&**db, drafts.clone()).await.unwrap_err();
    assert!(matches!(error, RecordError::KeyConflict { .. }));
    assert_eq!(count(db).await, 1);

    // In a transaction too, which goes on without them.
    let saved: Result<Saved, RecordError> = db
        .transact(async |txn| {
            assert!(record_many(txn, drafts).await.is_err());
            IssueEvent::Closed.on(1).by_system().save(txn).await
        })
        .await;
    assert!(saved.unwrap().is_new());
    assert_eq!(count(db).await, 2);

    // Two of one call that contradict each other.
    let first = IssueEvent::Created.on(1).by_system().key("k");
    let second = IssueEvent::Closed.on(1).by_system().key("k");
    let error = record_many(&**db, [first, second]).await.unwrap_err();
    assert!(matches!(error, RecordError::KeyConflict { .. }));
    assert_eq!(count(db).await, 2);
}

async fn many_of_nothing_is_nothing(db: &TestDb) {
    assert_eq!(record_many(&**db, Vec::<Draft>::new()).await.unwrap(), []);
}

async fn a_read_only_database_says_so(db: &TestDb) {
    let reader = db.read_only().await;
    let error = IssueEvent::Closed.on(1).by_system().save(&reader).await.unwrap_err();
    assert!(matches!(&error, RecordError::ReadOnly { log } if log == "events"), "{error:?}");
    let error = record_many(&reader, [IssueEvent::Closed.on(1).by_system()]).await.unwrap_err();
    assert!(matches!(&error, RecordError::ReadOnly { .. }), "{error:?}");
    assert!(any_feed().page(&reader).await.unwrap().entries.is_empty());
}

async fn a_locked_database_says_so(db: &TestDb) {
    let (reader, writer) = (db.another(1).await, db.another(1).await);
    // Reads, and then wants to write after another one wrote: no busy time-out helps.
    let txn = reader.begin().await.unwrap();
    models::issue::Entity::find().all(&txn).await.unwrap();
    IssueEvent::Closed.on(1).by_system().save(&writer).await.unwrap();
    let error = IssueEvent::Closed.on(1).by_system().save(&txn).await.unwrap_err();
    assert!(matches!(&error, RecordError::Locked { log, .. } if log == "events"), "{error:?}");
    assert!(error.to_string().contains("transact"));
    drop(txn);
    // Held for longer than the busy time-out.
    reader.execute_unprepared("PRAGMA busy_timeout = 50").await.unwrap();
    let held = writer.begin().await.unwrap();
    IssueEvent::Closed.on(1).by_system().save(&held).await.unwrap();
    let error = IssueEvent::Closed.on(1).by_system().save(&reader).await.unwrap_err();
    assert!(matches!(&error, RecordError::Locked { .. }), "{error:?}");
    let error = record_many(&reader, [IssueEvent::Closed.on(1).by_system()]).await.unwrap_err();
    assert!(matches!(&error, RecordError::Locked { .. }), "{error:?}");
}

async fn a_lock_that_is_not_given_says_so(db: &TestDb) {
    let (holder, waiter) = (db.another(1).await, db.another(1).await);
    let impatient = match db.kind() {
        Kind::MySql => "SET innodb_lock_wait_timeout = 1",
        _ => "SET lock_timeout = '50ms'",
    };
    waiter.execute_unprepared(impatient).await.unwrap();
    let held = holder.begin().await.unwrap();
    IssueEvent::Closed.on(1).by_system().key("k").save(&held).await.unwrap();
    let error = IssueEvent::Closed.on(1).by_system().key("k").save(&waiter).await.unwrap_err();
    assert!(matches!(&error, RecordError::Locked { log, .. } if log == "events"), "{error:?}");
    let error = record_many(&waiter, [IssueEvent::Closed.on(1).by_system().key("k")]).await.unwrap_err();
    assert!(matches!(&error, RecordError::Locked { .. }), "{error:?}");
    // Others are not held up.
    IssueEvent::Closed.on(1).by_system().key("l").save(&waiter).await.unwrap();
    held.commit().await.unwrap();
    assert!(!IssueEvent::Closed.on(1).by_system().key("k").save(&waiter).await.unwrap().is_new());
}

async fn a_missing_table_says_so(db: &TestDb) {
    db.drop_log("audit_events").await;
    let ada = models::user(&**db, "Ada").await;
    let error = ada.record(AccountEvent::SignedIn).by(&ada).save(&**db).await.unwrap_err();
    assert!(matches!(&error, RecordError::NotMigrated { log } if log == "audit_events"), "{error:?}");
    assert!(error.to_string().contains("migrate"));
    let error = any_feed().page(&**db).await.unwrap_err();
    assert!(matches!(&error, FeedError::NotMigrated { log } if log == "audit_events"), "{error:?}");
}

async fn a_save_beside_its_own_transaction_says_so(db: &TestDb) {
    let mut options = sea_orm::ConnectOptions::new(db.url());
    options.max_connections(1).acquire_timeout(std::time::Duration::from_millis(100));
    let pool = sea_orm::Database::connect(options).await.unwrap();
    let error = pool.transact(async |_txn| IssueEvent::Closed.on(1).by_system().save(&pool).await).await.unwrap_err();
    assert!(matches!(error, RecordError::NoConnection { .. }), "{error:?}");
}

async fn a_time_that_no_database_has_is_refused(db: &TestDb) {
    for time in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC, "-0001-01-01T00:00:00Z".parse().unwrap()] {
        let error = IssueEvent::Closed.on(1).by_system().at(time).save(&**db).await.unwrap_err();
        assert!(matches!(error, RecordError::Invalid(RecordingError::BadTime { .. })), "{error:?}");
    }
    for time in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"] {
        IssueEvent::Closed.on(1).by_system().at(time.parse().unwrap()).save(&**db).await.unwrap();
    }
    assert_eq!(IssueEvent::feed().page(&**db).await.unwrap().entries.len(), 2);
}

/// What is measured at an issue: numbers, and whatever a user sends.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, DomainEvent)]
#[event(subject(models::issue::Entity), log = "measured_events")]
enum MeasuredEvent {
    Measured { value: f64 },
    Received { body: serde_json::Value },
}

async fn numbers_read_back_as_they_were(db: &TestDb) {
    // A double that a careless parser reads back as its neighbour.
    let event = MeasuredEvent::Measured { value: 94.527_069_555_392_23 };
    assert!(event.clone().on(1).by_system().key("once").save(&**db).await.unwrap().is_new());
    let page = MeasuredEvent::feed().page(&**db).await.unwrap();
    assert_eq!(page.entries[0].event().unwrap().event, event);
    assert!(
        !event.on(1).by_system().key("once").save(&**db).await.unwrap().is_new(),
        "the same event, not another one"
    );
}

async fn metadata_that_could_not_be_read_back_is_refused(db: &TestDb) {
    let nested = |levels| (0..levels).fold(serde_json::Value::Null, |inner, _| serde_json::json!([inner]));
    MeasuredEvent::Received { body: nested(90) }.on(1).by_system().save(&**db).await.unwrap();
    let error = MeasuredEvent::Received { body: nested(200) }.on(1).by_system().save(&**db).await.unwrap_err();
    assert!(error.to_string().contains("nested 201 levels deep"), "{error}");
    MeasuredEvent::feed().page(&**db).await.unwrap().entries[0].event().unwrap();
}
