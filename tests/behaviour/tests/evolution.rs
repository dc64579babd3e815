//! Events that were stored in the past: under other names of their actions, and older versions of their metadata.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt;

use behaviour::models::{self, issue, robot, user};
use behaviour::raw::RawEvent;
use behaviour::seen::Seen;
use behaviour::{TestDb, on_every_empty_database};
use event_sea_orm::TestKit;
use event_sea_orm::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

on_every_empty_database! {
    old_rows_are_delivered_to_inboxes_as_the_events_of_today
    filters_know_every_name_of_an_action
    feeds_find_old_rows_by_todays_actions
    summaries_are_of_todays_fields
    a_failing_upcast_is_a_dead_letter_with_the_reason
    a_newer_version_waits_until_it_is_deployed
    a_key_is_the_same_events_under_an_alias_and_an_older_version
    a_key_is_anothers_when_the_upcast_event_differs
    assertions_see_the_event_of_today
    rows_of_a_table_of_its_own_are_read_as_today
}

/// Parcels, as this program knows them: `moved` was once `shipped`, and before that `sent`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, name = "parcel", label = title), actor(user::Entity, label = name))]
enum ParcelEvent {
    #[event(alias = "shipped", alias = "sent", version = 3, upcast(1 = v1_to_v2, 2 = Self::v2_to_v3))]
    #[event(summary = "{actor} moved {subject} to {place.city}, {grams} g")]
    Moved {
        place: Place,
        grams: u64,
    },
    Opened,
    #[event(version = 2)]
    Weighed {
        grams: u64,
        #[serde(default)]
        scale: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Place {
    city: String,
}

/// Another enum of the same subject, with an action of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, name = "parcel"), actor(robot::Entity))]
enum ScannerEvent {
    Scanned,
}

/// Another subject in the same log, of which `sent` is an action of today.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, name = "letter"), actor(user::Entity))]
enum LetterEvent {
    Sent,
}

/// A table of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, label = title), actor(user::Entity, label = name), table = "crate_events")]
enum CrateEvent {
    #[event(alias = "shut", version = 2, upcast(1 = add_reason))]
    Closed { reason: String },
}

/// Once the weight was in kilograms.
fn v1_to_v2(mut metadata: Metadata) -> Result<Metadata, Overweight> {
    let kilos = metadata.remove("kilos").and_then(|kilos| kilos.as_u64()).ok_or(Overweight)?;
    metadata.insert("grams".into(), kilos.checked_mul(1000).ok_or(Overweight)?.into());
    Ok(metadata)
}

#[derive(Debug)]
struct Overweight;

impl fmt::Display for Overweight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("secret: too heavy")
    }
}

impl ParcelEvent {
    /// Once the place was a city.
    fn v2_to_v3(mut metadata: Metadata) -> Metadata {
        let city = metadata.remove("city").unwrap_or_default();
        metadata.insert("place".into(), json!({ "city": city }));
        metadata
    }
}

fn add_reason(mut metadata: Metadata) -> Metadata {
    metadata.insert("reason".into(), "not said".into());
    metadata
}

fn moved(city: &str, grams: u64) -> ParcelEvent {
    ParcelEvent::Moved { place: Place { city: city.into() }, grams }
}

/// Every table: the models' first, to which one of the logs refers.
async fn prepare(db: &TestDb) {
    models::create_tables(db).await;
    event_sea_orm::migrate(db).await.unwrap();
}

/// What was stored over the years, oldest first: ids 1 to 6.
async fn store_the_past(db: &TestDb) {
    let rows = [
        ("parcel", "sent", 1, json!({"city": "Rome", "kilos": 1})),
        ("parcel", "shipped", 2, json!({"city": "Oslo", "grams": 2})),
        ("parcel", "moved", 3, json!({"place": {"city": "Bern"}, "grams": 3})),
        ("parcel", "opened", 1, json!({})),
        ("parcel", "scanned", 1, json!({})),
        ("letter", "sent", 1, json!({})),
    ];
    for (kind, action, version, metadata) in rows {
        RawEvent::of(action, version, &metadata.to_string()).of_subject(kind).write(db).await.unwrap();
    }
}

/// The three as they are today.
fn todays() -> [ParcelEvent; 3] {
    [moved("Rome", 1000), moved("Oslo", 2), moved("Bern", 3)]
}

#[inbox(start = beginning, concurrency = 1)]
async fn every_parcel(event: Event<ParcelEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note(format!("every {} {:?}", event.id(), event.event));
    handled()
}

#[inbox(on(Moved), when = is_heavy, start = beginning, concurrency = 1)]
async fn moved_parcels(event: Event<ParcelEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note(format!("moved {} {:?}", event.id(), event.event));
    handled()
}

fn is_heavy(event: &Event<ParcelEvent>) -> bool {
    matches!(event.event, ParcelEvent::Moved { grams, .. } if grams > 2)
}

#[inbox(on(ParcelEvent::Moved, LetterEvent::Sent), start = beginning, concurrency = 1)]
async fn moved_anythings(event: AnyEvent, State(seen): State<Seen>) -> InboxResult {
    seen.note(format!("any {} {}", event.id(), event.action));
    handled()
}

#[inbox(start = beginning)]
async fn scans(event: Event<ScannerEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note(format!("scan {} {}", event.id(), event.action));
    handled()
}

fn those_with(seen: &Seen, start: &str) -> Vec<String> {
    seen.lines().into_iter().filter(|line| line.starts_with(start)).collect()
}

async fn kit(db: &TestDb, seen: &Seen) -> TestKit {
    models::issue(&**db, "Books").await;
    TestKit::new(&**db, |dispatcher| {
        dispatcher.state(seen.clone()).only(["every_parcel", "moved_parcels", "moved_anythings", "scans"])
    })
    .await
    .unwrap()
}

async fn old_rows_are_delivered_to_inboxes_as_the_events_of_today(db: &TestDb) {
    prepare(db).await;
    let seen = Seen::default();
    let kit = kit(db, &seen).await;
    store_the_past(db).await;
    assert_eq!(kit.drain().await.unwrap().total().dead, 0);
    let [rome, oslo, bern] = todays();
    let mut expected: Vec<_> =
        [(1, rome), (2, oslo), (3, bern)].iter().map(|(id, event)| format!("every {id} {event:?}")).collect();
    expected.push("every 4 Opened".to_owned());
    assert_eq!(those_with(&seen, "every"), expected);
}

async fn filters_know_every_name_of_an_action(db: &TestDb) {
    prepare(db).await;
    let seen = Seen::default();
    let kit = kit(db, &seen).await;
    store_the_past(db).await;
    kit.drain().await.unwrap();
    let [rome, _, bern] = todays();
    assert_eq!(those_with(&seen, "moved"), [format!("moved 1 {rome:?}"), format!("moved 3 {bern:?}")]);
    assert_eq!(those_with(&seen, "any"), ["any 1 sent", "any 2 shipped", "any 3 moved", "any 6 sent"]);
    assert_eq!(those_with(&seen, "scan"), ["scan 5 scanned"], "an alias of another enum's action is not this one's");
}

async fn feeds_find_old_rows_by_todays_actions(db: &TestDb) {
    prepare(db).await;
    let issue = models::issue(&**db, "Books").await;
    store_the_past(db).await;
    let feeds = [
        ParcelEvent::feed().actions([ParcelEventAction::Moved]),
        issue.feed::<ParcelEvent>().actions([ParcelEventAction::Moved]),
    ];
    let [rome, oslo, bern] = todays();
    for feed in feeds {
        let page = feed.page(&**db).await.unwrap();
        let events: Vec<_> = page.entries.iter().map(|entry| entry.event().unwrap().event.clone()).collect();
        assert_eq!(events, [bern.clone(), oslo.clone(), rome.clone()]);
    }
    let ids = async |feed: AnyFeed| {
        let page = feed.page(&**db).await.unwrap();
        page.entries.iter().map(|entry| entry.id()).collect::<Vec<_>>()
    };
    assert_eq!(ids(any_feed().actions(["moved"])).await, [3, 2, 1], "not the letter that was sent");
    assert_eq!(ids(any_feed().actions(["sent"])).await, [6, 3, 2, 1], "by an old name too, of whatever has it");
    assert_eq!(ids(any_feed().of_ref(SubjectRef::new("parcel", 1)).actions(["moved"])).await, [3, 2, 1]);
    assert!(ids(any_feed().of_ref(SubjectRef::new("letter", 1)).actions(["moved"])).await.is_empty());
    let others = ScannerEvent::feed().page(&**db).await.unwrap();
    assert_eq!(others.entries.iter().map(|entry| entry.id()).collect::<Vec<_>>(), [5]);
}

async fn summaries_are_of_todays_fields(db: &TestDb) {
    prepare(db).await;
    models::issue(&**db, "Books").await;
    store_the_past(db).await;
    RawEvent::of("shipped", 1, r#"{"kilos": "secret"}"#).of_subject("parcel").write(db).await.unwrap();
    let page = any_feed().with::<ParcelEvent>().page(&**db).await.unwrap();
    let summaries: Vec<_> = page.entries.iter().rev().map(AnyEntry::summary).collect();
    assert_eq!(summaries[0], "system moved Books to Rome, 1000 g");
    assert_eq!(summaries[1], "system moved Books to Oslo, 2 g");
    assert_eq!(summaries[6], "system moved Books to nothing, nothing g", "what can't be brought to today");
}

async fn a_failing_upcast_is_a_dead_letter_with_the_reason(db: &TestDb) {
    prepare(db).await;
    let seen = Seen::default();
    let kit = kit(db, &seen).await;
    RawEvent::of("sent", 1, r#"{"city": "Rome", "kilos": "Ada"}"#).of_subject("parcel").write(db).await.unwrap();
    // The steps end well, and what they give is no event.
    RawEvent::of("sent", 2, r#"{"city": 7, "grams": 1}"#).of_subject("parcel").write(db).await.unwrap();
    kit.drain().await.unwrap();
    let mut dead: Vec<_> = kit.dead_letters().await.unwrap().into_iter().map(|dead| dead.failure).collect();
    dead.retain(|failure| failure.key.inbox == "every_parcel");
    dead.sort_by_key(|failure| failure.key.event.id);
    let errors: Vec<_> = dead.iter().map(|failure| (failure.attempts, failure.error.as_str())).collect();
    assert_eq!(
        errors,
        [
            (
                1,
                "metadata of `ParcelEvent`, action `moved`, stored as version 1: the upcast from version 1 to the next: it \
                 refused (its message is left out, since it may quote a value)"
            ),
            (1, "metadata of `ParcelEvent`, action `sent`: at `place.city`: invalid type: integer, expected a string"),
        ]
    );
    assert_eq!(those_with(&seen, "every"), Vec::<String>::new());
    let page = ParcelEvent::feed().page(&**db).await.unwrap();
    let error = page.entries.iter().find(|entry| entry.id() == 1).unwrap().event().unwrap_err();
    assert!(matches!(error, DecodeError::Upcast { event: "ParcelEvent", version: 1, from: 1, .. }), "{error:?}");
}

async fn a_newer_version_waits_until_it_is_deployed(db: &TestDb) {
    prepare(db).await;
    let seen = Seen::default();
    let kit = kit(db, &seen).await;
    RawEvent::of("shipped", 4, "{}").of_subject("parcel").write(db).await.unwrap();
    assert_eq!(kit.drain().await.unwrap().total().failed, 0);
    assert_eq!(kit.dead_letters().await.unwrap(), []);
    let rows = db.rows("SELECT inbox, state, attempts FROM event_failures ORDER BY inbox").await;
    assert_eq!(rows, ["every_parcel waiting 0", "moved_parcels waiting 0"]);
    let error = db.text("SELECT error FROM event_failures WHERE inbox = 'every_parcel'").await;
    assert!(error.contains("`shipped` of subject `parcel` in log `events` up to version 3"), "{error}");
}

async fn a_key_is_the_same_events_under_an_alias_and_an_older_version(db: &TestDb) {
    prepare(db).await;
    let old = [
        ("alias", "shipped", 3, json!({"place": {"city": "Bern"}, "grams": 3}), moved("Bern", 3)),
        ("version", "moved", 2, json!({"city": "Oslo", "grams": 2}), moved("Oslo", 2)),
        ("both", "sent", 1, json!({"city": "Rome", "kilos": 1}), moved("Rome", 1000)),
        ("no step", "weighed", 1, json!({"grams": 5}), ParcelEvent::Weighed { grams: 5, scale: None }),
    ];
    for (key, action, version, metadata, today) in old {
        let row = RawEvent::of(action, version, &metadata.to_string()).of_subject("parcel").key(key);
        row.write(db).await.unwrap();
        let saved = today.on(1).by_system().key(key).save(&**db).await.unwrap();
        assert!(matches!(saved, Saved::AlreadyRecorded(_)), "{key}: {saved:?}");
    }
}

async fn a_key_is_anothers_when_the_upcast_event_differs(db: &TestDb) {
    prepare(db).await;
    let old: [(_, _, _, Value, _); 4] = [
        ("grams", "sent", 1, json!({"city": "Rome", "kilos": 2}), "version, metadata"),
        ("action", "opened", 1, json!({}), "action, version, metadata"),
        ("upcast", "sent", 1, json!({}), "version, metadata"),
        ("newer", "moved", 4, json!({"place": {"city": "Rome"}, "grams": 1000}), "version"),
    ];
    for (key, action, version, metadata, what) in old {
        let row = RawEvent::of(action, version, &metadata.to_string()).of_subject("parcel").key(key);
        row.write(db).await.unwrap();
        let error = moved("Rome", 1000).on(1).by_system().key(key).save(&**db).await.unwrap_err();
        let RecordError::KeyConflict { differs, .. } = &error else { panic!("{error}") };
        assert_eq!(differs, what, "{key}");
    }
}

async fn assertions_see_the_event_of_today(db: &TestDb) {
    prepare(db).await;
    let seen = Seen::default();
    let kit = kit(db, &seen).await;
    store_the_past(db).await;
    for event in todays() {
        kit.assert_recorded(&event).await;
    }
    let rome = kit.assert_recorded_with(ParcelEventAction::Moved, json!({"place": {"city": "Rome"}})).await;
    assert_eq!((rome.id(), rome.action.as_str(), rome.version), (1, "sent", 1), "what is stored stays as it is");
    assert_eq!(kit.recorded::<ParcelEvent>().await.len(), 4);
    kit.assert_not_recorded(ParcelEventAction::Weighed).await;
}

async fn rows_of_a_table_of_its_own_are_read_as_today(db: &TestDb) {
    prepare(db).await;
    use sea_orm::{ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _};

    let issue = models::issue(&**db, "Books").await;
    let time = db.time("2030-01-01T00:00:00+00:00");
    db.execute_unprepared(&format!(
        "INSERT INTO crate_events (subject_id, action, version, metadata, occurred_at) VALUES ({}, 'shut', 1, '{{}}', {time})",
        issue.id
    ))
    .await
    .unwrap();
    CrateEvent::Closed { reason: "sold".into() }.on(issue.id).by_system().save(&**db).await.unwrap();
    let page = issue.feed::<CrateEvent>().actions([CrateEventAction::Closed]).page(&**db).await.unwrap();
    let reasons: Vec<_> = page.entries.iter().map(|entry| entry.event().unwrap().event.clone()).collect();
    let closed = |reason: &str| CrateEvent::Closed { reason: reason.into() };
    assert_eq!(reasons, [closed("not said"), closed("sold")]);
    assert_eq!(any_feed().actions(["closed"]).logs(["crate_events"]).page(&**db).await.unwrap().entries.len(), 2);
    // In queries of one's own.
    let names = CrateEventAction::Closed.descriptor().names();
    let rows = crate_event::Entity::find().filter(crate_event::Column::Action.is_in(names)).all(&**db).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(CrateEventAction::from_name("shut"), Some(CrateEventAction::Closed));
}
