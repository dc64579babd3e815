//! Inboxes found at link time, what they take, where they start, how they are run, drained and stopped.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use behaviour::models::{self, AccountEvent, IssueEvent, PageEvent};
use behaviour::raw::RawEvent;
use behaviour::seen::Seen;
use behaviour::{Kind, TestDb, on_every_database};
use event_core::dispatch::BuildError;
use event_core::{Delivery, registry};
use event_sea_orm::prelude::*;
use tokio::sync::oneshot;

// Statements of reading are counted on SQLite alone: on servers the dispatcher reads on connections of its own.
on_every_database! {
    every_inbox_sees_every_event_that_it_takes_once
    one_inbox_reads_two_logs
    filters_are_asked_per_event
    a_new_inbox_starts_now_or_at_the_beginning
    what_is_rolled_back_is_never_delivered
    what_handlers_record_is_drained_too
    a_drain_of_handlers_without_end_is_bounded
    a_drains_round_ends_where_the_log_ended
    running_delivers_at_once_after_a_commit
    running_polls_for_what_nobody_told_it_of
    a_shutdown_lets_handlers_end
    a_shutdown_does_not_wait_for_the_backlog
    a_dispatcher_does_one_thing_at_a_time
    a_slow_inbox_holds_up_no_other
    concurrency_is_bounded_by_the_setting
    arguments_are_taken_from_the_delivery
    subjects_and_actors_are_loaded
    ids_that_never_came_hold_up_nobody
    everything_that_is_wrong_is_told_when_the_dispatcher_is_built
    ; sqlite_only:
    the_log_is_read_once_for_all_inboxes
}

#[inbox]
async fn all_issues(event: Event<IssueEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note(format!("all_issues {}", event.id()));
    handled()
}

#[inbox(on(Commented, Closed))]
async fn some_issues(event: Event<IssueEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note(format!("some_issues {}", event.id()));
    handled()
}

#[inbox]
async fn anything(event: AnyEvent, State(seen): State<Seen>) -> InboxResult {
    seen.note(format!("anything {}", event.at));
    handled()
}

#[inbox(on(IssueEvent::Closed, AccountEvent::Deactivated))]
async fn endings(event: AnyEvent, State(seen): State<Seen>) -> InboxResult {
    seen.note(format!("endings {} {}", event.subject, event.action));
    handled()
}

fn is_long(event: &Event<IssueEvent>) -> bool {
    matches!(event.event, IssueEvent::Commented { comment_id } if comment_id > 10)
}

fn is_even(event: &Event<IssueEvent>) -> bool {
    matches!(event.event, IssueEvent::Commented { comment_id } if comment_id % 2 == 0)
}

#[inbox(on(Commented), when(is_long, is_even))]
async fn long_and_even(event: Event<IssueEvent>, State(seen): State<Seen>) -> InboxResult {
    let IssueEvent::Commented { comment_id } = event.event else { return skipped("not a comment") };
    seen.note(format!("long_and_even {comment_id}"));
    handled()
}

#[inbox(start = beginning)]
async fn historian(event: Event<IssueEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note(format!("historian {}", event.id()));
    handled()
}

/// An inbox as a type with helpers of its own.
struct Closer;

#[inbox(on(Commented))]
impl Closer {
    async fn handle(event: Event<IssueEvent>, db: Db) -> InboxResult {
        if Self::is_last(&event) {
            IssueEvent::Closed.on(event.subject.id.as_str()).by_system().caused_by(event.at.clone()).save(&*db).await?;
        }
        handled()
    }

    fn is_last(event: &Event<IssueEvent>) -> bool {
        matches!(event.event, IssueEvent::Commented { comment_id: 99 })
    }
}

#[inbox(on(Commented))]
async fn echo_for_ever(event: Event<IssueEvent>, db: Db) -> InboxResult {
    IssueEvent::Commented { comment_id: 1 }.on(event.subject.id.as_str()).by_system().save(&*db).await?;
    handled()
}

/// Never answers until it is let go.
#[derive(Clone, Default)]
struct Gate(std::sync::Arc<tokio::sync::Notify>);

#[inbox(concurrency = 2)]
async fn slow(event: Event<IssueEvent>, State(seen): State<Seen>, State(gate): State<Gate>) -> InboxResult {
    seen.note(format!("slow begins {}", event.id()));
    gate.0.notified().await;
    seen.note(format!("slow ends {}", event.id()));
    handled()
}

/// An extractor of the user's own.
struct Tenant(String);

impl<'a> FromDelivery<'a> for Tenant {
    async fn from_delivery(delivery: &'a Delivery<'a>) -> Result<Self, InboxError> {
        let State(seen) = State::<Seen>::from_delivery(delivery).await?;
        Ok(Self(format!("{} lines at {}", seen.lines().len(), delivery.inbox())))
    }

    fn declare(needs: &mut Needs) {
        State::<Seen>::declare(needs);
    }
}

#[inbox(on(Created))]
async fn arguments(
    tenant: Tenant,
    event: Event<IssueEvent>,
    attempt: Attempt,
    State(seen): State<Seen>,
    db: Db,
) -> InboxResult {
    let issues = <models::issue::Entity as sea_orm::EntityTrait>::find_by_id(7).one(&*db).await?;
    seen.note(format!("{} {} {}/{} {}", tenant.0, event.action, attempt.number, attempt.max, issues.is_none()));
    handled()
}

#[inbox]
async fn loaded(
    event: Event<IssueEvent>,
    issue: Subject<models::issue::Model>,
    user: Option<Actor<models::user::Model>>,
    State(seen): State<Seen>,
) -> InboxResult {
    let name = user.map_or_else(|| "nobody".to_owned(), |user| user.name.clone());
    seen.note(format!("{name} {} {}", event.action, issue.title));
    handled()
}

fn dispatcher(db: &TestDb, seen: &Seen, only: &[&str]) -> Dispatcher {
    Dispatcher::builder(&**db).state(seen.clone()).only(only.iter().copied()).build().unwrap()
}

async fn comment(db: &TestDb, comment_id: i64) {
    IssueEvent::Commented { comment_id }.on(1).by_system().save(&**db).await.unwrap();
}

async fn every_inbox_sees_every_event_that_it_takes_once(db: &TestDb) {
    let seen = Seen::default();
    let dispatcher = dispatcher(db, &seen, &["all_issues", "some_issues"]);
    dispatcher.register().await.unwrap();
    IssueEvent::Created.on(1).by_system().save(&**db).await.unwrap();
    PageEvent::Created.on("start").by_system().save(&**db).await.unwrap();
    comment(db, 5).await;
    let report = dispatcher.drain().await.unwrap();
    let mut lines = seen.take();
    lines.sort();
    assert_eq!(lines, ["all_issues 1", "all_issues 3", "some_issues 3"], "in whatever order of the inboxes");
    assert!(report.complete);
    assert_eq!((report.inboxes["all_issues"].handled, report.inboxes["some_issues"].handled), (2, 1));
    let again = dispatcher.drain().await.unwrap();
    assert_eq!((again.total().handled, seen.lines().len()), (0, 0));
}

async fn one_inbox_reads_two_logs(db: &TestDb) {
    let seen = Seen::default();
    let dispatcher = dispatcher(db, &seen, &["anything", "endings"]);
    dispatcher.register().await.unwrap();
    IssueEvent::Closed.on(1).by_system().save(&**db).await.unwrap();
    AccountEvent::Deactivated.on(2).by_system().save(&**db).await.unwrap();
    AccountEvent::SignedIn.on(2).by_system().save(&**db).await.unwrap();
    PageEvent::Created.on("start").by_system().save(&**db).await.unwrap();
    dispatcher.drain().await.unwrap();
    let mut lines = seen.lines();
    lines.sort();
    let expected = [
        "anything audit_events/1",
        "anything audit_events/2",
        "anything events/1",
        "anything events/2",
        "endings issue 1 closed",
        "endings user 2 deactivated",
    ];
    assert_eq!(lines, expected);
    // Ids of two logs are apart: each has a cursor of its own.
    assert_eq!(db.number("SELECT count(*) FROM event_cursors WHERE inbox = 'anything' AND high = 2").await, 2);
}

async fn filters_are_asked_per_event(db: &TestDb) {
    let seen = Seen::default();
    let dispatcher = dispatcher(db, &seen, &["long_and_even"]);
    dispatcher.register().await.unwrap();
    for comment_id in [2, 11, 12] {
        comment(db, comment_id).await;
    }
    let report = dispatcher.drain().await.unwrap();
    assert_eq!(seen.lines(), ["long_and_even 12"]);
    assert_eq!((report.total().handled, report.total().skipped), (1, 2));
}

async fn a_new_inbox_starts_now_or_at_the_beginning(db: &TestDb) {
    let seen = Seen::default();
    comment(db, 1).await;
    comment(db, 2).await;
    let dispatcher = dispatcher(db, &seen, &["all_issues", "historian"]);
    dispatcher.drain().await.unwrap();
    assert_eq!(seen.take(), ["historian 1", "historian 2"]);
    comment(db, 3).await;
    dispatcher.drain().await.unwrap();
    let mut lines = seen.take();
    lines.sort();
    assert_eq!(lines, ["all_issues 3", "historian 3"]);
}

async fn what_is_rolled_back_is_never_delivered(db: &TestDb) {
    let seen = Seen::default();
    let dispatcher = dispatcher(db, &seen, &["all_issues"]);
    dispatcher.register().await.unwrap();
    let failed = db
        .transact(async |txn| {
            IssueEvent::Closed.on(1).by_system().save(txn).await?;
            Err::<(), _>(RecordError::from(sea_orm::DbErr::Custom("the user's own reason".to_owned())))
        })
        .await;
    assert!(failed.is_err());
    comment(db, 1).await;
    dispatcher.drain().await.unwrap();
    assert_eq!(seen.lines().len(), 1);
}

async fn what_handlers_record_is_drained_too(db: &TestDb) {
    let seen = Seen::default();
    let dispatcher = dispatcher(db, &seen, &["closer", "endings"]);
    dispatcher.register().await.unwrap();
    comment(db, 99).await;
    let report = dispatcher.drain().await.unwrap();
    assert!(report.complete);
    assert_eq!(seen.lines(), ["endings issue 1 closed"]);
    let feed = IssueEvent::feed().page(&**db).await.unwrap();
    assert_eq!(feed.entries[0].causation.as_ref().map(ToString::to_string).as_deref(), Some("events/1"));
}

async fn a_drain_of_handlers_without_end_is_bounded(db: &TestDb) {
    let dispatcher = Dispatcher::builder(&**db).only(["echo_for_ever"]).drain_rounds(5).build().unwrap();
    dispatcher.register().await.unwrap();
    comment(db, 1).await;
    let report = dispatcher.drain().await.unwrap();
    assert!(!report.complete);
    assert_eq!(report.total().handled, 5);
}

async fn a_drains_round_ends_where_the_log_ended(db: &TestDb) {
    // Every page is full, since each event has a handler record another one: only the end of a round bounds it.
    let dispatcher = Dispatcher::builder(&**db).only(["echo_for_ever"]).page(2).drain_rounds(3).build().unwrap();
    dispatcher.register().await.unwrap();
    for _ in 0..6 {
        comment(db, 1).await;
    }
    let report = dispatcher.drain().await.unwrap();
    assert!(!report.complete);
    assert_eq!(report.total().handled, 18, "six in each of three rounds");
}

/// Stops the dispatcher from inside, at the tenth event.
#[derive(Clone, Default)]
struct Stop(std::sync::Arc<tokio::sync::Notify>);

#[inbox(start = beginning)]
async fn stopper(event: Event<IssueEvent>, State(seen): State<Seen>, State(stop): State<Stop>) -> InboxResult {
    seen.note(event.id().to_string());
    if event.id() == 10 {
        stop.0.notify_one();
    }
    handled()
}

#[inbox(start = beginning)]
async fn transactional_stopper(
    event: Event<IssueEvent>,
    State(seen): State<Seen>,
    State(stop): State<Stop>,
    _txn: Txn<'_>,
) -> InboxResult {
    seen.note(event.id().to_string());
    if event.id() == 10 {
        stop.0.notify_one();
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    handled()
}

async fn a_shutdown_does_not_wait_for_the_backlog(db: &TestDb) {
    const EVENTS: i64 = 3_000;
    let drafts = (0..EVENTS).map(|comment_id| IssueEvent::Commented { comment_id }.on(1).by_system());
    record_many(&**db, drafts).await.unwrap();
    for inbox in ["stopper", "transactional_stopper"] {
        let (seen, stop) = (Seen::default(), Stop::default());
        let (state, told) = (stop.clone(), stop.0.clone());
        let dispatcher =
            Dispatcher::builder(&**db).state(seen.clone()).state(state).only([inbox]).page(10).build().unwrap();
        dispatcher.run(async move { told.notified().await }).await.unwrap();
        let delivered = seen.lines().len();
        assert!((10..EVENTS as usize).contains(&delivered), "{inbox}: {delivered} delivered before it stopped");
        let report = dispatcher.drain().await.unwrap();
        assert_eq!(report.total().handled as usize + delivered, EVENTS as usize, "{inbox}: and the rest later, once");
    }
}

async fn a_dispatcher_does_one_thing_at_a_time(db: &TestDb) {
    let dispatcher = dispatcher(db, &Seen::default(), &["all_issues"]);
    beside(&dispatcher, async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let error = dispatcher.drain().await.unwrap_err();
        assert_eq!(error.kind(), event_core::storage::StorageErrorKind::Busy);
        assert!(error.to_string().contains("build another one"), "{error}");
    })
    .await;
    dispatcher.drain().await.unwrap();
    // A run that is dropped gives the dispatcher back.
    tokio::select! {
        _ = dispatcher.run(std::future::pending()) => unreachable!("nothing stops it"),
        () = tokio::time::sleep(Duration::from_millis(50)) => {}
    }
    dispatcher.drain().await.unwrap();
}

/// Runs the dispatcher beside `test`, and stops it after.
async fn beside<T>(dispatcher: &Dispatcher, test: impl Future<Output = T>) -> T {
    dispatcher.register().await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = dispatcher.clone();
    let run = tokio::spawn(async move { running.run(async { drop(stopped.await) }).await });
    let value = test.await;
    drop(stop);
    run.await.unwrap().unwrap();
    value
}

async fn running_delivers_at_once_after_a_commit(db: &TestDb) {
    let seen = Seen::default();
    // Polling alone would take an hour.
    let hour = Duration::from_secs(3_600);
    let dispatcher =
        Dispatcher::builder(&**db).state(seen.clone()).only(["all_issues"]).poll(hour, hour).build().unwrap();
    beside(&dispatcher, async {
        for line in 1..=3 {
            db.transact(async |txn| IssueEvent::Closed.on(1).by_system().save(txn).await).await.unwrap();
            seen.wait_for(line).await;
        }
    })
    .await;
    assert_eq!(seen.lines(), ["all_issues 1", "all_issues 2", "all_issues 3"]);
}

async fn running_polls_for_what_nobody_told_it_of(db: &TestDb) {
    let seen = Seen::default();
    let dispatcher = dispatcher(db, &seen, &["all_issues"]);
    beside(&dispatcher, async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        // As another process would: past every hook of ours.
        RawEvent::closed().write(db).await.unwrap();
        seen.wait_for(1).await;
    })
    .await;
}

async fn a_shutdown_lets_handlers_end(db: &TestDb) {
    let (seen, gate) = (Seen::default(), Gate::default());
    let dispatcher = Dispatcher::builder(&**db).state(seen.clone()).state(gate.clone()).only(["slow"]).build().unwrap();
    dispatcher.register().await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = dispatcher.clone();
    let run = tokio::spawn(async move { running.run(async { drop(stopped.await) }).await });
    comment(db, 1).await;
    seen.wait_for(1).await;
    drop(stop);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!run.is_finished(), "it has to wait for the handler");
    gate.0.notify_one();
    run.await.unwrap().unwrap();
    assert_eq!(seen.lines(), ["slow begins 1", "slow ends 1"]);
    // Everything is saved, nobody holds the inbox, and nothing is suspect to the next owner.
    assert_eq!(db.rows("SELECT high, ceiling, in_flight, owner FROM event_cursors").await, ["1 1  -"]);
}

async fn a_slow_inbox_holds_up_no_other(db: &TestDb) {
    let (seen, gate) = (Seen::default(), Gate::default());
    let dispatcher = Dispatcher::builder(&**db)
        .state(seen.clone())
        .state(gate.clone())
        .only(["slow", "all_issues"])
        .build()
        .unwrap();
    beside(&dispatcher, async {
        for line in 1..=20 {
            comment(db, line).await;
        }
        while seen.count("all_issues") < 20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(seen.count("slow ends"), 0);
        for _ in 0..10 {
            gate.0.notify_waiters();
            gate.0.notify_one();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        while seen.count("slow ends") < 20 {
            gate.0.notify_one();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

async fn concurrency_is_bounded_by_the_setting(db: &TestDb) {
    let (seen, gate) = (Seen::default(), Gate::default());
    let dispatcher = Dispatcher::builder(&**db).state(seen.clone()).state(gate.clone()).only(["slow"]).build().unwrap();
    beside(&dispatcher, async {
        for line in 1..=5 {
            comment(db, line).await;
        }
        seen.wait_for(2).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(seen.lines(), ["slow begins 1", "slow begins 2"]);
        while seen.count("slow ends") < 5 {
            gate.0.notify_one();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

async fn the_log_is_read_once_for_all_inboxes(db: &TestDb) {
    let seen = Seen::default();
    let dispatcher = Dispatcher::builder(&**db)
        .state(seen.clone())
        .only(["all_issues", "some_issues", "historian", "anything"])
        .page(10)
        .build()
        .unwrap();
    dispatcher.register().await.unwrap();
    for comment_id in 0..100 {
        comment(db, comment_id).await;
    }
    db.take_statements();
    dispatcher.drain().await.unwrap();
    assert_eq!(seen.lines().len(), 400);
    let reads = db.take_statements().into_iter().filter(|read| read.sql.contains("FROM \"events\" WHERE id >")).count();
    // Ten pages and an empty one in the first round, an empty one in the second; some room for lanes that drift apart.
    assert!(reads < 20, "{reads} reads for ten pages and four inboxes");
}

async fn arguments_are_taken_from_the_delivery(db: &TestDb) {
    let seen = Seen::default();
    let dispatcher = dispatcher(db, &seen, &["arguments"]);
    dispatcher.register().await.unwrap();
    IssueEvent::Created.on(1).by_system().save(&**db).await.unwrap();
    let report = dispatcher.drain().await.unwrap();
    assert_eq!(seen.lines(), ["0 lines at arguments created 1/12 true"], "{report:?}");
}

async fn subjects_and_actors_are_loaded(db: &TestDb) {
    let seen = Seen::default();
    let ada = models::user(&**db, "Ada").await;
    let issue = models::issue(&**db, "Broken").await;
    let dispatcher = dispatcher(db, &seen, &["loaded"]);
    dispatcher.register().await.unwrap();
    issue.record(IssueEvent::Created).by(&ada).save(&**db).await.unwrap();
    issue.record(IssueEvent::Closed).by_system().save(&**db).await.unwrap();
    // A robot of the same id is no user.
    let robot = ActorRef::new("robot", ada.id);
    issue.record(IssueEvent::Closed).by_ref(robot).save(&**db).await.unwrap();
    // And a subject that is not there is a dead letter that says so.
    IssueEvent::Closed.on(4_711).by(&ada).save(&**db).await.unwrap();
    dispatcher.drain().await.unwrap();
    let mut lines = seen.lines();
    lines.sort();
    assert_eq!(lines, ["Ada created Broken", "nobody closed Broken", "nobody closed Broken"]);
    let dead = dispatcher.dead_letters().newest().await.unwrap();
    assert_eq!(dead.len(), 1);
    assert!(dead[0].error.contains("subject (issue 4711) is not there"), "{}", dead[0].error);
}

/// Ids that will never be an event's: on SQLite skipped by hand, since a rolled-back one is given out again there.
async fn burn_ids(db: &TestDb) {
    if db.kind() == Kind::Sqlite {
        db.sql("UPDATE sqlite_sequence SET seq = 999 WHERE name = 'events'").await.unwrap();
        comment(db, 1).await;
        return;
    }
    let rolled_back = db.transact(async |txn| {
        for _ in 0..20 {
            IssueEvent::Closed.on(1).by_system().save(txn).await?;
        }
        Err::<(), _>(RecordError::from(sea_orm::DbErr::Custom("the user's own reason".to_owned())))
    });
    assert!(rolled_back.await.is_err());
    comment(db, 1).await;
}

async fn ids_that_never_came_hold_up_nobody(db: &TestDb) {
    let seen = Seen::default();
    let dispatcher = dispatcher(db, &seen, &["all_issues"]);
    dispatcher.register().await.unwrap();
    comment(db, 1).await;
    burn_ids(db).await;
    comment(db, 2).await;
    dispatcher.drain().await.unwrap();
    let ids = db.rows("SELECT id FROM events ORDER BY id").await;
    assert_eq!(seen.lines(), ids.iter().map(|id| format!("all_issues {id}")).collect::<Vec<_>>());
    assert!(ids.len() == 3 && ids[1].parse::<i64>().unwrap() > 20, "{ids:?}");
    // Proved dead, within a few looks.
    for _ in 0..100 {
        dispatcher.drain().await.unwrap();
        if db.text("SELECT missing FROM event_cursors").await.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("still missing: {}", db.text("SELECT missing FROM event_cursors").await);
}

#[test]
fn inboxes_are_found_and_sorted_by_name() {
    let names: Vec<_> = registry::inboxes().iter().map(|inbox| inbox.name()).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(names, sorted);
    assert!(names.contains(&"closer") && names.contains(&"all_issues"));
}

async fn everything_that_is_wrong_is_told_when_the_dispatcher_is_built(db: &TestDb) {
    let errors =
        Dispatcher::builder(&**db).only(["all_issues", "slow", "mailer_of_another_crate"]).build().unwrap_err();
    let text = errors.to_string();
    assert_eq!(errors.iter().count(), 4, "{text}");
    assert!(
        errors
            .iter()
            .any(|error| matches!(error, BuildError::NotLinked { name, .. } if name == "mailer_of_another_crate"))
    );
    assert!(
        errors
            .iter()
            .any(|error| matches!(error, BuildError::MissingState { inbox: "slow", ty, .. } if ty.ends_with("Gate")))
    );
    assert!(text.contains("tests/dispatch.rs:"), "its place in the source: {text}");
    assert!(text.contains("use that_crate as _;"), "what to do: {text}");
}
