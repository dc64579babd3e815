//! The context: who acts, in which request, what this is part of; and what came of an event, as a tree.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use behaviour::models::{self, AccountEvent, IssueEvent, PageEvent, issue, user};
use behaviour::{TestDb, on_every_database};
use event_core::RecordingError;
use event_sea_orm::prelude::*;
use sea_orm::DatabaseConnection;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

on_every_database! {
    a_scope_fills_in_what_a_recording_leaves_open
    a_recording_goes_before_its_context
    scopes_nest
    without_an_actor_anywhere_it_is_refused
    a_model_adds_its_defaults
    a_task_of_its_own_has_no_context_unless_it_is_handed_on
    what_a_handler_records_is_caused_by_its_event
    a_transactional_handler_does_so_too
    a_chain_of_one_request_is_a_tree
    a_tree_begins_with_the_event_that_began_it
    a_circle_of_causes_is_no_trap
    nobody_joins_a_tree_by_the_name_of_its_event
    a_chain_of_thousands_and_a_broad_tree_are_shown
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, name = "ordered"), actor(user::Entity))]
enum OrderEvent {
    Placed,
    Paid,
    Shipped,
}

/// With what the model itself adds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(milestone::Entity), actor(user::Entity), defaults)]
enum MilestoneEvent {
    Added,
}

#[allow(unreachable_pub, reason = "SeaORM's entities are written so")]
mod milestone {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "milestones")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl EventDefaults for milestone::Model {
    fn event_defaults(&self) -> Metadata {
        Metadata::from_iter([("project_id".to_owned(), json!(self.id + 100)), ("tenant".to_owned(), json!("own"))])
    }
}

/// Records a step of its own for each.
#[inbox(on(Placed), start = beginning)]
async fn charges(event: Event<OrderEvent>, db: Db) -> InboxResult {
    OrderEvent::Paid.on(event.subject.id.as_str()).by_system().save(&*db).await?;
    handled()
}

#[inbox(on(Paid), start = beginning)]
async fn ships(event: Event<OrderEvent>, txn: Txn<'_>) -> InboxResult {
    OrderEvent::Shipped.on(event.subject.id.as_str()).by_system().save(&txn).await?;
    handled()
}

#[inbox(on(Paid), start = beginning)]
async fn notes(event: Event<OrderEvent>, db: Db) -> InboxResult {
    PageEvent::Edited { lines: 1 }.on(format!("order-{}", event.subject.id)).by_system().save(&*db).await?;
    handled()
}

async fn only<E>(db: &TestDb, feed: Feed<E>) -> std::sync::Arc<StoredEvent>
where
    E: DomainEvent<Subject: sea_orm::EntityTrait, Actors: event_sea_orm::ActorEntities<E>>,
    KeyOf<E::Subject>: TextKey,
{
    let page = feed.page(&**db).await.unwrap();
    assert_eq!(page.entries.len(), 1);
    page.entries[0].stored().clone()
}

fn request(ada: &user::Model) -> EventContext {
    EventContext::new()
        .by_ref(actor_of::<IssueEvent, _>(ada))
        .request_id("req-1")
        .ip_address("192.0.2.7".parse().unwrap())
        .user_agent("curl/8")
        .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .correlation("c-1")
        .caused_by(EventRef::new("other", 3))
        .field("tenant", "acme")
}

async fn a_scope_fills_in_what_a_recording_leaves_open(db: &TestDb) {
    let (ada, first) = (models::user(&**db, "Ada").await, models::issue(&**db, "First").await);
    with_context(request(&ada), async {
        first.record(IssueEvent::Created).save(&**db).await.unwrap();
        record_many(&**db, [AccountEvent::SignedIn.on(ada.id)]).await.unwrap();
    })
    .await;
    let facts = json!({
        "request_id": "req-1",
        "ip_address": "192.0.2.7",
        "user_agent": "curl/8",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tenant": "acme",
    });
    for event in [only(db, IssueEvent::feed()).await, only(db, AccountEvent::feed()).await] {
        assert_eq!(event.actor, Some(ActorRef::new("user", ada.id.to_string())));
        assert_eq!(event.context.clone().map(Value::Object), Some(facts.clone()));
        assert_eq!(event.correlation_id.as_deref(), Some("c-1"));
        assert_eq!(event.causation, Some(EventRef::new("other", 3)));
        assert!(event.metadata.is_empty(), "the user's metadata is the user's");
    }
    // And nothing outlives the scope.
    let outside = AccountEvent::Deactivated.on(1).save(&**db).await.unwrap_err();
    assert!(matches!(outside, RecordError::Invalid(RecordingError::MissingActor { .. })), "{outside:?}");
}

async fn a_recording_goes_before_its_context(db: &TestDb) {
    let (ada, bob) = (models::user(&**db, "Ada").await, models::user(&**db, "Bob").await);
    with_context(request(&ada), async {
        let recording = IssueEvent::Created.on(1).by(&bob).correlation("mine").context("tenant", "other");
        recording.caused_by(EventRef::new("events", 9)).save(&**db).await.unwrap();
    })
    .await;
    let event = only(db, IssueEvent::feed()).await;
    assert_eq!(event.actor, Some(ActorRef::new("user", bob.id.to_string())));
    assert_eq!(event.correlation_id.as_deref(), Some("mine"));
    assert_eq!(event.causation, Some(EventRef::new("events", 9)));
    let context = event.context.as_ref().unwrap();
    assert_eq!((context["tenant"].as_str(), context["request_id"].as_str()), (Some("other"), Some("req-1")));
}

async fn scopes_nest(db: &TestDb) {
    let ada = models::user(&**db, "Ada").await;
    let inner = EventContext::new().by_system().field("job", 7);
    with_context(
        request(&ada),
        with_context(inner, async {
            // The inner future was made outside of the outer one's scope: only what runs in it counts.
            IssueEvent::Created.on(1).save(&**db).await.unwrap();
        }),
    )
    .await;
    with_context(request(&ada), async {
        let inner = EventContext::new().by_system().field("job", 7);
        with_context(inner, async { IssueEvent::Closed.on(1).save(&**db).await.unwrap() }).await;
    })
    .await;
    let closed = IssueEvent::feed().actions([models::IssueEventAction::Closed]);
    let event = only(db, closed).await;
    assert_eq!(event.actor, None);
    let context = event.context.as_ref().unwrap();
    assert_eq!((context["job"].as_i64(), context["tenant"].as_str()), (Some(7), Some("acme")));
    let created = only(db, IssueEvent::feed().actions([models::IssueEventAction::Created])).await;
    assert_eq!(created.context.as_ref().unwrap()["job"], 7);
}

async fn without_an_actor_anywhere_it_is_refused(db: &TestDb) {
    let context = EventContext::new().request_id("req-1");
    let error = with_context(context, IssueEvent::Closed.on(1).save(&**db)).await.unwrap_err();
    assert!(error.to_string().contains("in the context (`with_context`)"), "{error}");
}

async fn a_model_adds_its_defaults(db: &TestDb) {
    let first = milestone::Model { id: 7 };
    let scope = EventContext::new().by_system().field("tenant", "scope").request_id("req-1");
    with_context(scope, async { first.record(MilestoneEvent::Added).save(&**db).await.unwrap() }).await;
    let event = only(db, MilestoneEvent::feed()).await;
    let expected = json!({"project_id": first.id + 100, "tenant": "own", "request_id": "req-1"});
    assert_eq!(event.context.clone().map(Value::Object), Some(expected));
    first.record(MilestoneEvent::Added).by_system().context("tenant", "mine").save(&**db).await.unwrap();
    let newest = MilestoneEvent::feed().page(&**db).await.unwrap().entries.remove(0);
    assert_eq!(newest.context.as_ref().unwrap()["tenant"], "mine");
    // Without a model at hand there is none to ask; and an enum that does not say so is not concerned.
    let id = MilestoneEvent::Added.on(first.id).by_system().save(&**db).await.unwrap().event().unwrap().id;
    assert_eq!(db.number(&format!("SELECT count(*) FROM events WHERE id = {id} AND context IS NULL")).await, 1);
    let issue = models::issue(&**db, "First").await;
    let other = issue.record(OrderEvent::Placed).by_system().save(&**db).await.unwrap().event().unwrap().id;
    assert_eq!(db.number(&format!("SELECT count(*) FROM events WHERE id = {other} AND context IS NULL")).await, 1);
}

async fn a_task_of_its_own_has_no_context_unless_it_is_handed_on(db: &TestDb) {
    async fn close(db: DatabaseConnection) -> Result<Saved, RecordError> {
        IssueEvent::Closed.on(1).save(&db).await
    }
    let pool = db.another(1).await;
    with_context(EventContext::new().by_system(), async {
        tokio::spawn(close(pool.clone())).await.unwrap().unwrap_err();
        tokio::spawn(with_context(EventContext::current(), close(pool.clone()))).await.unwrap().unwrap();
    })
    .await;
    pool.close().await.unwrap();
}

async fn run(db: &TestDb, inboxes: &[&'static str]) {
    let dispatcher = Dispatcher::builder(&**db).only(inboxes.iter().copied()).build().unwrap();
    dispatcher.drain().await.unwrap();
}

async fn what_a_handler_records_is_caused_by_its_event(db: &TestDb) {
    let placed = OrderEvent::Placed.on(1).by_system().correlation("c-7").save(&**db).await.unwrap();
    run(db, &["charges"]).await;
    let paid = only(db, OrderEvent::feed().actions([OrderEventAction::Paid])).await;
    assert_eq!(paid.causation.as_ref(), placed.event());
    assert_eq!(paid.correlation_id.as_deref(), Some("c-7"));
    assert_eq!(paid.context.as_ref().unwrap()["inbox"], "charges");
}

async fn a_transactional_handler_does_so_too(db: &TestDb) {
    let paid = OrderEvent::Paid.on(1).by_system().save(&**db).await.unwrap();
    run(db, &["ships"]).await;
    let shipped = only(db, OrderEvent::feed().actions([OrderEventAction::Shipped])).await;
    assert_eq!(shipped.causation.as_ref(), paid.event());
    assert_eq!(shipped.correlation_id, paid.event().map(ToString::to_string), "the first gives the chain its name");
    assert_eq!(shipped.context.as_ref().unwrap()["inbox"], "ships");
}

async fn a_chain_of_one_request_is_a_tree(db: &TestDb) {
    with_context(EventContext::new().by_system().request_id("req-1").correlation("req-1"), async {
        OrderEvent::Placed.on(1).save(&**db).await.unwrap();
        AccountEvent::SignedIn.on(5).save(&**db).await.unwrap();
    })
    .await;
    OrderEvent::Placed.on(2).by_system().save(&**db).await.unwrap();
    run(db, &["charges", "notes", "ships"]).await;

    let tree = EventTree::correlated(&**db, "req-1").await.unwrap();
    let shown = tree.to_string();
    let of_1: Vec<_> = shown.lines().map(|line| line.split(": ").next().unwrap().to_owned()).collect();
    let id = |action: &str, subject: &str| {
        let query = format!("SELECT id FROM events WHERE action = '{action}' AND subject_id = '{subject}'");
        async move { db.number(&query).await }
    };
    let (paid, shipped, edited) = (id("paid", "1").await, id("shipped", "1").await, id("edited", "order-1").await);
    let mut expected = vec![
        "events/1 placed".to_owned(),
        format!("  charges → events/{paid} paid"),
        format!("    notes → events/{edited} edited"),
        format!("    ships → events/{shipped} shipped"),
        "audit_events/1 signed_in".to_owned(),
    ];
    // Whichever of the two was faster.
    let mut seen = of_1.clone();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected, "{shown}");
    assert!(tree.complete);
    let roots: Vec<_> = tree.roots().collect();
    assert_eq!(roots.len(), 2);
    assert_eq!(roots[0].caused().next().unwrap().inbox(), Some("charges"));
    // The same from any of its events.
    let from_leaf = EventTree::of(&**db, &EventRef::new("events", shipped)).await.unwrap();
    assert_eq!(from_leaf.to_string(), shown);
}

async fn a_tree_begins_with_the_event_that_began_it(db: &TestDb) {
    let placed = OrderEvent::Placed.on(1).by_system().save(&**db).await.unwrap();
    run(db, &["charges"]).await;
    run(db, &["notes"]).await;
    let tree = EventTree::of(&**db, placed.event().unwrap()).await.unwrap();
    let [root] = tree.roots().collect::<Vec<_>>()[..] else { panic!("{tree}") };
    assert_eq!(Some(&root.event().at), placed.event());
    let last = root.caused().next().unwrap().caused().next().unwrap();
    assert_eq!(last.event().subject, SubjectRef::new("wiki_page", "order-1"));
    assert_eq!(tree.correlation_id, "events/1");
    let nothing = EventTree::of(&**db, &EventRef::new("events", 999)).await.unwrap();
    assert!(nothing.is_empty() && nothing.complete);
}

/// A correlation id that a client may choose would else put its events into the tree of somebody else's.
async fn nobody_joins_a_tree_by_the_name_of_its_event(db: &TestDb) {
    let placed = OrderEvent::Placed.on(1).by_system().save(&**db).await.unwrap();
    let name = placed.event().unwrap().to_string();
    let theirs = || OrderEvent::Placed.on(2).by_system();
    let scope = EventContext::new().correlation(&name);
    let refused = [
        theirs().correlation(&name).save(&**db).await,
        with_context(scope, theirs().save(&**db)).await,
        record_many(&**db, [theirs(), theirs().correlation(&name)]).await.map(|mut saved| saved.remove(0)),
    ];
    for refused in refused {
        assert!(
            matches!(refused, Err(RecordError::Invalid(RecordingError::ReservedCorrelation { .. }))),
            "{refused:?}"
        );
    }
    // Of another program's log, for all we know; and what only looks like a name.
    for id in ["order/77", "events/", "events/x", "events", "7"] {
        theirs().correlation(id).save(&**db).await.unwrap();
    }
    let tree = EventTree::of(&**db, placed.event().unwrap()).await.unwrap();
    assert_eq!(tree.roots().count(), 1, "{tree}");

    // Who has the event may.
    let stored = only(db, OrderEvent::feed().of_id("1")).await;
    theirs().correlated_with(&stored).save(&**db).await.unwrap();
    with_context(EventContext::new().correlated_with(&stored), theirs().save(&**db)).await.unwrap();
    let tree = EventTree::of(&**db, placed.event().unwrap()).await.unwrap();
    assert_eq!(tree.roots().count(), 3, "{tree}");
    let second = only(db, OrderEvent::feed().of_id("2").limit(1)).await;
    theirs().correlated_with(&second).save(&**db).await.unwrap();
    assert_eq!(EventTree::of(&**db, placed.event().unwrap()).await.unwrap().roots().count(), 4);
}

async fn a_circle_of_causes_is_no_trap(db: &TestDb) {
    for cause in [1, 3, 2] {
        let recording = OrderEvent::Placed.on(1).by_system().correlation("round");
        recording.caused_by(EventRef::new("events", cause)).save(&**db).await.unwrap();
    }
    let tree = EventTree::correlated(&**db, "round").await.unwrap();
    assert_eq!(tree.len(), 3, "{tree}");
}

/// A handler that records its own successor, and one that records thousands at once.
async fn a_chain_of_thousands_and_a_broad_tree_are_shown(db: &TestDb) {
    const EVENTS: i64 = 9_000;
    let of = |correlation: &'static str, id: i64, cause: i64| {
        let recording = OrderEvent::Placed.on(id).by_system().correlation(correlation);
        if cause > 0 { recording.caused_by(EventRef::new("events", cause)) } else { recording }
    };
    record_many(&**db, (1..=EVENTS).map(|id| of("deep", id, id - 1))).await.unwrap();
    let deep = EventTree::correlated(&**db, "deep").await.unwrap();
    assert_eq!((deep.len(), deep.roots().count(), deep.complete), (9_000, 1, true));
    let shown = deep.clone().to_string();
    assert_eq!(shown.lines().count(), 9_000);
    assert!(shown.len() < 1_000_000, "{} bytes", shown.len());
    assert!(shown.lines().last().unwrap().trim_start().starts_with("(8999) events/9000 placed"), "no last line");
    assert!(format!("{deep:?}").len() > 9_000);
    let (mut node, mut depth) = (deep.roots().next().unwrap(), 0);
    while let Some(caused) = node.caused().next() {
        (node, depth) = (caused, depth + 1);
    }
    assert_eq!(depth, 8_999);

    let first = EVENTS + 1;
    let broad = (first..first + 5_000).map(|id| of("broad", id, if id == first { 0 } else { first }));
    record_many(&**db, broad).await.unwrap();
    let broad = EventTree::correlated(&**db, "broad").await.unwrap();
    let [root] = broad.roots().collect::<Vec<_>>()[..] else { panic!("one root") };
    assert_eq!((root.caused().len(), broad.to_string().lines().count()), (4_999, 5_000));
}
