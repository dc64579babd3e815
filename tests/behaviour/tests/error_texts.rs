//! No text of an error quotes a value: not where it is shown, nor below it, nor where the dispatcher keeps it.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(missing_docs, unreachable_pub, reason = "SeaORM's entities are written so, and a pub machine's event is pub")]

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use behaviour::{Kind, TestDb, on_every_database};
use event_sea_orm::DatabaseError;
use event_sea_orm::prelude::*;
use member::{Column, Status, StatusTransitions as _};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DbErr, Schema};
use serde::{Deserialize, Serialize};

on_every_database! {
    the_applications_own_statements
    statements_that_record
    transitions_and_many_rows_at_once
    what_a_handler_gives_by_a_question_mark
    what_the_dispatchers_own_statements_meet
    the_error_itself_is_there_for_who_asks
}

mod member {
    use event_sea_orm::StateMachine;
    use sea_orm::entity::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::MemberEvent;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "members")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[sea_orm(unique)]
        pub email: String,
        pub status: Status,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, StateMachine)]
    #[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
    #[state_machine(Entity, column = status, event = MemberEvent::Moved)]
    #[transition(invite, from(New), to = Invited)]
    pub enum Status {
        #[state(initial)]
        New,
        Invited,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(member::Entity))]
pub enum MemberEvent {
    Moved,
    Asked { how: How },
}

/// Which error a handler gives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum How {
    SeaOrm,
    Recording,
    Transition,
    Boxed,
    Cause,
}

/// What no text holds.
const VALUE: &str = "ada@example.com";

/// An error that shows no value itself, and names one as its source.
#[derive(Debug)]
struct Failed(DbErr);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the member could not be saved")
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[inbox(on(Asked))]
async fn fails_at_the_database(event: Event<MemberEvent>, db: Db) -> InboxResult {
    let MemberEvent::Asked { how } = &event.event else { return skipped("nothing") };
    let error = duplicate(&*db).await;
    match how {
        How::SeaOrm => Err(error)?,
        How::Recording => Err(RecordError::from(error))?,
        How::Transition => Err(TransitionError::from(RecordError::from(error)))?,
        How::Boxed => Err(Failed(error))?,
        How::Cause => Err(StatementFailed(RecordError::from(error)))?,
    }
    handled()
}

#[derive(Debug)]
struct StatementFailed(RecordError);

impl std::fmt::Display for StatementFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "saving failed: {}", self.0)
    }
}

impl Error for StatementFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// What the database says of a second member with that address.
async fn duplicate(db: &impl ConnectionTrait) -> DbErr {
    member(db).await.unwrap_err()
}

async fn member(db: &impl ConnectionTrait) -> Result<member::Model, DbErr> {
    let member = member::ActiveModel { email: Set(VALUE.to_owned()), status: Set(Status::New), ..Default::default() };
    member.insert(db).await
}

async fn members(db: &TestDb) -> member::Model {
    let schema = Schema::new(db.get_database_backend());
    db.execute(&schema.create_table_from_entity(member::Entity)).await.unwrap();
    member(&**db).await.unwrap()
}

/// Every text of an error: shown, debugged, and those of the errors below it.
fn texts(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut texts = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        texts.extend([format!("{error}"), format!("{error:?}"), format!("{error:#?}")]);
        next = error.source();
    }
    texts
}

fn assert_without_value(error: &(dyn Error + 'static)) {
    for text in texts(error) {
        assert!(!text.contains("ada") && !text.contains("example"), "{text}");
    }
}

async fn the_applications_own_statements(db: &TestDb) {
    members(db).await;
    let error = db.transact(async |txn| Ok(member(txn).await?)).await.unwrap_err();
    assert_without_value(&error);
    let text = error.to_string();
    let (code, about) = match db.kind() {
        Kind::Sqlite => ("2067", "`members.email`"),
        Kind::Postgres => ("23505", "table `members`, constraint `members_email_key`"),
        Kind::MySql => ("1062", "key `email`"),
    };
    assert!(text.contains("a unique key exists already") && text.contains(code) && text.contains(about), "{text}");
    // Whatever else the database quotes.
    let statements: &[&str] = match db.kind() {
        Kind::Sqlite => &[
            "SELECT 'ada@example.com' 'ada@example.com' 'x'",
            "INSERT INTO members (id, email, status) VALUES ('ada@example.com', 'b', 'new')",
            "SELECT json_extract('{}', 'ada@example.com')",
        ],
        Kind::Postgres => &[
            "SELECT 'ada@example.com'::integer",
            "SELECT 'ada@example.com' 'x'",
            "SELECT \"ada@example.com\"",
            "INSERT INTO members (email, status) VALUES ('b', repeat('ada@example.com', 9))",
            "DO $$ BEGIN RAISE EXCEPTION 'ada@example.com' USING ERRCODE = '23505', DETAIL = 'ada@example.com'; END $$",
        ],
        Kind::MySql => &[
            "INSERT INTO members (id, email, status) VALUES ('ada@example.com', 'b', 'new')",
            "SELECT 1 + 'ada@example.com' FROM nothing_of_that_name WHERE",
            "SELECT `ada@example.com`",
            "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'ada@example.com'",
        ],
    };
    for statement in statements {
        let error = db.execute_unprepared(statement).await.unwrap_err();
        for error in [
            Box::new(RecordError::from(error.clone())) as Box<dyn Error>,
            Box::new(TransitionError::from(error.clone())),
            Box::new(TransitionError::from(RecordError::from(error.clone()))),
            Box::new(FeedError::from(error.clone())),
            Box::new(event_sea_orm::WatchError::from(error.clone())),
            Box::new(DatabaseError::from(error)),
        ] {
            assert_without_value(&*error);
        }
    }
}

/// A second row of the same address, by a trigger.
const AGAIN: &str = "INSERT INTO members (email, status) VALUES ('ada@example.com', 'new')";

async fn statements_that_record(db: &TestDb) {
    let member = members(db).await;
    db.after_insert("events", "again", AGAIN).await;
    let error = member.record(MemberEvent::Moved).by_system().save(&**db).await.unwrap_err();
    assert!(matches!(error, RecordError::Db(_)), "{error}");
    assert_without_value(&error);
    let recordings = [1, 2].map(|id| MemberEvent::Moved.on(id).by_system());
    let error = record_many(&**db, recordings).await.unwrap_err();
    assert_without_value(&error);
}

async fn transitions_and_many_rows_at_once(db: &TestDb) {
    members(db).await;
    let other = member::ActiveModel { email: Set("b".to_owned()), status: Set(Status::New), ..Default::default() };
    let other = other.insert(&**db).await.unwrap();
    let error = other.invite(&**db).by_system().set(Column::Email, VALUE).await.unwrap_err();
    assert!(matches!(error, TransitionError::Db(_)), "{error}");
    assert_without_value(&error);
    let update = member::Entity::update_all().set(Column::Email, VALUE);
    let error = update.record(&**db, |_, after| after.record(MemberEvent::Moved).by_system()).await.unwrap_err();
    assert!(matches!(error, RecordError::Db(_)), "{error}");
    assert_without_value(&error);
}

async fn what_a_handler_gives_by_a_question_mark(db: &TestDb) {
    members(db).await;
    let hows = [How::SeaOrm, How::Recording, How::Transition, How::Boxed, How::Cause];
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = told.clone();
    let dispatcher = Dispatcher::builder(&**db).only(["fails_at_the_database"]);
    let dispatcher = dispatcher.on_failure(move |failed| hook.lock().unwrap().push(failed.failure.error.clone()));
    let dispatcher = dispatcher.build().unwrap();
    dispatcher.register().await.unwrap();
    for how in hows {
        MemberEvent::Asked { how }.on(1).by_system().save(&**db).await.unwrap();
    }
    let report = dispatcher.drain().await.unwrap();
    assert!(!format!("{report:?} {:?}", dispatcher.health()).contains("ada"));
    assert_eq!(told.lock().unwrap().len(), hows.len());
    assert!(!told.lock().unwrap().iter().any(|text| text.contains("ada")));
    let rows = db.rows("SELECT error FROM event_failures ORDER BY event_id").await;
    assert_eq!(rows.len(), hows.len());
    for row in &rows {
        assert!(row.contains("a unique key exists already") && !row.contains("ada"), "{row}");
    }
    assert!(rows[3].starts_with("the member could not be saved: the database: a unique key"), "{}", rows[3]);
}

async fn what_the_dispatchers_own_statements_meet(db: &TestDb) {
    members(db).await;
    db.after_insert("event_failures", "again", AGAIN).await;
    let dispatcher = Dispatcher::builder(&**db).only(["fails_at_the_database"]).build().unwrap();
    dispatcher.register().await.unwrap();
    MemberEvent::Asked { how: How::SeaOrm }.on(1).by_system().save(&**db).await.unwrap();
    let drained = tokio::time::timeout(Duration::from_secs(60), dispatcher.drain()).await.unwrap();
    let error = drained.unwrap_err();
    assert_without_value(&error);
}

async fn the_error_itself_is_there_for_who_asks(db: &TestDb) {
    members(db).await;
    let RecordError::Db(error) = RecordError::from(duplicate(&**db).await) else { panic!("another error") };
    assert!(matches!(error.db_err().sql_err(), Some(sea_orm::SqlErr::UniqueConstraintViolation(_))), "{error}");
    // SQLite names the column alone.
    let quoted = format!("{:?}", error.into_db_err());
    assert_eq!(quoted.contains(VALUE), db.kind() != Kind::Sqlite, "{quoted}");
    // What code wrote is shown.
    let error = RecordError::from(DbErr::Custom("the import is over".to_owned()));
    assert!(error.to_string().contains("the import is over"), "{error}");
}
