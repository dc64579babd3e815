//! Whole inboxes that fail: paused, probed by one delivery at a time, and everything goes on at the first success.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use behaviour::models::IssueEvent;
use behaviour::seen::Seen;
use behaviour::{TestDb, on_every_database};
use event_core::Clock;
use event_core::storage::Pause;
use event_sea_orm::TestKit;
use event_sea_orm::prelude::*;
use sea_orm::ConnectionTrait;

on_every_database! {
    an_inbox_that_only_fails_is_paused_and_says_why
    a_success_ends_the_pause_and_everything_goes_on
    an_outage_uses_up_no_attempts
    neither_poisonous_rows_nor_poisonous_events_keep_it_paused
    a_transactional_inbox_is_paused_too
    an_ordered_inbox_keeps_its_order_over_a_pause
    the_next_owner_goes_on_with_the_pause
    an_inbox_may_be_paused_never
    one_event_that_always_fails_pauses_nothing
}

/// The mail server.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Condition>>);

#[derive(Default)]
struct Condition {
    down: bool,
    poison: HashSet<i64>,
}

impl Server {
    fn down(&self, down: bool) {
        self.0.lock().unwrap().down = down;
    }

    fn mail(&self, event: &StoredEvent, seen: &Seen) -> InboxResult {
        let state = self.0.lock().unwrap();
        let fails = state.down || state.poison.contains(&event.id());
        seen.note(format!("{} {}", event.id(), if fails { "fails" } else { "ok" }));
        if fails { Err(InboxError::new("no route to the mail server")) } else { handled() }
    }
}

#[inbox(retry(max_attempts = 3, jitter = 0.0))]
async fn mailer(event: Event<IssueEvent>, State(server): State<Server>, State(seen): State<Seen>) -> InboxResult {
    server.mail(&event, &seen)
}

#[inbox(retry(max_attempts = 3, jitter = 0.0))]
async fn exact(
    event: Event<IssueEvent>,
    txn: Txn<'_>,
    State(server): State<Server>,
    State(seen): State<Seen>,
) -> InboxResult {
    txn.execute_unprepared(&format!("INSERT INTO mails (event) VALUES ({})", event.id())).await?;
    server.mail(&event, &seen)
}

#[inbox(retry(max_attempts = 3, jitter = 0.0), ordered, pause(after = 3))]
async fn in_order(event: Event<IssueEvent>, State(server): State<Server>, State(seen): State<Seen>) -> InboxResult {
    tokio::task::yield_now().await;
    server.mail(&event, &seen)
}

#[inbox(retry(max_attempts = 3, jitter = 0.0), pause(never))]
async fn stubborn(event: Event<IssueEvent>, State(server): State<Server>, State(seen): State<Seen>) -> InboxResult {
    server.mail(&event, &seen)
}

#[inbox(retry(max_attempts = 20, jitter = 0.0), pause(after = 2))]
async fn touchy(event: Event<IssueEvent>, State(server): State<Server>, State(seen): State<Seen>) -> InboxResult {
    server.mail(&event, &seen)
}

async fn kit(db: &TestDb, inbox: &'static str) -> (TestKit, Seen, Server) {
    let (seen, server) = (Seen::default(), Server::default());
    let states = (seen.clone(), server.clone());
    let kit = TestKit::new(&**db, |dispatcher| dispatcher.state(states.0).state(states.1).only([inbox])).await.unwrap();
    (kit, seen, server)
}

async fn record(db: &TestDb, subjects: impl IntoIterator<Item = i64>) {
    for subject in subjects {
        IssueEvent::Closed.on(subject).by_system().save(&**db).await.unwrap();
    }
}

async fn an_inbox_that_only_fails_is_paused_and_says_why(db: &TestDb) {
    let (kit, seen, server) = kit(db, "mailer").await;
    server.down(true);
    record(db, 1..=50).await;
    let began = kit.clock().now();
    let report = kit.drain().await.unwrap();
    assert_eq!(seen.lines().len(), 11, "ten in a row, and the drain's probe; the others wait");
    let Pause { since, until, why, probes } = report.paused["mailer"].clone();
    assert_eq!((since, why.as_str(), probes), (began, "error: no route to the mail server", 1));
    assert!(until > since && until <= since + chrono::TimeDelta::seconds(2), "{until}");
    assert_eq!(db.text("SELECT paused_why FROM event_cursors").await, why, "operators see it in the table");
    assert_eq!(db.number("SELECT count(*) FROM event_cursors WHERE paused_at < paused_until AND probes = 1").await, 1);
    assert_eq!(db.number("SELECT high FROM event_cursors").await, 11);
}

async fn a_success_ends_the_pause_and_everything_goes_on(db: &TestDb) {
    let (kit, seen, server) = kit(db, "mailer").await;
    server.down(true);
    record(db, 1..=50).await;
    kit.drain().await.unwrap();
    kit.drain().await.unwrap();
    assert_eq!(seen.take().len(), 12, "a drain probes once");
    server.down(false);
    let report = kit.drain().await.unwrap();
    assert_eq!((seen.take().len(), report.paused.len()), (38, 0), "all that is due, at once");
    let stored = "SELECT count(*) FROM event_cursors WHERE paused_at IS NOT NULL OR paused_until IS NOT NULL \
         OR paused_why IS NOT NULL OR probes <> 0";
    assert_eq!(db.number(stored).await, 0);
    let report = kit.run_to_end().await.unwrap();
    assert_eq!((report.total().handled, report.total().failed), (12, 0));
    assert_eq!(db.number("SELECT count(*) FROM event_failures").await, 0);
}

async fn an_outage_uses_up_no_attempts(db: &TestDb) {
    let (kit, seen, server) = kit(db, "mailer").await;
    server.down(true);
    record(db, 1..=200).await;
    // A day of it.
    for _ in 0..288 {
        kit.advance(Duration::from_secs(300));
        kit.drain().await.unwrap();
    }
    assert_eq!(kit.dead_letters().await.unwrap().len(), 0);
    assert_eq!(seen.take().len(), 10 + 288, "one probe a drain");
    assert_eq!(db.number("SELECT max(attempts) FROM event_failures").await, 1);
    assert_eq!(db.number("SELECT count(*) FROM event_failures").await, 11 + 144, "every other probe is a row's");
    server.down(false);
    let report = kit.run_to_end().await.unwrap();
    assert_eq!((report.total().handled, report.total().failed), (200, 0));
}

async fn neither_poisonous_rows_nor_poisonous_events_keep_it_paused(db: &TestDb) {
    let (kit, seen, server) = kit(db, "mailer").await;
    server.0.lock().unwrap().poison = (1..=13).collect();
    record(db, 1..=30).await;
    let mut drains = 0;
    while seen.count("30 ok") == 0 {
        kit.drain().await.unwrap();
        kit.advance(Duration::from_secs(300));
        drains += 1;
        assert!(drains <= 6, "a row and an event in turn: {:?}", seen.lines());
    }
    let good: Vec<_> = (14..=30).map(|id| format!("{id} ok")).collect();
    assert!(good.iter().all(|line| seen.lines().contains(line)), "{:?}", seen.lines());
    // As long as events come that succeed, those that never do end as ever.
    let mut id = 30;
    while kit.dead_letters().await.unwrap().len() < 13 {
        record(db, [1]).await;
        id += 1;
        assert!(id < 100, "{:?}", seen.lines());
        kit.drain().await.unwrap();
        kit.advance(Duration::from_secs(300));
    }
    assert_eq!(kit.run_to_end().await.unwrap().paused.len(), 0);
    assert_eq!(db.number("SELECT count(*) FROM event_failures WHERE state <> 'dead'").await, 0);
}

async fn a_transactional_inbox_is_paused_too(db: &TestDb) {
    let (kit, seen, server) = kit(db, "exact").await;
    db.sql("CREATE TABLE mails (event bigint NOT NULL)").await.unwrap();
    server.down(true);
    record(db, 1..=50).await;
    let report = kit.drain().await.unwrap();
    // The batch's first event fails and all is rolled back; again with savepoints, until the tenth failure; then the probe.
    assert_eq!(seen.take().len(), 1 + 10 + 1);
    assert_eq!(report.paused["exact"].probes, 1);
    for _ in 0..10 {
        kit.advance(Duration::from_secs(300));
        kit.drain().await.unwrap();
    }
    assert_eq!(seen.take().len(), 10, "a probe runs alone, and once");
    assert_eq!(db.number("SELECT count(*) FROM mails").await, 0);
    assert_eq!(db.number("SELECT max(attempts) FROM event_failures").await, 1);
    server.down(false);
    let report = kit.run_to_end().await.unwrap();
    assert_eq!((report.total().handled, report.total().failed, report.paused.len()), (50, 0, 0));
    assert_eq!(db.number("SELECT count(DISTINCT event) FROM mails").await, 50);
    assert_eq!(db.number("SELECT count(*) FROM mails").await, 50);
}

async fn an_ordered_inbox_keeps_its_order_over_a_pause(db: &TestDb) {
    let (kit, seen, server) = kit(db, "in_order").await;
    server.down(true);
    record(db, [1, 2, 1, 3, 2, 1, 4, 5, 1, 5, 4, 3]).await;
    let report = kit.drain().await.unwrap();
    assert_eq!(report.paused.len(), 1);
    for _ in 0..8 {
        kit.advance(Duration::from_secs(300));
        kit.drain().await.unwrap();
    }
    assert_eq!(seen.count(""), seen.lines().iter().filter(|line| line.ends_with("fails")).count());
    server.down(false);
    record(db, [1, 2]).await;
    let report = kit.run_to_end().await.unwrap();
    assert_eq!((report.paused.len(), report.total().dead), (0, 0));
    let lines = seen.lines();
    let order: Vec<i64> =
        lines.iter().filter_map(|line| line.strip_suffix(" ok")).map(|id| id.parse().unwrap()).collect();
    assert_eq!(order.len(), 14, "{lines:?}");
    for ids in [&[1, 3, 6, 9, 13][..], &[2, 5, 14], &[4, 12], &[7, 11], &[8, 10]] {
        let of_subject: Vec<i64> = order.iter().copied().filter(|id| ids.contains(id)).collect();
        assert_eq!(of_subject, ids, "{order:?}");
    }
}

async fn the_next_owner_goes_on_with_the_pause(db: &TestDb) {
    let (first, seen, server) = kit(db, "mailer").await;
    server.down(true);
    record(db, 1..=50).await;
    let paused = first.drain().await.unwrap().paused["mailer"].clone();
    seen.take();
    let clock = Clock::manual(first.clock().now());
    let states = (seen.clone(), server.clone());
    let other = db.another(1).await;
    let second =
        TestKit::new(&other, |dispatcher| dispatcher.state(states.0).state(states.1).only(["mailer"]).clock(clock))
            .await
            .unwrap();
    let report = second.drain().await.unwrap();
    assert_eq!(seen.take().len(), 1, "one probe");
    assert_eq!((report.paused["mailer"].since, report.paused["mailer"].probes), (paused.since, paused.probes + 1));
}

async fn an_inbox_may_be_paused_never(db: &TestDb) {
    let (kit, seen, server) = kit(db, "stubborn").await;
    server.down(true);
    record(db, 1..=50).await;
    let report = kit.drain().await.unwrap();
    assert_eq!((seen.lines().len(), report.paused.len()), (50, 0));
    assert_eq!(kit.run_to_end().await.unwrap().total().dead, 50);
}

async fn one_event_that_always_fails_pauses_nothing(db: &TestDb) {
    let (kit, seen, server) = kit(db, "touchy").await;
    server.0.lock().unwrap().poison = HashSet::from([1]);
    record(db, [1]).await;
    let report = kit.run_to_end().await.unwrap();
    assert_eq!((seen.lines().len(), report.total().dead, report.paused.len()), (20, 1, 0));
}
