//! State machines: a transition is the row's change and its event, or neither; of many at once one is made.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(missing_docs, unreachable_pub, reason = "SeaORM's entities are written so, and a pub machine's event is pub")]

use behaviour::models::{self, user};
use behaviour::{Kind, TestDb, on_every_database};
use event_core::RecordingError;
use event_sea_orm::Transitioned;
use event_sea_orm::prelude::*;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, ModelTrait, Schema,
    TransactionTrait,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ticket::{Status, StatusTransition, StatusTransitions as _};

on_every_database! {
    the_row_the_event_and_its_changes
    the_event_is_the_transitions_own
    the_actor_comes_from_the_context
    a_forbidden_one_says_what_is_allowed
    guards_refuse_with_their_reason
    a_transition_by_its_name
    of_many_at_once_one_is_made
    a_rollback_leaves_neither
    what_can_not_be_recorded_changes_nothing
    a_throttle_keeps_no_transition_out
    a_stale_model_is_told_the_rows_state
    a_row_that_is_gone
    further_columns_in_the_same_update
    columns_that_can_not_be_set
    what_a_recording_adds_is_kept
    a_transition_to_the_same_state
    integer_states
    states_of_the_databases_own_type
    in_an_inboxs_transaction
    one_dropped_at_any_moment_is_made_or_not
    ; servers_only:
    another_transaction_is_waited_for
    ; mysql_only:
    a_snapshot_of_before_shows_the_newest_state
}

mod ticket {
    use event_sea_orm::StateMachine;
    use sea_orm::entity::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::TicketEvent;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "tickets")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub title: String,
        pub status: Status,
        pub open_tasks: i32,
        pub closed_by: Option<i64>,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, StateMachine)]
    #[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
    #[serde(rename_all = "snake_case")]
    #[state_machine(Entity, column = status, event = TicketEvent::StatusChanged { from, to })]
    #[transition(start, from(Open, Reopened), to = InProgress)]
    #[transition(
        close,
        from(Open, InProgress),
        to = Closed,
        guard(has_a_title, may_close),
        event = TicketEvent::Closed { title: model.title.clone() }
    )]
    #[transition(reopen, from(Closed), to = Reopened)]
    #[transition(escalate, from = InProgress, to = InProgress)]
    #[transition(archive, from(Closed), to = Archived, event = TicketEvent::Archived)]
    pub enum Status {
        #[state(initial)]
        Open,
        InProgress,
        Closed,
        Reopened,
        Archived,
    }

    fn has_a_title(ticket: &Model) -> bool {
        !ticket.title.is_empty()
    }

    fn may_close(ticket: &Model) -> Result<(), String> {
        if ticket.open_tasks == 0 { Ok(()) } else { Err(format!("{} tasks are open", ticket.open_tasks)) }
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(ticket::Entity, label = title), actor(user::Entity, label = name))]
pub enum TicketEvent {
    #[event(summary = "{actor} moved {subject} from {from} to {to}")]
    StatusChanged {
        from: Status,
        to: Status,
    },
    Closed {
        title: String,
    },
    #[event(throttle = "5m")]
    Archived,
    Commented,
}

async fn ticket(db: &TestDb) -> ticket::Model {
    let schema = Schema::new(db.get_database_backend());
    db.execute(&schema.create_table_from_entity(ticket::Entity)).await.unwrap();
    another_ticket(db).await
}

async fn another_ticket(db: &TestDb) -> ticket::Model {
    let ticket = ticket::ActiveModel {
        title: Set("Broken".to_owned()),
        status: Set(Status::initial()),
        open_tasks: Set(0),
        ..Default::default()
    };
    ticket.insert(&**db).await.unwrap()
}

async fn row(db: &DatabaseConnection, ticket: &ticket::Model) -> ticket::Model {
    ticket::Entity::find_by_id(ticket.id).one(db).await.unwrap().unwrap()
}

async fn events(db: &TestDb) -> Vec<std::sync::Arc<StoredEvent>> {
    let page = TicketEvent::feed().page(&**db).await.unwrap();
    page.entries.iter().map(|entry| entry.stored().clone()).collect()
}

fn changes(event: &StoredEvent) -> Vec<(String, Value, Value)> {
    event.changes().map(|(name, from, to)| (name.to_owned(), from.clone(), to.clone())).collect()
}

fn change(column: &str, from: impl Into<Value>, to: impl Into<Value>) -> (String, Value, Value) {
    (column.to_owned(), from.into(), to.into())
}

async fn the_row_the_event_and_its_changes(db: &TestDb) {
    let (ticket, other) = (ticket(db).await, another_ticket(db).await);
    let ada = models::user(&**db, "Ada").await;
    let started = ticket.start(&**db).by(&ada).await.unwrap();
    assert_eq!((started.from, started.to), (Status::Open, Status::InProgress));
    assert_eq!(started.model, ticket::Model { status: Status::InProgress, ..ticket.clone() });
    assert_eq!(row(db, &ticket).await, started.model);
    assert_eq!(row(db, &other).await.status, Status::Open, "and no other row");
    let page = started.model.feed::<TicketEvent>().page(&**db).await.unwrap();
    let [entry] = &page.entries[..] else { panic!("{page:?}") };
    assert_eq!(entry.summary(), "Ada moved Broken from open to in_progress");
    assert_eq!(entry.at, started.event);
    assert_eq!(changes(entry.stored()), [change("status", "open", "in_progress")]);
    let moved = TicketEvent::StatusChanged { from: Status::Open, to: Status::InProgress };
    assert_eq!(entry.event().unwrap().event, moved);
}

async fn the_event_is_the_transitions_own(db: &TestDb) {
    let ticket = ticket(db).await;
    let closed = ticket.close(&**db).by_system().await.unwrap();
    assert_eq!((closed.from, closed.to), (Status::Open, Status::Closed));
    let [event] = &events(db).await[..] else { panic!() };
    assert_eq!((event.action.as_str(), &event.actor), ("closed", &None));
    assert_eq!(Value::Object(event.metadata.clone().into()), json!({"title": "Broken"}), "of the model as it was");
    assert_eq!(changes(event), [change("status", "open", "closed")], "although it has no fields for them");
}

async fn the_actor_comes_from_the_context(db: &TestDb) {
    let ticket = ticket(db).await;
    let ada = models::user(&**db, "Ada").await;
    let context = EventContext::new().by_ref(actor_of::<TicketEvent, _>(&ada)).request_id("req-1");
    with_context(context, async { ticket.start(&**db).await }).await.unwrap();
    let [event] = &events(db).await[..] else { panic!() };
    assert_eq!(event.actor.as_ref().unwrap().id, ada.id.to_string());
    let context = event.context.as_ref().unwrap();
    assert_eq!(context["request_id"], json!("req-1"));
    assert_eq!(changes(event).len(), 1);
}

async fn a_forbidden_one_says_what_is_allowed(db: &TestDb) {
    let ticket = ticket(db).await;
    let closed = ticket.close(&**db).by_system().await.unwrap().model;
    assert!(!closed.can_start() && closed.can_reopen() && !closed.can(StatusTransition::Close));
    assert_eq!(closed.allowed(), [StatusTransition::Reopen, StatusTransition::Archive]);
    match closed.start(&**db).by_system().await.unwrap_err() {
        TransitionError::Forbidden { machine, transition, state, from, allowed } => {
            assert_eq!((machine, transition, state), ("Status", "start", "Closed"));
            assert_eq!(from, ["Open", "Reopened"]);
            assert_eq!(allowed, ["reopen", "archive"]);
        }
        other => panic!("{other}"),
    }
    assert_eq!(events(db).await.len(), 1);
    assert_eq!(row(db, &ticket).await, closed);
}

async fn guards_refuse_with_their_reason(db: &TestDb) {
    let ticket = ticket(db).await;
    let busy = ticket::Model { open_tasks: 3, ..ticket.clone() };
    assert!(!busy.can_close() && ticket.can_close());
    assert_eq!(busy.allowed(), [StatusTransition::Start]);
    assert_eq!(busy.status.allowed(), [StatusTransition::Start, StatusTransition::Close], "by the state alone");
    let error = busy.close(&**db).by_system().await.unwrap_err();
    assert_eq!(error.to_string(), "`close` is refused by `may_close`: 3 tasks are open");
    let untitled = ticket::Model { title: String::new(), ..ticket.clone() };
    match untitled.close(&**db).by_system().await.unwrap_err() {
        TransitionError::Refused { transition: "close", guard: "has_a_title", reason: None, .. } => {}
        other => panic!("{other}"),
    }
    assert_eq!((row(db, &ticket).await, events(db).await.len()), (ticket, 0));
}

async fn a_transition_by_its_name(db: &TestDb) {
    let ticket = ticket(db).await;
    let start = StatusTransition::from_name("start").unwrap();
    assert_eq!(StatusTransition::from_name("stop"), None);
    assert_eq!((start.to_string(), start.to()), ("start".to_owned(), Status::InProgress));
    assert_eq!(start.from(), [Status::Open, Status::Reopened]);
    let started: Transitioned<Status> = ticket.transition(start, &**db).by_system().await.unwrap();
    assert_eq!(row(db, &ticket).await, started.model);
}

async fn of_many_at_once_one_is_made(db: &TestDb) {
    let ticket = ticket(db).await;
    let many = db.another(8).await;
    for round in 1..=4 {
        let model = row(db, &ticket).await;
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (many, model) = (many.clone(), model.clone());
                tokio::spawn(async move { model.start(&many).by_system().await })
            })
            .collect();
        let mut made = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok(transitioned) => made.push(transitioned),
                Err(TransitionError::Changed { transition: "start", found: "InProgress", .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        let [started] = &made[..] else { panic!("{} were made", made.len()) };
        assert_eq!(row(db, &ticket).await, started.model);
        assert_eq!(db.number("SELECT count(*) FROM events WHERE action = 'status_changed'").await, 2 * round - 1);
        let closed = started.model.close(&**db).by_system().await.unwrap();
        closed.model.reopen(&**db).by_system().await.unwrap();
    }
    many.close().await.unwrap();
}

async fn a_rollback_leaves_neither(db: &TestDb) {
    let ticket = ticket(db).await;
    let rolled_back: Result<(), DbErr> = db
        .transact_with_error(async |txn| {
            let started = ticket.start(txn).by_system().await.unwrap().model;
            started.close(txn).by_system().await.unwrap();
            assert_eq!(ticket::Entity::find_by_id(ticket.id).one(txn).await?.unwrap().status, Status::Closed);
            Err(DbErr::Custom("no".to_owned()))
        })
        .await;
    rolled_back.unwrap_err();
    assert_eq!((row(db, &ticket).await, events(db).await.len()), (ticket.clone(), 0));
    // One that fails within a transaction leaves the rest of it as it is.
    let kept: Result<_, TransitionError> = db
        .transact_with_error(async |txn| {
            ticket.record(TicketEvent::Commented).by_system().key("k").save(txn).await?;
            let stale = ticket::Model { status: Status::Closed, ..ticket.clone() };
            stale.reopen(txn).by_system().await.unwrap_err();
            let keyed = ticket.start(txn).by_system().recording(|recording| recording.key("k"));
            keyed.await.unwrap_err();
            ticket.start(txn).by_system().await
        })
        .await;
    assert_eq!(row(db, &ticket).await, kept.unwrap().model);
    assert_eq!(events(db).await.len(), 2);
}

async fn what_can_not_be_recorded_changes_nothing(db: &TestDb) {
    let ticket = ticket(db).await;
    match ticket.start(&**db).await.unwrap_err() {
        TransitionError::Record(RecordError::Invalid(RecordingError::MissingActor { .. })) => {}
        other => panic!("{other}"),
    }
    // Found only after the row was changed.
    ticket.record(TicketEvent::Commented).by_system().key("taken").save(&**db).await.unwrap();
    let keyed = ticket.start(&**db).by_system().recording(|recording| recording.key("taken"));
    match keyed.await.unwrap_err() {
        TransitionError::Record(RecordError::KeyConflict { .. }) => {}
        other => panic!("{other}"),
    }
    // The same event under its key: it would be the second change with one event.
    let moved = TicketEvent::StatusChanged { from: Status::Open, to: Status::InProgress };
    let earlier = ticket.record(moved).by_system().key("once").save(&**db).await.unwrap();
    let again = ticket.start(&**db).by_system().recording(|recording| recording.key("once"));
    match again.await.unwrap_err() {
        TransitionError::NotRecorded { saved: Saved::AlreadyRecorded(event), .. } => {
            assert_eq!(Some(&event), earlier.event());
        }
        other => panic!("{other}"),
    }
    assert_eq!((row(db, &ticket).await, events(db).await.len()), (ticket, 2));
}

async fn a_throttle_keeps_no_transition_out(db: &TestDb) {
    let ticket = ticket(db).await;
    let closed = ticket.close(&**db).by_system().await.unwrap().model;
    closed.record(TicketEvent::Archived).by_system().save(&**db).await.unwrap();
    assert!(!closed.record(TicketEvent::Archived).by_system().save(&**db).await.unwrap().is_new());
    // One that the caller wants, though, is: no state changes without an event.
    let minute = std::time::Duration::from_secs(60);
    let throttled = |model: &ticket::Model| {
        model.archive(&**db).by_system().recording(move |recording| recording.throttle(Throttle::per_subject(minute)))
    };
    match throttled(&closed).await.unwrap_err() {
        TransitionError::NotRecorded { saved: Saved::Throttled { .. }, .. } => {}
        other => panic!("{other}"),
    }
    assert_eq!(row(db, &ticket).await, closed);
    let archived = closed.archive(&**db).by_system().await.unwrap();
    assert_eq!(row(db, &ticket).await, archived.model);
    assert_eq!(db.number("SELECT count(*) FROM events WHERE action = 'archived'").await, 2);
}

async fn a_stale_model_is_told_the_rows_state(db: &TestDb) {
    let ticket = ticket(db).await;
    ticket.start(&**db).by_system().await.unwrap();
    match ticket.close(&**db).by_system().await.unwrap_err() {
        TransitionError::Changed { machine, transition, expected, found } => {
            assert_eq!((machine, transition, expected, found), ("Status", "close", "Open", "InProgress"));
        }
        other => panic!("{other}"),
    }
    assert_eq!((row(db, &ticket).await.status, events(db).await.len()), (Status::InProgress, 1));
    // What else changed since it was loaded stays as it is.
    let started = row(db, &ticket).await;
    let titled = ticket::ActiveModel { id: Set(ticket.id), title: Set("New".to_owned()), ..Default::default() };
    titled.update(&**db).await.unwrap();
    started.close(&**db).by_system().await.unwrap();
    assert_eq!(row(db, &ticket).await.title, "New");
}

async fn a_row_that_is_gone(db: &TestDb) {
    let ticket = ticket(db).await;
    ticket.clone().delete(&**db).await.unwrap();
    match ticket.start(&**db).by_system().await.unwrap_err() {
        TransitionError::Gone { transition: "start", table: "tickets" } => {}
        other => panic!("{other}"),
    }
    assert_eq!(events(db).await.len(), 0);
}

async fn further_columns_in_the_same_update(db: &TestDb) {
    let ticket = ticket(db).await;
    let ada = models::user(&**db, "Ada").await;
    let closing = ticket.close(&**db).by(&ada).set(ticket::Column::ClosedBy, Some(ada.id));
    let closed = closing.set(ticket::Column::OpenTasks, 0).await.unwrap();
    assert_eq!(closed.model.closed_by, Some(ada.id));
    assert_eq!(row(db, &ticket).await, closed.model);
    let [event] = &events(db).await[..] else { panic!() };
    let expected = [change("closed_by", Value::Null, ada.id), change("status", "open", "closed")];
    assert_eq!(changes(event), expected, "and nothing of a column that is set to what it was");
    let reopening = closed.model.reopen(&**db).by(&ada).set(ticket::Column::ClosedBy, None::<i64>);
    assert_eq!(row(db, &ticket).await.closed_by, Some(ada.id), "nothing is written before it is awaited");
    assert_eq!(reopening.await.unwrap().model.closed_by, None);
    assert_eq!(row(db, &ticket).await.closed_by, None);
}

async fn columns_that_can_not_be_set(db: &TestDb) {
    let ticket = ticket(db).await;
    let start = || ticket.start(&**db).by_system();
    let bad = [
        (start().set(ticket::Column::Id, 7_i64), "id", "it is the model's key"),
        (
            start().set(ticket::Column::Status, "closed"),
            "status",
            "it is set already; the transition itself sets the state",
        ),
        (start().set(ticket::Column::OpenTasks, "many"), "open_tasks", "the value is of another type than the column"),
    ];
    for (starting, name, what) in bad {
        match starting.await.unwrap_err() {
            TransitionError::BadColumn { transition: "start", column, problem } => {
                assert_eq!((column, problem), (name, what));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!((row(db, &ticket).await, events(db).await.len()), (ticket.clone(), 0));
}

async fn what_a_recording_adds_is_kept(db: &TestDb) {
    let ticket = ticket(db).await;
    let starting = ticket.start(&**db).by_system().recording(|recording| {
        recording.correlation("req-1").changed([("estimate", json!(1), json!(2))]).context("why", "asked")
    });
    starting.await.unwrap();
    let [event] = &events(db).await[..] else { panic!() };
    assert_eq!(event.correlation_id.as_deref(), Some("req-1"));
    assert_eq!(changes(event), [change("estimate", 1, 2), change("status", "open", "in_progress")]);
    assert_eq!(event.context.as_ref().unwrap()["why"], json!("asked"));
}

/// Where the row is as it was, MySQL would say that the UPDATE changed none, if the driver did not ask for those found.
async fn a_transition_to_the_same_state(db: &TestDb) {
    let ticket = ticket(db).await;
    let started = ticket.start(&**db).by_system().await.unwrap().model;
    let escalated = started.escalate(&**db).by_system().await.unwrap();
    assert_eq!((escalated.from, escalated.to), (Status::InProgress, Status::InProgress));
    assert_eq!(row(db, &ticket).await, escalated.model);
    let [event, _] = &events(db).await[..] else { panic!() };
    assert_eq!(changes(event), [], "nothing changed");
    assert_eq!(Value::Object(event.metadata.clone().into()), json!({"from": "in_progress", "to": "in_progress"}));
}

mod review {
    use event_sea_orm::StateMachine;
    use sea_orm::entity::prelude::*;

    /// A key that is a text, a column of another name, and two machines on one model.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "reviews")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub slug: String,
        #[sea_orm(column_name = "review_stage")]
        pub stage: Stage,
        pub mood: Mood,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, StateMachine)]
    #[sea_orm(rs_type = "i32", db_type = "Integer")]
    #[state_machine(Entity, column = stage, event = super::ReviewEvent::StageChanged(super::Stages::new(from, to)))]
    #[transition(request, from = Draft, to = Requested)]
    #[transition(approve, from = Requested, to = Approved)]
    pub enum Stage {
        #[state(initial)]
        #[sea_orm(num_value = 10)]
        Draft,
        #[sea_orm(num_value = 20)]
        Requested,
        #[sea_orm(num_value = -1)]
        Approved,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, StateMachine)]
    #[sea_orm(rs_type = "String", db_type = "Enum", enum_name = "mood")]
    #[state_machine(Entity, column = mood, event = super::ReviewEvent::MoodChanged)]
    #[transition(praise, from(Calm, Angry), to = Happy)]
    #[transition(insult, from(Happy, Calm), to = Angry)]
    pub enum Mood {
        #[state(initial)]
        #[sea_orm(string_value = "calm")]
        Calm,
        #[sea_orm(string_value = "very happy")]
        Happy,
        #[sea_orm(string_value = "angry")]
        Angry,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stages {
    from: String,
    to: String,
}

impl Stages {
    fn new(from: review::Stage, to: review::Stage) -> Self {
        Self { from: format!("{from:?}"), to: format!("{to:?}") }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(review::Entity), log = "review_log")]
pub enum ReviewEvent {
    StageChanged(Stages),
    MoodChanged,
}

async fn review(db: &TestDb) -> review::Model {
    let schema = Schema::new(db.get_database_backend());
    for mood in schema.create_enum_from_entity(review::Entity) {
        db.execute(&mood).await.unwrap();
    }
    db.execute(&schema.create_table_from_entity(review::Entity)).await.unwrap();
    let review = review::ActiveModel {
        slug: Set("a'b".to_owned()),
        stage: Set(review::Stage::initial()),
        mood: Set(review::Mood::initial()),
    };
    review.insert(&**db).await.unwrap()
}

async fn review_row(db: &TestDb) -> review::Model {
    review::Entity::find_by_id("a'b").one(&**db).await.unwrap().unwrap()
}

async fn integer_states(db: &TestDb) {
    use review::{Stage, StageTransitions as _};
    let review = review(db).await;
    let requested = review.request(&**db).by_system().await.unwrap();
    assert_eq!(review_row(db).await, requested.model);
    match review.request(&**db).by_system().await.unwrap_err() {
        TransitionError::Changed { expected: "Draft", found: "Requested", .. } => {}
        other => panic!("{other}"),
    }
    let approved = requested.model.approve(&**db).by_system().await.unwrap().model;
    assert_eq!((review_row(db).await.stage, approved.stage), (Stage::Approved, Stage::Approved));
    let page = review.feed::<ReviewEvent>().page(&**db).await.unwrap();
    let stages = Stages { from: "Requested".to_owned(), to: "Approved".to_owned() };
    assert_eq!(page.entries[0].event().unwrap().event, ReviewEvent::StageChanged(stages));
    assert_eq!(changes(page.entries[0].stored()), [change("review_stage", 20, -1)]);
}

/// An enum type of PostgreSQL's and MySQL's own; on SQLite a text.
async fn states_of_the_databases_own_type(db: &TestDb) {
    use review::{Mood, MoodTransition, MoodTransitions as _};
    let review = review(db).await;
    let happy = review.praise(&**db).by_system().await.unwrap().model;
    assert_eq!(review_row(db).await, happy);
    match review.insult(&**db).by_system().await.unwrap_err() {
        TransitionError::Changed { expected: "Calm", found: "Happy", .. } => {}
        other => panic!("{other}"),
    }
    assert_eq!(happy.allowed(), [MoodTransition::Insult]);
    assert_eq!(happy.insult(&**db).by_system().await.unwrap().model.mood, Mood::Angry);
    assert_eq!(review_row(db).await.mood, Mood::Angry);
    let page = review.feed::<ReviewEvent>().page(&**db).await.unwrap();
    assert_eq!(changes(page.entries[0].stored()), [change("mood", "very happy", "angry")]);
}

/// Starts every ticket that is commented, in the transaction that saves the inbox's cursor.
#[inbox(on(Commented), start = beginning)]
async fn starts_commented(event: Event<TicketEvent>, ticket: Subject<ticket::Model>, txn: Txn<'_>) -> InboxResult {
    let stale = ticket::Model { status: Status::Closed, ..(*ticket).clone() };
    let changed = stale.reopen(&txn).by_system().await.unwrap_err();
    assert!(matches!(changed, TransitionError::Changed { .. }), "{changed}");
    let taken = ticket.close(&txn).by_system().recording(|recording| recording.key("taken")).await;
    assert!(matches!(taken, Err(TransitionError::Record(RecordError::KeyConflict { .. }))), "{taken:?}");
    let starting = ticket.start(&txn).by_system().recording(|recording| recording.key(format!("start-{}", event.at)));
    match starting.await {
        Ok(_) => handled(),
        // What was refused or failed was undone to its savepoint: the transaction goes on.
        Err(error @ TransitionError::Forbidden { .. }) => skipped(error.to_string()),
        Err(error) => Err(error.into()),
    }
}

async fn in_an_inboxs_transaction(db: &TestDb) {
    let ticket = ticket(db).await;
    let dispatcher = Dispatcher::builder(&**db).build().unwrap();
    ticket.record(TicketEvent::Commented).by_system().key("taken").save(&**db).await.unwrap();
    ticket.record(TicketEvent::Commented).by_system().save(&**db).await.unwrap();
    let report = dispatcher.drain().await.unwrap();
    assert_eq!((report.total().handled, report.total().skipped), (1, 1));
    assert_eq!(row(db, &ticket).await.status, Status::InProgress);
    assert_eq!(db.number("SELECT count(*) FROM events WHERE action = 'status_changed'").await, 1);
    let newest = &events(db).await[0];
    assert!(newest.causation.is_some(), "{newest:?}");
}

/// As a request whose client goes away: row and event are both there or neither, and the connection is whole.
async fn one_dropped_at_any_moment_is_made_or_not(db: &TestDb) {
    let first = ticket(db).await;
    let pool = db.another(1).await;
    // Prepared beforehand, as in `transact::one_dropped_at_any_moment_leaves_the_connection_whole`.
    first.start(&pool).by_system().await.unwrap();
    let mut made = 0;
    for polls in 1..50 {
        let ticket = another_ticket(db).await;
        let mut dropped = ticket.start(&pool).by_system().into_future();
        let mut left = polls;
        std::future::poll_fn(|context| {
            left -= 1;
            let ended = dropped.as_mut().poll(context).is_ready();
            if ended || left == 0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        drop(dropped);
        // Whatever the connection still had to do is done, and the next one is made and seen. (Were a dropped connection replaced, its
        // successor would have nothing prepared: this prepares it.)
        let next = another_ticket(db).await.start(&pool).by_system().await.unwrap();
        assert_eq!(row(db, &next.model).await, next.model, "after {polls} polls");
        let is_made = row(db, &ticket).await.status == Status::InProgress;
        let events = db.number(&format!("SELECT count(*) FROM events WHERE subject_id = '{}'", ticket.id)).await;
        assert_eq!(events, i64::from(is_made), "after {polls} polls");
        made += events;
    }
    assert!(made > 0, "none of 49 was made");
}

/// A second transition waits for the first one's transaction, and then finds what came of it.
async fn another_transaction_is_waited_for(db: &TestDb) {
    let ticket = ticket(db).await;
    for commits in [false, true] {
        let first = db.begin().await.unwrap();
        ticket.start(&first).by_system().await.unwrap();
        let (other, model) = (db.another(1).await, ticket.clone());
        let second = tokio::spawn(async move { model.close(&other).by_system().await });
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        assert!(!second.is_finished(), "it waits");
        if commits {
            first.commit().await.unwrap();
            match second.await.unwrap().unwrap_err() {
                TransitionError::Changed { expected: "Open", found: "InProgress", .. } => {}
                other => panic!("{other}"),
            }
        } else {
            first.rollback().await.unwrap();
            second.await.unwrap().unwrap();
            let open = ticket::ActiveModel { id: Set(ticket.id), status: Set(Status::Open), ..Default::default() };
            open.update(&**db).await.unwrap();
        }
    }
    assert_eq!(row(db, &ticket).await.status, Status::InProgress);
    assert_eq!(events(db).await.len(), 2);
}

/// REPEATABLE READ, the server's default: the transaction's own reads show what was there when it began.
async fn a_snapshot_of_before_shows_the_newest_state(db: &TestDb) {
    let ticket = ticket(db).await;
    let txn = db.begin().await.unwrap();
    let seen = ticket::Entity::find_by_id(ticket.id).one(&txn).await.unwrap().unwrap();
    ticket.start(&db.another(1).await).by_system().await.unwrap();
    match seen.close(&txn).by_system().await.unwrap_err() {
        TransitionError::Changed { expected: "Open", found: "InProgress", .. } => {}
        // MariaDB from 11.6 on refuses to write over what a snapshot does not show.
        TransitionError::Locked { transition: "close", .. } => {}
        other => panic!("{other}"),
    }
    txn.rollback().await.unwrap();
    assert_eq!(db.kind(), Kind::MySql);
}

#[test]
fn the_machine_as_a_diagram() {
    let expected = "\
stateDiagram-v2
    [*] --> Open
    Open --> InProgress: start
    Reopened --> InProgress: start
    Open --> Closed: close [has_a_title, may_close]
    InProgress --> Closed: close [has_a_title, may_close]
    Closed --> Reopened: reopen
    InProgress --> InProgress: escalate
    Closed --> Archived: archive
    Archived --> [*]
";
    assert_eq!(Status::mermaid(), expected);
    assert_eq!(Status::states().len(), 5);
    assert_eq!(Status::initial(), Status::Open);
    assert_eq!(StatusTransition::Close.guards().collect::<Vec<_>>(), ["has_a_title", "may_close"]);
}
