//! Texts that a database may take for one another (case, accents, trailing spaces, width) are told apart wherever they name something.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use behaviour::models::{self, PageEvent, wiki_page};
use behaviour::{TestDb, on_every_database};
use event_sea_orm::prelude::*;
use sea_orm::{ActiveModelTrait, ActiveValue::Set};

on_every_database! {
    subjects_and_actors
    idempotency_keys
    throttles
    correlation_ids_and_batches
    failures_of_their_subjects
    a_subject_is_the_very_row
}

/// The first, and what common collations take for it.
const ALIKE: [&str; 6] =
    ["stra\u{df}e a", "strasse a", "Strasse a", "strasse \u{e1}", "strasse a ", "strasse \u{ff41}"];

fn edited(lines: u32) -> PageEvent {
    PageEvent::Edited { lines }
}

async fn subjects_and_actors(db: &TestDb) {
    for text in ALIKE {
        PageEvent::Created.on(text).by_ref(ActorRef::new("user", text)).save(&**db).await.unwrap();
    }
    for text in ALIKE {
        let of = any_feed().of_ref(SubjectRef::new("wiki_page", text)).page(&**db).await.unwrap();
        let by = any_feed().by_ref(ActorRef::new("user", text)).page(&**db).await.unwrap();
        let by_two = any_feed().by_refs([text, "x"].map(|id| ActorRef::new("user", id))).page(&**db).await.unwrap();
        for page in [of, by, by_two] {
            let found: Vec<_> = page.entries.iter().map(|entry| entry.subject.id.clone()).collect();
            assert_eq!(found, [text]);
        }
    }
}

async fn idempotency_keys(db: &TestDb) {
    for (lines, key) in (0..).zip(ALIKE) {
        let saved = edited(lines).on("a").by_system().key(key).save(&**db).await.unwrap();
        assert!(saved.is_new(), "{key}");
    }
    let again = (0..).zip(ALIKE).map(|(lines, key)| edited(lines).on("a").by_system().key(key));
    let saved = record_many(&**db, again).await.unwrap();
    let ids: Vec<_> = saved.iter().map(|saved| saved.event().unwrap().id).collect();
    let mut each = ids.clone();
    each.dedup();
    assert!(!saved.iter().any(Saved::is_new) && each.len() == ALIKE.len(), "{ids:?}");
}

async fn throttles(db: &TestDb) {
    let hour = Duration::from_secs(3_600);
    for _ in 0..2 {
        for text in ALIKE {
            PageEvent::Created.on("a").by_system().throttle(Throttle::per_key(hour, text)).save(&**db).await.unwrap();
            PageEvent::Created.on(text).by_system().throttle(Throttle::per_subject(hour)).save(&**db).await.unwrap();
        }
    }
    assert_eq!(db.number("SELECT count(*) FROM events").await, 12);
}

async fn correlation_ids_and_batches(db: &TestDb) {
    for text in ALIKE {
        let context = EventContext::new().by_system().batch(text).correlation(text);
        with_context(context, PageEvent::Created.on(text).save(&**db)).await.unwrap();
    }
    for text in ALIKE {
        let tree = EventTree::correlated(&**db, text).await.unwrap();
        assert_eq!(tree.to_string().lines().count(), 1, "{tree}");
        let page = any_feed().in_batches([text]).page(&**db).await.unwrap();
        let found: Vec<_> = page.entries.iter().map(|entry| entry.subject.id.clone()).collect();
        assert_eq!(found, [text]);
    }
}

/// One whose subject fails parks that subject's events alone.
#[inbox(on(Edited), ordered)]
async fn fails_at_the_first(event: Event<PageEvent>) -> InboxResult {
    if event.subject.id == ALIKE[0] { Err(InboxError::new("no")) } else { handled() }
}

async fn failures_of_their_subjects(db: &TestDb) {
    let dispatcher = Dispatcher::builder(&**db).only(["fails_at_the_first"]).build().unwrap();
    dispatcher.register().await.unwrap();
    for text in ALIKE {
        edited(1).on(text).by_system().save(&**db).await.unwrap();
    }
    let report = dispatcher.drain().await.unwrap();
    assert_eq!(report.total().handled, 5, "{report:?}");
    assert_eq!(db.rows("SELECT subject_id FROM event_failures").await, [ALIKE[0]]);
}

#[inbox(on(Created))]
async fn takes_the_page(event: Event<PageEvent>, page: Option<Subject<wiki_page::Model>>) -> InboxResult {
    match page {
        Some(page) if page.slug == event.subject.id => handled(),
        Some(page) => Err(InboxError::new(format!("another page: {}", page.slug)).no_retry()),
        None => skipped("gone"),
    }
}

async fn a_subject_is_the_very_row(db: &TestDb) {
    let row = wiki_page::ActiveModel { slug: Set(ALIKE[1].to_owned()), number: Set(Some(7)) };
    row.insert(&**db).await.unwrap();
    models::user(&**db, "Ada").await;
    let dispatcher = Dispatcher::builder(&**db).only(["takes_the_page"]).build().unwrap();
    dispatcher.register().await.unwrap();
    for text in ALIKE {
        PageEvent::Created.on(text).by_system().save(&**db).await.unwrap();
    }
    let total = dispatcher.drain().await.unwrap().total();
    assert_eq!((total.handled, total.skipped, total.failed), (1, 5, 0));
    // And its label no other one's.
    let page = PageEvent::feed().page(&**db).await.unwrap();
    let labelled: Vec<_> = page.entries.iter().filter(|entry| entry.labels().subject.is_some()).collect();
    assert_eq!(labelled.len(), 1);
    assert_eq!(labelled[0].subject.id, ALIKE[1]);
}
