//! Large events, and many at once: reads end at their bounds, and what is larger than events may be is refused before it is
//! written.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, Mutex};

use behaviour::models::{self, IssueEvent, issue, user};
use behaviour::{TestDb, on_every_database};
use event_core::cursor::IdSet;
use event_core::storage::{Read, ReadPage, Storage};
use event_core::{EVENT_BYTES_DEFAULT, LogName, RecordingError};
use event_sea_orm::prelude::*;
use event_sea_orm::{SeaStorage, TestKit};
use sea_orm::EntityTrait as _;
use serde::{Deserialize, Serialize};
use serde_json::json;

on_every_database! {
    a_read_ends_at_its_bounds
    any_read_is_a_part_of_what_it_was_asked_for
    large_events_are_delivered_each_once
    what_is_too_large_is_refused_however_it_is_recorded
    ; sqlite_only:
    large_events_cost_few_statements
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, name = "page"), actor(user::Entity))]
enum PageEvent {
    Written { text: String },
}

#[derive(Clone, Default)]
struct Delivered(Arc<Mutex<Vec<i64>>>);

#[inbox(start = beginning, concurrency = 1)]
async fn page_reader(event: Event<PageEvent>, State(delivered): State<Delivered>) -> InboxResult {
    delivered.0.lock().unwrap().push(event.id());
    handled()
}

const KIB: usize = 1 << 10;

/// Events with texts of so many bytes; their ids are their places, from 1.
async fn write(db: &TestDb, sizes: impl IntoIterator<Item = usize>) {
    let written = |bytes| PageEvent::Written { text: "x".repeat(bytes) }.on(1).by_system();
    record_many(&**db, sizes.into_iter().map(written)).await.unwrap();
}

async fn read(db: &TestDb, after: Option<i64>, also: &str, limit: u64, max_bytes: usize) -> ReadPage {
    let (log, also): (_, IdSet) = (LogName::from("events"), also.parse().unwrap());
    SeaStorage::from(&**db).read(Read { log: &log, after, also: &also, limit, max_bytes }).await.unwrap()
}

fn ids(page: &ReadPage) -> String {
    page.events.iter().map(|event| event.as_ref().unwrap().id()).collect::<IdSet>().to_string()
}

async fn a_read_ends_at_its_bounds(db: &TestDb) {
    // Small ones, ten of 100 KiB, small ones.
    write(db, (1..=30).map(|id| if (11..=20).contains(&id) { 100 * KIB } else { 10 })).await;
    const MIB: usize = 1 << 20;
    for (after, also, limit, max_bytes, found, cut) in [
        // An event takes about four times the bytes of its text: three of the large ones are more than 1 MiB.
        (Some(0), "", 1_000, MIB, "1-13", Some(13)),
        (Some(13), "", 1_000, MIB, "14-16", Some(16)),
        (Some(19), "", 1_000, MIB, "20-30", None),
        (Some(10), "", 1_000, 1, "11", Some(11)),
        (Some(0), "", 7, MIB, "1-7", Some(7)),
        (Some(23), "", 7, MIB, "24-30", Some(30)),
        (Some(24), "", 7, MIB, "25-30", None),
        // With ids looked for again: they count, too, and come first.
        (Some(28), "2-4,6", 1_000, MIB, "2-4,6,29-30", None),
        (Some(28), "2-4,6", 5, MIB, "2-4,6,29", Some(29)),
        (Some(28), "2-4,6", 4, MIB, "2-4,6", Some(6)),
        (Some(28), "2-4,6", 3, MIB, "2-4", Some(4)),
        (Some(28), "2-26", 3, MIB, "2-4", Some(4)),
        (Some(28), "9-16,18", 1_000, MIB, "9-13", Some(13)),
        (Some(28), "9-16,18,28", 1_000, MIB, "9-13", Some(13)),
        // Those alone.
        (None, "2-4,6", 1_000, MIB, "2-4,6", None),
        (None, "2-30", 2, MIB, "2-3", Some(3)),
        (None, "2,4,6-8", 4, MIB, "2,4,6-7", Some(7)),
        (None, "11-20", u64::MAX, MIB, "11-13", Some(13)),
        (None, "31-99", 10, MIB, "", None),
    ] {
        let page = read(db, after, also, limit, max_bytes).await;
        assert_eq!((ids(&page).as_str(), page.cut_after), (found, cut), "after {after:?}, also {also:?}, {limit}");
        assert!(page.events.is_empty() || page.bytes > 0);
    }
}

/// However it is asked: sorted, without an id that was not asked for, and complete up to its cut.
async fn any_read_is_a_part_of_what_it_was_asked_for(db: &TestDb) {
    let sizes: Vec<usize> = (0..60).map(|id| [10, 5 * KIB, 17 * KIB, 60 * KIB][id % 7 % 4]).collect();
    write(db, sizes).await;
    for seed in 0..60 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let after = dice.bool().then(|| dice.i64(0..62));
        let often = dice.u8(1..6);
        let also: IdSet = (1..=after.unwrap_or(60)).filter(|_| dice.u8(0..6) < often).collect();
        let (limit, max_bytes) = (dice.u64(1..40), dice.usize(0..2_000 * KIB));
        let page = read(db, after, &also.to_string(), limit, max_bytes).await;
        let found: Vec<_> = page.events.iter().map(|event| event.as_ref().unwrap().id()).collect();
        let cut = page.cut_after.unwrap_or(i64::MAX);
        let asked = (1..=60).filter(|&id| also.contains(id) || after.is_some_and(|after| id > after));
        assert_eq!(found, asked.filter(|&id| id <= cut).collect::<Vec<_>>(), "seed {seed}: {after:?} {also} {limit}");
        assert!(found.len() as u64 <= limit);
        assert_eq!(page.cut_after, page.cut_after.and(found.last().copied()));
    }
}

async fn deliver(db: &TestDb) -> Vec<i64> {
    let delivered = Delivered::default();
    let state = delivered.clone();
    let kit = TestKit::new(&**db, |dispatcher| dispatcher.state(state).only(["page_reader"])).await.unwrap();
    kit.drain().await.unwrap();
    let mut ids = delivered.0.lock().unwrap();
    std::mem::take(&mut *ids)
}

async fn large_events_are_delivered_each_once(db: &TestDb) {
    write(db, (0..120).map(|id| if id % 3 == 0 { 200 * KIB } else { 10 })).await;
    assert_eq!(deliver(db).await, (1..=120).collect::<Vec<_>>());
}

/// Pages of large events are one value, too, once it is known that they are large; only the first is read twice.
async fn large_events_cost_few_statements(db: &TestDb) {
    write(db, std::iter::repeat_n(100 * KIB, 100)).await;
    db.take_statements();
    assert_eq!(deliver(db).await.len(), 100);
    let statements = db.take_statements();
    let reads = |packed: bool| {
        let is_read =
            |sql: &str| sql.contains("FROM `events` WHERE id >") || sql.contains("FROM \"events\" WHERE id >");
        let of = |sql: &str| is_read(sql) && sql.contains("metadata") && sql.contains("group_concat") == packed;
        statements.iter().filter(|statement| of(&statement.sql)).count()
    };
    // About ten events to a page of 4 MiB.
    assert!((8..20).contains(&reads(true)), "{} pages", reads(true));
    assert!(reads(false) <= 1, "{} by rows", reads(false));
}

async fn what_is_too_large_is_refused_however_it_is_recorded(db: &TestDb) {
    let large = "x".repeat(EVENT_BYTES_DEFAULT);
    let issue = models::issue(&**db, "a").await;
    let too_large = |result: Result<(), RecordError>| match result {
        Err(RecordError::Invalid(error @ RecordingError::TooLarge { bytes, most, .. })) => {
            assert!(bytes > most && most == EVENT_BYTES_DEFAULT);
            assert!(!error.to_string().contains("xxx"), "no value in an error");
        }
        other => panic!("{other:?}"),
    };
    let written = PageEvent::Written { text: large.clone() }.on(1).by_system();
    too_large(written.clone().save(&**db).await.map(drop));
    too_large(db.transact(async |txn| written.clone().save(txn).await).await.map(drop));
    too_large(written.clone().throttle(std::time::Duration::from_secs(9)).save(&**db).await.map(drop));
    let small = || PageEvent::Written { text: String::new() }.on(1).by_system();
    too_large(record_many(&**db, [small(), written]).await.map(drop));
    too_large(small().snapshot_value(&json!({ "title": large })).save(&**db).await.map(drop));
    too_large(small().context("page", &*large).save(&**db).await.map(drop));
    let scope = EventContext::new().field("page", &*large);
    too_large(with_context(scope, small().save(&**db)).await.map(drop));
    // Together they are too large.
    let half = &large[large.len() / 2..];
    too_large(small().context("page", half).snapshot_value(&json!(half)).save(&**db).await.map(drop));
    // The rows stay as they are.
    let text = large.as_str();
    let draft = |_: &issue::Model, after: &issue::Model| {
        Draft::from(after.record(IssueEvent::Closed).by_system().context("why", text))
    };
    let changed = issue::Entity::update_all().set(issue::Column::Title, "b").record(&**db, draft).await;
    too_large(changed.map(drop));
    assert_eq!(issue::Entity::find_by_id(issue.id).one(&**db).await.unwrap().unwrap().title, "a");
    assert_eq!(db.number("SELECT count(*) FROM events").await, 0);
    // What is just small enough is read back.
    let text = "x".repeat(EVENT_BYTES_DEFAULT - 20);
    PageEvent::Written { text }.on(1).by_system().save(&**db).await.unwrap();
    assert_eq!(deliver(db).await, [1]);
}
