//! Tables of an enum's own: foreign keys to the subject and the actor, and a SeaORM entity that joins and loads like any other.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use behaviour::{Kind, TestDb, on_every_empty_database};
use event_core::{Draft, RecordingError};
use event_sea_orm::Watch;
use event_sea_orm::prelude::*;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, LoaderTrait,
    ModelTrait, QueryFilter, QueryOrder, QuerySelect, Schema,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

on_every_empty_database! {
    what_is_recorded_is_read_back
    a_row_has_keys_of_its_tables_types
    subjects_and_actors_join_and_load
    one_entity_can_be_subject_and_actor
    keys_of_every_type_go_there_and_back
    many_events_are_recorded_at_once
    an_idempotency_key_is_taken_once
    a_subject_has_to_be_there
    what_has_events_can_not_be_deleted
    without_foreign_keys_a_subject_may_go
    what_is_no_key_is_refused
    several_kinds_of_actor_are_named
    an_actors_feed_spans_both_kinds_of_log
    feeds_narrow_by_actor
    inboxes_take_its_events
    a_row_can_be_neither_changed_nor_deleted
    its_migration_wants_the_tables_it_refers_to
    a_guard_knows_its_events
    retention_and_its_archive_know_it
    a_text_key_is_the_very_one_of_a_row
    texts_of_a_table_without_foreign_keys_are_told_apart
}

#[allow(unreachable_pub, reason = "SeaORM's entities are written so")]
mod person {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "persons")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub name: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[allow(unreachable_pub, reason = "SeaORM's entities are written so")]
mod ticket {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "tickets")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub title: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[allow(unreachable_pub, reason = "SeaORM's entities are written so")]
mod document {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "documents")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[allow(unreachable_pub, reason = "SeaORM's entities are written so")]
mod place {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "places")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub slug: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(ticket::Entity, label = title), actor(person::Entity, label = name), table = "ticket_events")]
enum TicketEvent {
    #[event(summary = "{actor} opened {subject}")]
    Opened,
    Commented {
        text: String,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(document::Entity), actor(person::Entity, label = name), table = "document_events")]
enum DocumentEvent {
    Signed,
}

/// Two kinds of actor, and a user's own relation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(
    subject(place::Entity),
    actor(person::Entity),
    actor(document::Entity),
    table = "place_events",
    related = false
)]
enum PlaceEvent {
    Visited,
}

impl sea_orm::Related<place_event::Entity> for place::Entity {
    fn to() -> sea_orm::RelationDef {
        place::Entity::has_many(place_event::Entity).into()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(person::Entity, label = name), actor(person::Entity, label = name), table = "person_events")]
enum PersonEvent {
    Invited,
}

/// Outlives its subjects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(
    subject(ticket::Entity, name = "old_ticket"),
    actor(person::Entity),
    table = "old_ticket_events",
    foreign_keys = false,
    related = false
)]
enum OldTicketEvent {
    Closed,
}

/// In the shared log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(ticket::Entity, name = "ticket", label = title), actor(person::Entity, label = name))]
enum NoteEvent {
    Added,
}

#[inbox]
async fn greets(event: Event<TicketEvent>, ticket: Subject<ticket::Model>, by: Actor<person::Model>) -> InboxResult {
    assert_eq!(event.subject.id, ticket.id.to_string());
    if by.name == "Ada" { handled() } else { skipped(ticket.title.clone()) }
}

async fn migrated(db: &TestDb) {
    create_tables(db).await;
    migrate(db).await.unwrap();
    db.take_statements();
}

async fn create_tables(db: &TestDb) {
    behaviour::models::create_tables(db).await;
    let schema = Schema::new(db.get_database_backend());
    for table in [
        schema.create_table_from_entity(person::Entity),
        schema.create_table_from_entity(ticket::Entity),
        schema.create_table_from_entity(document::Entity),
        schema.create_table_from_entity(place::Entity),
    ] {
        db.execute(&table).await.unwrap();
    }
}

async fn person(db: &TestDb, name: &str) -> person::Model {
    let model = person::ActiveModel { name: Set(name.to_owned()), ..Default::default() };
    model.insert(&**db).await.unwrap()
}

async fn ticket(db: &TestDb, title: &str) -> ticket::Model {
    let model = ticket::ActiveModel { title: Set(title.to_owned()), ..Default::default() };
    model.insert(&**db).await.unwrap()
}

fn comment(text: &str) -> TicketEvent {
    TicketEvent::Commented { text: text.to_owned() }
}

async fn what_is_recorded_is_read_back(db: &TestDb) {
    migrated(db).await;
    let (ada, first) = (person(db, "Ada").await, ticket(db, "Broken").await);
    let saved = first
        .record(TicketEvent::Opened)
        .by(&ada)
        .correlation("c-1")
        .context("request_id", "r-1")
        .caused_by(EventRef::new("events", 7))
        .snapshot_value(&serde_json::json!({"title": "Broken"}))
        .key("k-1")
        .save(&**db)
        .await
        .unwrap();
    assert_eq!(saved.event().unwrap().log.as_str(), "ticket_events");
    first.record(comment("tick")).by_system().save(&**db).await.unwrap();

    let page = first.feed::<TicketEvent>().page(&**db).await.unwrap();
    let [newer, older] = &page.entries[..] else { panic!("{} entries", page.entries.len()) };
    assert_eq!(newer.event().unwrap().event, comment("tick"));
    assert_eq!(newer.actor, None);
    assert_eq!(older.subject, SubjectRef::new("ticket", first.id.to_string()));
    assert_eq!(older.actor, Some(ActorRef::new("person", ada.id.to_string())));
    assert_eq!(older.summary(), "Ada opened Broken");
    assert_eq!((older.correlation_id.as_deref(), older.idempotency_key.as_deref()), (Some("c-1"), Some("k-1")));
    assert_eq!(older.causation, Some(EventRef::new("events", 7)));
    assert_eq!(older.snapshot, Some(serde_json::json!({"title": "Broken"})));
}

async fn a_row_has_keys_of_its_tables_types(db: &TestDb) {
    migrated(db).await;
    let (ada, first) = (person(db, "Ada").await, ticket(db, "Broken").await);
    first.record(comment("tick")).by(&ada).save(&**db).await.unwrap();
    let row: ticket_event::Model = ticket_event::Entity::find().one(&**db).await.unwrap().unwrap();
    let key: i32 = row.subject_id;
    let actor: Option<i64> = row.actor_id;
    assert_eq!((key, actor), (first.id, Some(ada.id)));
    assert_eq!((row.action.as_str(), row.version), ("commented", 1));
    assert_eq!(row.metadata, serde_json::json!({"text": "tick"}));

    let from_feed = TicketEvent::feed().page(&**db).await.unwrap().entries.remove(0);
    let from_row = row.event().unwrap();
    assert_eq!(from_row.event, comment("tick"));
    assert_eq!(from_row.stored(), from_feed.stored());
}

async fn subjects_and_actors_join_and_load(db: &TestDb) {
    migrated(db).await;
    let (ada, bob) = (person(db, "Ada").await, person(db, "Bob").await);
    let (first, second) = (ticket(db, "First").await, ticket(db, "Second").await);
    first.record(TicketEvent::Opened).by(&ada).save(&**db).await.unwrap();
    first.record(comment("a")).by(&bob).save(&**db).await.unwrap();
    second.record(TicketEvent::Opened).by_system().save(&**db).await.unwrap();

    let of_first = first.find_related(ticket_event::Entity).order_by_asc(ticket_event::Column::Id);
    let of_first: Vec<_> = of_first.all(&**db).await.unwrap().into_iter().map(|row| row.action).collect();
    assert_eq!(of_first, ["opened", "commented"]);
    let by_bob = bob.find_related(ticket_event::Entity).all(&**db).await.unwrap();
    assert_eq!(by_bob.len(), 1);

    let joined = ticket_event::Entity::find()
        .find_also_related(person::Entity)
        .filter(ticket_event::Column::Action.eq("opened"))
        .order_by_asc(ticket_event::Column::Id);
    let joined: Vec<_> = joined.all(&**db).await.unwrap();
    let names: Vec<_> = joined.iter().map(|(_, by)| by.as_ref().map(|by| by.name.as_str())).collect();
    assert_eq!(names, [Some("Ada"), None]);
    let opened = ticket::Entity::find()
        .inner_join(ticket_event::Entity)
        .filter(ticket_event::Column::ActorId.eq(bob.id))
        .select_only()
        .column(ticket::Column::Title)
        .into_tuple::<String>();
    assert_eq!(opened.all(&**db).await.unwrap(), ["First"]);

    let tickets = vec![first, second];
    let events = tickets.load_many(ticket_event::Entity, &**db).await.unwrap();
    assert_eq!(events.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    let actors = events[0].load_one(person::Entity, &**db).await.unwrap();
    assert_eq!(actors.len(), 2);
    let subjects = events[1].load_one(ticket::Entity, &**db).await.unwrap();
    assert_eq!(subjects, [Some(tickets[1].clone())]);
}

async fn one_entity_can_be_subject_and_actor(db: &TestDb) {
    migrated(db).await;
    let (ada, bob) = (person(db, "Ada").await, person(db, "Bob").await);
    bob.record(PersonEvent::Invited).by(&ada).save(&**db).await.unwrap();
    assert_eq!(bob.find_related(person_event::Entity).all(&**db).await.unwrap().len(), 1);
    assert_eq!(ada.find_related(person_event::Entity).all(&**db).await.unwrap().len(), 0);
    assert_eq!(ada.find_linked(person_event::ByActor).all(&**db).await.unwrap().len(), 1);
    let found = person_event::Entity::find().find_also_linked(person_event::ToActor).all(&**db).await.unwrap();
    assert_eq!(found[0].1, Some(ada));
}

async fn keys_of_every_type_go_there_and_back(db: &TestDb) {
    migrated(db).await;
    let ada = person(db, "Ada").await;
    let contract = document::ActiveModel { id: Set(Uuid::from_u128(7)) }.insert(&**db).await.unwrap();
    let cafe = place::ActiveModel { slug: Set("Café \"C\" 1".to_owned()) }.insert(&**db).await.unwrap();
    contract.record(DocumentEvent::Signed).by(&ada).save(&**db).await.unwrap();
    cafe.record(PlaceEvent::Visited).by(&ada).save(&**db).await.unwrap();
    let row = document_event::Entity::find().one(&**db).await.unwrap().unwrap();
    assert_eq!(row.subject_id, contract.id);
    let row = place_event::Entity::find().one(&**db).await.unwrap().unwrap();
    assert_eq!(row.subject_id, cafe.slug);
    let signed = contract.feed::<DocumentEvent>().page(&**db).await.unwrap();
    assert_eq!(signed.entries[0].subject.id, contract.id.to_string());
    let visits = cafe.feed::<PlaceEvent>().page(&**db).await.unwrap();
    assert_eq!(visits.entries[0].subject.id, cafe.slug);
    assert_eq!(cafe.find_related(place_event::Entity).all(&**db).await.unwrap().len(), 1);
}

async fn many_events_are_recorded_at_once(db: &TestDb) {
    migrated(db).await;
    let (ada, first) = (person(db, "Ada").await, ticket(db, "First").await);
    let documents: Vec<_> = (1..=3).map(Uuid::from_u128).collect();
    for &id in &documents {
        document::ActiveModel { id: Set(id) }.insert(&**db).await.unwrap();
    }
    let mut drafts: Vec<Draft> = Vec::new();
    for n in 0..5 {
        let recording = first.record(comment(&n.to_string()));
        // Some by nobody: the column is empty in some rows of the statement.
        drafts.push(if n % 2 == 0 { recording.by(&ada) } else { recording.by_system() }.into());
    }
    drafts.extend(documents.iter().map(|&id| DocumentEvent::Signed.on(id.to_string()).by(&ada).into()));
    let saved = record_many(&**db, drafts).await.unwrap();
    assert_eq!(saved.len(), 8);
    let rows = ticket_event::Entity::find().order_by_asc(ticket_event::Column::Id).all(&**db).await.unwrap();
    let actors: Vec<_> = rows.iter().map(|row| row.actor_id).collect();
    assert_eq!(actors, [Some(ada.id), None, Some(ada.id), None, Some(ada.id)]);
    assert!(rows.iter().all(|row| row.subject_id == first.id));
    let rows = document_event::Entity::find().order_by_asc(document_event::Column::Id).all(&**db).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.subject_id).collect::<Vec<_>>(), documents);
}

async fn an_idempotency_key_is_taken_once(db: &TestDb) {
    migrated(db).await;
    let (first, second) = (ticket(db, "First").await, ticket(db, "Second").await);
    let record = |ticket: &ticket::Model| ticket.record(TicketEvent::Opened).by_system().key("once");
    let new = record(&first).save(&**db).await.unwrap();
    let again = record(&first).save(&**db).await.unwrap();
    assert!(new.is_new() && !again.is_new() && new.event() == again.event());
    let many = record_many(&**db, [record(&first), record(&first)]).await.unwrap();
    assert!(many.iter().all(|saved| !saved.is_new() && saved.event() == new.event()));
    let error = record(&second).save(&**db).await.unwrap_err();
    assert!(error.to_string().contains("which differs in subject"), "{error}");
}

async fn a_subject_has_to_be_there(db: &TestDb) {
    migrated(db).await;
    let first = ticket(db, "First").await;
    let error = TicketEvent::Opened.on(first.id + 1).by_system().save(&**db).await.unwrap_err();
    assert!(matches!(&error, RecordError::NoRow { log } if log == "ticket_events"), "{error:?}");
    let error = first.record(TicketEvent::Opened).by_ref(ActorRef::new("person", "77")).save(&**db).await.unwrap_err();
    assert!(matches!(error, RecordError::NoRow { .. }), "{error:?}");
    let there = first.record(TicketEvent::Opened).by_system();
    let gone = TicketEvent::Opened.on(first.id + 1).by_system();
    let error = record_many(&**db, [there, gone]).await.unwrap_err();
    assert!(matches!(error, RecordError::NoRow { .. }), "{error:?}");
    assert_eq!(db.number("SELECT count(*) FROM ticket_events").await, 0);
}

async fn what_has_events_can_not_be_deleted(db: &TestDb) {
    migrated(db).await;
    let (ada, first) = (person(db, "Ada").await, ticket(db, "First").await);
    first.record(TicketEvent::Opened).by(&ada).save(&**db).await.unwrap();
    first.clone().into_active_model().delete(&**db).await.unwrap_err();
    ada.into_active_model().delete(&**db).await.unwrap_err();
    db.sql(&format!("UPDATE tickets SET id = id + 100 WHERE id = {}", first.id)).await.unwrap_err();
    assert_eq!(db.number("SELECT count(*) FROM tickets").await, 1);
}

async fn without_foreign_keys_a_subject_may_go(db: &TestDb) {
    migrated(db).await;
    let first = ticket(db, "First").await;
    first.record(OldTicketEvent::Closed).by_system().save(&**db).await.unwrap();
    first.clone().into_active_model().delete(&**db).await.unwrap();
    let page = OldTicketEvent::feed().of_id(first.id).page(&**db).await.unwrap();
    assert_eq!(page.entries[0].subject, SubjectRef::new("old_ticket", first.id.to_string()));
}

async fn what_is_no_key_is_refused(db: &TestDb) {
    migrated(db).await;
    let first = ticket(db, "First").await;
    let error = TicketEvent::Opened.on("first").by_system().save(&**db).await.unwrap_err();
    assert!(matches!(error, RecordError::BadKey { what: "subject", table: "tickets", .. }), "{error:?}");
    assert!(!error.to_string().contains("first"), "the id may be personal: {error}");
    let robot = ActorRef::new("robot", "1");
    let error = first.record(TicketEvent::Opened).by_ref(robot).save(&**db).await.unwrap_err();
    let RecordError::Invalid(RecordingError::UnknownActor { kind, known, .. }) = &error else { panic!("{error:?}") };
    assert_eq!((kind.as_str(), known.as_str()), ("robot", "`person`"));
    let error = first.record(TicketEvent::Opened).by_ref(ActorRef::new("person", "x")).save(&**db).await.unwrap_err();
    assert!(matches!(error, RecordError::BadKey { what: "actor", table: "persons", .. }), "{error:?}");
    let error = TicketEvent::Opened.on("").by_system().save(&**db).await.unwrap_err();
    assert!(matches!(error, RecordError::Invalid(RecordingError::EmptySubject { .. })), "{error:?}");
    // A feed of what can't be is empty.
    assert!(TicketEvent::feed().of_id("first").page(&**db).await.unwrap().entries.is_empty());
}

async fn several_kinds_of_actor_are_named(db: &TestDb) {
    migrated(db).await;
    let ada = person(db, "Ada").await;
    let contract = document::ActiveModel { id: Set(Uuid::from_u128(7)) }.insert(&**db).await.unwrap();
    let cafe = place::ActiveModel { slug: Set("cafe".to_owned()) }.insert(&**db).await.unwrap();
    cafe.record(PlaceEvent::Visited).by(&ada).save(&**db).await.unwrap();
    cafe.record(PlaceEvent::Visited).by(&contract).save(&**db).await.unwrap();
    let by_document = PlaceEvent::feed().by(&contract).page(&**db).await.unwrap();
    assert_eq!(by_document.entries[0].actor, Some(ActorRef::new("document", contract.id.to_string())));
    assert_eq!(cafe.feed::<PlaceEvent>().by(&ada).page(&**db).await.unwrap().entries.len(), 1);
    let row = place_event::Entity::find().one(&**db).await.unwrap().unwrap();
    assert_eq!(row.actor_type.as_deref(), Some("person"));
    assert_eq!(row.event().unwrap().stored().actor, Some(ActorRef::new("person", ada.id.to_string())));
}

async fn an_actors_feed_spans_both_kinds_of_log(db: &TestDb) {
    migrated(db).await;
    let (ada, bob) = (person(db, "Ada").await, person(db, "Bob").await);
    let first = ticket(db, "First").await;
    let time = |n: i64| chrono::DateTime::from_timestamp_millis(1_700_000_000_000 + n).unwrap();
    for n in 0..12 {
        let who = if n % 4 == 3 { &bob } else { &ada };
        let draft: Draft = match n % 3 {
            0 => first.record(comment("x")).by(who).at(time(n)).into(),
            1 => NoteEvent::Added.on(first.id).by(who).at(time(n)).into(),
            _ => bob.record(PersonEvent::Invited).by(who).at(time(n)).into(),
        };
        draft.save(&**db).await.unwrap();
    }
    let feed = any_feed().by_ref(actor_of::<TicketEvent, _>(&ada)).with::<TicketEvent>().limit(2);
    let (mut times, mut next, mut logs) = (Vec::new(), None, std::collections::BTreeSet::new());
    loop {
        let page = feed.clone().after(next).page(&**db).await.unwrap();
        times.extend(page.entries.iter().map(|entry| entry.occurred_at));
        logs.extend(page.entries.iter().map(|entry| entry.at.log.to_string()));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    let expected: Vec<_> = (0..12).rev().filter(|n| n % 4 != 3).map(time).collect();
    assert_eq!(times, expected);
    assert_eq!(logs.into_iter().collect::<Vec<_>>(), ["events", "person_events", "ticket_events"]);
    // Of one subject too, where the other tables' subjects are of another kind.
    let subject = SubjectRef::new("ticket", first.id.to_string());
    let of_ticket = any_feed().of_ref(subject).page(&**db).await.unwrap();
    assert_eq!(of_ticket.entries.len(), 8);
}

async fn feeds_narrow_by_actor(db: &TestDb) {
    migrated(db).await;
    let (ada, bob) = (person(db, "Ada").await, person(db, "Bob").await);
    let (first, second) = (ticket(db, "First").await, ticket(db, "Second").await);
    for (ticket, who) in [(&first, &ada), (&first, &bob), (&second, &ada)] {
        ticket.record(TicketEvent::Opened).by(who).save(&**db).await.unwrap();
    }
    let count = async |feed: Feed<TicketEvent>| feed.page(&**db).await.unwrap().entries.len();
    assert_eq!(count(TicketEvent::feed().by(&ada)).await, 2);
    assert_eq!(count(first.feed().by(&ada)).await, 1);
    assert_eq!(count(first.feed().by(&ada).by(&bob)).await, 2);
    assert_eq!(count(TicketEvent::feed().of(&first).of(&second)).await, 3);
    assert_eq!(count(first.feed().by_ref(ActorRef::new("robot", "1"))).await, 0);
    assert_eq!(count(first.feed().by(&bob).by_ref(ActorRef::new("robot", "1"))).await, 1);
}

async fn inboxes_take_its_events(db: &TestDb) {
    migrated(db).await;
    let (ada, bob) = (person(db, "Ada").await, person(db, "Bob").await);
    let first = ticket(db, "First").await;
    let dispatcher = Dispatcher::builder(&**db).only(["greets"]).build().unwrap();
    dispatcher.drain().await.unwrap();
    for who in [&ada, &bob, &ada] {
        first.record(TicketEvent::Opened).by(who).save(&**db).await.unwrap();
    }
    let report = dispatcher.drain().await.unwrap();
    let greets = &report.inboxes["greets"];
    assert_eq!((greets.handled, greets.skipped, greets.dead), (2, 1, 0));
}

async fn a_row_can_be_neither_changed_nor_deleted(db: &TestDb) {
    migrated(db).await;
    let first = ticket(db, "First").await;
    first.record(TicketEvent::Opened).by_system().save(&**db).await.unwrap();
    for statement in ["UPDATE ticket_events SET action = 'closed'", "DELETE FROM ticket_events"] {
        let error = db.sql(statement).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
    let row = ticket_event::Entity::find().one(&**db).await.unwrap().unwrap();
    let mut changed = row.clone().into_active_model();
    changed.action = Set("closed".to_owned());
    for error in [
        changed.clone().update(&**db).await.unwrap_err(),
        changed.delete(&**db).await.unwrap_err(),
        ticket_event::ActiveModel { id: sea_orm::NotSet, ..row.into_active_model() }.insert(&**db).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("`ticket_events` is append-only: record an event"), "{error}");
    }
}

async fn its_migration_wants_the_tables_it_refers_to(db: &TestDb) {
    let error = migrate(db).await.unwrap_err();
    assert!(error.to_string().contains("which is not in this database: run that table's migration first"), "{error}");
    create_tables(db).await;
    migrate(db).await.unwrap();
    if db.kind() != Kind::Sqlite {
        // The column's type is the one it points to.
        // On MySQL and MariaDB the schema tells of every other test's database, too.
        let here = if db.kind() == Kind::MySql { "database()" } else { "current_schema()" };
        let like =
            format!("SELECT data_type FROM information_schema.columns WHERE table_schema = {here} AND table_name = '");
        let own = db.rows(&format!("{like}ticket_events' AND column_name = 'subject_id'")).await;
        assert_eq!(own, db.rows(&format!("{like}tickets' AND column_name = 'id'")).await);
    }
}

async fn a_guard_knows_its_events(db: &TestDb) {
    migrated(db).await;
    let (ada, ticket) = (person(db, "Ada").await, ticket(db, "Broken").await);
    let document = document::ActiveModel { id: Set(Uuid::from_u128(7)) };
    let watch = Watch::over::<ticket::Entity, TicketEvent>().and::<document::Entity, DocumentEvent>();
    let watching = watch.begin(db).await.unwrap();
    db.transact(async |txn| {
        let mut change = ticket.clone().into_active_model();
        change.title = Set("Mended".to_owned());
        change.update(txn).await?;
        ticket.record(comment("mended")).by(&ada).save(txn).await?;
        let document = document.clone().insert(txn).await?;
        document.record(DocumentEvent::Signed).by(&ada).save(txn).await
    })
    .await
    .unwrap();
    watching.check().await.unwrap();
    let mut change = ticket.clone().into_active_model();
    change.title = Set("Lost".to_owned());
    change.update(&**db).await.unwrap();
    let error = watching.check().await.unwrap_err();
    assert!(error.to_string().contains(&format!("`tickets` {} (UPDATE)", ticket.id)), "{error}");
}

async fn retention_and_its_archive_know_it(db: &TestDb) {
    migrated(db).await;
    let (ada, ticket) = (person(db, "Ada").await, ticket(db, "Broken").await);
    for text in ["a", "b", "c"] {
        ticket.record(comment(text)).by(&ada).save(&**db).await.unwrap();
    }
    Dispatcher::builder(&**db).build().unwrap().drain().await.unwrap();
    let all = Retention::older_than(std::time::Duration::ZERO).log("ticket_events").archive_in_table();
    let report = all.run(&**db).await.unwrap();
    assert_eq!(report.logs[&LogName::from("ticket_events")].deleted, 2);
    assert_eq!(db.rows("SELECT subject_id, actor_id FROM ticket_events_archive").await.len(), 2);
    let only = Retention::older_than(std::time::Duration::ZERO).only::<TicketEvent>([TicketEventAction::Opened]);
    assert_eq!(only.run(&**db).await.unwrap().logs[&LogName::from("ticket_events")].deleted, 0);
}

/// Two text keys, one of them an actor's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(
    subject(place::Entity, name = "town"),
    actor(place::Entity, name = "town"),
    table = "town_events",
    related = false
)]
enum TownEvent {
    Twinned,
}

/// Of places that may be gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(
    subject(place::Entity, name = "ruin"),
    actor(place::Entity, name = "ruin"),
    table = "ruin_events",
    foreign_keys = false,
    related = false
)]
enum RuinEvent {
    Found,
}

async fn places(db: &TestDb, slugs: &[&str]) {
    for slug in slugs {
        let place = place::ActiveModel { slug: Set((*slug).to_owned()) };
        place::Entity::insert(place).exec_without_returning(&**db).await.unwrap();
    }
}

/// What a collation that folds takes for `Rome`.
const NOT_ROME: [&str; 3] = ["rome", "R\u{f3}me", "Rome "];

async fn a_text_key_is_the_very_one_of_a_row(db: &TestDb) {
    migrated(db).await;
    places(db, &["Rome", "Paris"]).await;
    let rome = || ActorRef::new("town", "Rome");
    TownEvent::Twinned.on("Rome").by_ref(ActorRef::new("town", "Paris")).save(&**db).await.unwrap();
    TownEvent::Twinned.on("Paris").by_ref(rome()).save(&**db).await.unwrap();
    TownEvent::Twinned.on("Paris").by_system().save(&**db).await.unwrap();
    for other in NOT_ROME {
        let by_other = ActorRef::new("town", other);
        for recording in [TownEvent::Twinned.on(other).by_ref(rome()), TownEvent::Twinned.on("Rome").by_ref(by_other)] {
            let error = recording.save(&**db).await.unwrap_err();
            assert!(matches!(error, RecordError::NoRow { .. }), "{other}: {error}");
        }
        let feed = TownEvent::feed().of_id(other).page(&**db).await.unwrap();
        assert_eq!(feed.entries.len(), 0, "{other}");
        let feed = TownEvent::feed().by_ref(ActorRef::new("town", other)).page(&**db).await.unwrap();
        assert_eq!(feed.entries.len(), 0, "{other}");
    }
    assert_eq!(TownEvent::feed().of_id("Rome").page(&**db).await.unwrap().entries.len(), 1);
    assert_eq!(TownEvent::feed().by_ref(rome()).page(&**db).await.unwrap().entries.len(), 1);
    let both = TownEvent::feed().by_refs([rome(), ActorRef::new("town", "Paris")]);
    assert_eq!(both.page(&**db).await.unwrap().entries.len(), 2);
    // A program that dispatches knows the trigger as its own.
    Dispatcher::builder(&**db).build().unwrap().drain().await.unwrap();
}

async fn texts_of_a_table_without_foreign_keys_are_told_apart(db: &TestDb) {
    migrated(db).await;
    let all = ["Rome", NOT_ROME[0], NOT_ROME[1], NOT_ROME[2]];
    for town in all {
        RuinEvent::Found.on(town).by_ref(ActorRef::new("ruin", town)).save(&**db).await.unwrap();
    }
    for town in all {
        let of = RuinEvent::feed().of_id(town).page(&**db).await.unwrap();
        let by = RuinEvent::feed().by_ref(ActorRef::new("ruin", town)).page(&**db).await.unwrap();
        let of_two = RuinEvent::feed().by_refs([ActorRef::new("ruin", town), ActorRef::new("ruin", "x")]);
        let of_two = of_two.page(&**db).await.unwrap();
        for page in [of, by, of_two] {
            let found: Vec<_> = page.entries.iter().map(|entry| entry.subject.id.as_str()).collect();
            assert_eq!(found, [town]);
        }
    }
}
