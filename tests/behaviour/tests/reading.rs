//! Reading for the dispatcher, whichever way the database is asked: what is delivered is what stands in the log.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, Mutex};

use behaviour::models::{self, IssueEvent, issue, user};
use behaviour::raw::RawEvent;
use behaviour::{TestDb, on_every_database};
use event_sea_orm::TestKit;
use event_sea_orm::prelude::*;
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

on_every_database! {
    what_is_delivered_is_what_the_feed_shows
    a_row_that_can_not_be_read_hides_none_of_its_page
    ; sqlite_only:
    a_page_is_one_value
    a_value_of_another_kind_hides_none_of_its_page
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, name = "note"), actor(user::Entity))]
enum NoteEvent {
    Written { text: String, more: Value },
    Erased,
}

/// What the inbox was given.
#[derive(Clone, Default)]
struct Delivered(Arc<Mutex<Vec<StoredEvent>>>);

#[inbox(start = beginning)]
async fn reader(event: AnyEvent, State(delivered): State<Delivered>) -> InboxResult {
    delivered.0.lock().unwrap().push(StoredEvent::clone(&event));
    handled()
}

impl Delivered {
    /// Delivers all that there is.
    async fn of(db: &TestDb) -> Self {
        let delivered = Self::default();
        let state = delivered.clone();
        let kit = TestKit::new(&**db, |dispatcher| dispatcher.state(state).only(["reader"])).await.unwrap();
        kit.drain().await.unwrap();
        delivered
    }

    fn events(&self) -> Vec<StoredEvent> {
        let mut events = self.0.lock().unwrap().clone();
        events.sort_by_key(StoredEvent::id);
        events
    }

    fn ids(&self) -> Vec<i64> {
        self.events().iter().map(StoredEvent::id).collect()
    }
}

/// Texts that are written in JSON, SQL or UTF-8 in more ways than one.
const ODD: [&str; 8] = [
    "",
    "[1]\"}",
    "O'Brien \\ \"quoted\"",
    "{\"a\":1}[2,",
    "Zoë 🦀 \u{2028}",
    "line\nend\ttab",
    "\u{7f}\u{1}",
    "12:,|",
];

async fn what_is_delivered_is_what_the_feed_shows(db: &TestDb) {
    let ada = models::user(&**db, "Ada").await;
    let issue = models::issue(&**db, "Zoë's \"issue\" 🦀").await;
    for (n, text) in ODD.into_iter().enumerate() {
        let more = json!({ text: [null, true, -7, 18_446_744_073_709_551_615_u64, 0.1, text], "deep": [[[{}]]] });
        let written = NoteEvent::Written { text: text.to_owned(), more };
        written.on(format!("id {n} \"ü\"")).by(&ada).context("odd", text).save(&**db).await.unwrap();
        let erased = NoteEvent::Erased.on(n.to_string()).by_system().key(format!("key \"{n}\" 🦀"));
        erased.correlation("c'orr\"").caused_by(EventRef::new("other \"log\"", 9)).save(&**db).await.unwrap();
    }
    issue
        .record(IssueEvent::Created)
        .by(&ada)
        .snapshot_value(&json!({"title": issue.title, "n": [1, 2.5]}))
        .save(&**db)
        .await
        .unwrap();
    RawEvent::of("known_to_nobody", 7, "{\"a\" : 1}")
        .of_subject("a \"kind\" of nobody's".replace('\'', "''").as_str())
        .write(db)
        .await
        .unwrap();
    let batch = Batch::begin(&**db, "an import").await.unwrap();
    let drafts: Vec<_> = (0..3).map(|n| NoteEvent::Erased.on(n).by(&ada)).collect();
    batch.run(record_many(&**db, drafts)).await.unwrap();

    let delivered = Delivered::of(db).await.events();
    assert_eq!(delivered.len(), 2 * ODD.len() + 5);
    // By rows, on every database.
    let feed = any_feed().with::<NoteEvent>().with::<IssueEvent>().limit(100).page(&**db).await.unwrap();
    let mut shown: Vec<StoredEvent> = feed.entries.iter().map(|entry| (**entry).clone()).collect();
    shown.sort_by_key(StoredEvent::id);
    assert_eq!(delivered, shown);
    for (event, text) in delivered.iter().step_by(2).zip(ODD) {
        let NoteEvent::Written { text: read, more } = event.decode().unwrap() else { panic!("{event:?}") };
        assert_eq!((read.as_str(), &more[text][5]), (text, &json!(text)));
    }
}

async fn a_row_that_can_not_be_read_hides_none_of_its_page(db: &TestDb) {
    IssueEvent::Created.on(1).by_system().save(&**db).await.unwrap();
    RawEvent::of("closed", -1, "{}").write(db).await.unwrap();
    IssueEvent::Created.on(2).by_system().save(&**db).await.unwrap();
    assert_eq!(Delivered::of(db).await.ids(), [1, 3]);
}

/// Or SQLite is read by rows, and nobody notices but who has a backlog.
async fn a_page_is_one_value(db: &TestDb) {
    for (n, text) in ODD.into_iter().enumerate() {
        let written = NoteEvent::Written { text: text.to_owned(), more: json!(text) };
        written.on(format!("{n} \"ü\"")).by_system().context("odd", text).save(&**db).await.unwrap();
    }
    db.take_statements();
    assert_eq!(Delivered::of(db).await.ids().len(), ODD.len());
    let reads = db.take_statements().into_iter().filter(|statement| statement.sql.contains("metadata"));
    let (packed, by_rows): (Vec<_>, Vec<_>) = reads.partition(|statement| statement.sql.contains("group_concat"));
    assert!(!packed.is_empty() && by_rows.is_empty(), "{by_rows:?}");
}

/// SQLite's columns hold whatever they are given, and JSON not all of it.
async fn a_value_of_another_kind_hides_none_of_its_page(db: &TestDb) {
    IssueEvent::Created.on(1).by_system().save(&**db).await.unwrap();
    for (subject, key) in [("x'32'", "'k1'"), ("'3'", "x'6b32'"), ("'4'", "x'ff'")] {
        let columns = "subject_type, subject_id, action, version, metadata, occurred_at, idempotency_key";
        let time = "'2030-01-01T00:00:00+00:00'";
        let values = format!("'issue', {subject}, 'created', 1, '{{}}', {time}, {key}");
        db.execute_unprepared(&format!("INSERT INTO events ({columns}) VALUES ({values})")).await.unwrap();
        IssueEvent::Created.on(9).by_system().save(&**db).await.unwrap();
    }
    let delivered = Delivered::of(db).await;
    assert_eq!(delivered.ids(), [1, 2, 3, 4, 5, 7], "all but the one whose key is no text at all");
    let events = delivered.events();
    assert_eq!((events[1].subject.id.as_str(), events[3].idempotency_key.as_deref()), ("2", Some("k2")));
}
