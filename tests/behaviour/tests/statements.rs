//! The statements that are sent: few texts, at the level of a library's own work, with plans that do not rest on statistics.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Once;
use std::time::Duration;

use behaviour::models::IssueEvent;
use behaviour::seen::Seen;
use behaviour::worker::until;
use behaviour::{Kind, TestDb, on_every_database};
use event_sea_orm::prelude::*;
use sea_orm::{DatabaseConnection, TransactionTrait as _};
use tracing::{Event as Line, Level, Metadata, span};

on_every_database! {
    without_statistics_an_index_is_walked
    ; servers_only:
    // SQLite's driver prepares on a thread of its own, in the process: a statement costs no round trip there.
    a_long_run_has_few_statements_and_logs_them_at_trace
    recording_and_reading_have_few_statements
    ; postgres_only:
    a_log_that_was_never_analysed_is_not_scanned
}

#[inbox(start = beginning, retry(max_attempts = 2, jitter = 0.0))]
async fn counted(event: Event<IssueEvent>, State(seen): State<Seen>) -> InboxResult {
    seen.note("handled");
    match event.event {
        IssueEvent::Commented { comment_id } if comment_id % 7 == 0 => {
            Err(InboxError::new("each seventh").retry_after(Duration::from_millis(1)))
        }
        _ => handled(),
    }
}

#[inbox(start = beginning)]
async fn counted_in_a_transaction(_event: Event<IssueEvent>, _txn: Txn<'_>, State(seen): State<Seen>) -> InboxResult {
    seen.note("handled");
    handled()
}

// ---- What the driver logs on this thread

thread_local! {
    static LOGGED: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// Notes the driver's lines.
struct Driver;

impl tracing::Subscriber for Driver {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("sqlx")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn event(&self, line: &Line<'_>) {
        #[derive(Default)]
        struct Text {
            summary: String,
            statement: String,
        }
        impl tracing::field::Visit for Text {
            fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
                match field.name() {
                    "summary" => self.summary = value.to_owned(),
                    "db.statement" => self.statement = value.trim().to_owned(),
                    _ => {}
                }
            }
            fn record_debug(&mut self, _: &tracing::field::Field, _: &dyn std::fmt::Debug) {}
        }
        let mut text = Text::default();
        line.record(&mut text);
        let text = if text.statement.is_empty() { text.summary } else { text.statement };
        LOGGED.with_borrow_mut(|logged| logged.push((*line.metadata().level(), text)));
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Runs the work on a thread of its own, on a connection that logs as SeaORM's do by default; gives what the driver logged there.
async fn logged<W>(db: &TestDb, work: impl FnOnce(DatabaseConnection) -> W + Send + 'static) -> Vec<(Level, String)>
where
    W: Future<Output = ()>,
{
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Driver).unwrap());
    let url = db.url().to_owned();
    let thread = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let connection = sea_orm::Database::connect(url).await.unwrap();
            LOGGED.take();
            work(connection).await;
        });
        LOGGED.take()
    });
    thread.await.unwrap()
}

fn texts<'l>(logged: impl IntoIterator<Item = &'l (Level, String)>) -> BTreeSet<&'l str> {
    logged.into_iter().map(|(_, text)| text.as_str()).collect()
}

/// The most statements of any work here: the driver keeps a hundred by default.
const FEW: usize = 75;

async fn a_long_run_has_few_statements_and_logs_them_at_trace(db: &TestDb) {
    let seen = Seen::default();
    let dispatched = seen.clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let run = logged(db, async |connection| {
        let dispatcher = Dispatcher::builder(&connection).state(dispatched).build().unwrap();
        dispatcher.run(async { drop(stopped.await) }).await.unwrap();
    });
    let varied = async {
        let mut events = 0;
        for burst in 0..40_i64 {
            let drafts = (0..=burst * 3).map(|id| IssueEvent::Commented { comment_id: id }.on(id % 5).by_system());
            events += usize::try_from(burst).unwrap() * 3 + 1;
            record_many(&**db, drafts).await.unwrap();
            // An id that is never seen.
            let txn = db.begin().await.unwrap();
            IssueEvent::Closed.on(1).by_system().save(&txn).await.unwrap();
            txn.rollback().await.unwrap();
            if burst % 8 == 0 {
                until("the inboxes have them", async || seen.lines().len() >= events * 2).await;
            }
        }
        until("the inboxes have all", async || seen.lines().len() >= events * 2).await;
        // Idle.
        tokio::time::sleep(Duration::from_secs(3)).await;
        drop(stop);
    };
    let (logged, ()) = tokio::join!(run, varied);
    // What the application's connection is asked, and handlers' transactions there, are the application's.
    let (own, given): (Vec<_>, Vec<_>) = logged.iter().partition(|(level, _)| *level == Level::TRACE);
    let of_the_dispatcher =
        |text: &&str| text.contains("event_sleepers") || text.contains("LIMIT") || text.contains("lease");
    assert_eq!(texts(given).into_iter().find(of_the_dispatcher), None);
    let own = texts(own);
    assert!(own.iter().any(|text| text.contains("lease_until")), "{own:#?}");
    assert!(own.len() < FEW, "{} statements: {own:#?}", own.len());
}

async fn recording_and_reading_have_few_statements(db: &TestDb) {
    let logged = logged(db, async |db| {
        for events in (1..=300_i64).step_by(7) {
            let drafts = |from: i64| {
                (from..from + events).map(|id| IssueEvent::Closed.on(id % 5).by_system().key(format!("key-{id}")))
            };
            record_many(&db, drafts(0)).await.unwrap();
            record_many(&db, (0..events).map(|id| IssueEvent::Closed.on(id).by_system())).await.unwrap();
            let users = (1..=events).map(|id| ActorRef::new("user", id.to_string()));
            any_feed().of_ref(SubjectRef::new("issue", "1")).by_refs(users).page(&db).await.unwrap();
        }
    })
    .await;
    let texts = texts(&logged);
    assert!(texts.iter().any(|text| text.contains("INSERT")), "{texts:#?}");
    assert!(texts.len() < FEW, "{} statements", texts.len());
}

// ---- Plans

const EVENTS: i64 = 22_500;

/// Many events by one statement, as a bulk import has them.
async fn import(db: &TestDb) {
    let time = db.time("2026-01-01T00:00:00+00:00");
    let concat = if db.kind() == Kind::MySql { "concat(x % 500, '')" } else { "CAST(x % 500 AS varchar)" };
    let sql = format!(
        "INSERT INTO events (subject_type, subject_id, actor_type, actor_id, action, version, metadata, occurred_at) \
         WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 150) \
         SELECT 'issue', {concat}, 'user', {concat}, 'closed', 1, '{{}}', {time} FROM n CROSS JOIN (SELECT x AS y FROM n) AS m"
    );
    db.sql(&sql).await.unwrap();
}

async fn read_feeds(db: &TestDb) {
    for id in 0..12_i64 {
        IssueEvent::feed().of_id(id).page(&**db).await.unwrap();
        any_feed().logs(["events"]).by_ref(ActorRef::new("user", id.to_string())).page(&**db).await.unwrap();
        any_feed().logs(["events"]).page(&**db).await.unwrap();
    }
}

/// Rows that scans of whole tables read.
async fn scanned(db: &TestDb) -> i64 {
    // A session reports what it did when it ends a statement, but not more than once a second.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    db.number("SELECT CAST(sum(seq_tup_read) AS bigint) FROM pg_stat_user_tables WHERE relname LIKE 'event%'").await
}

/// A bulk import into a log whose plans were made while it was empty, and which nothing has analysed.
async fn a_log_that_was_never_analysed_is_not_scanned(db: &TestDb) {
    for table in ["events", "event_cursors", "event_failures"] {
        db.sql(&format!("ALTER TABLE {table} SET (autovacuum_enabled = off)")).await.unwrap();
    }
    let seen = Seen::default();
    let dispatcher = Dispatcher::builder(&**db).state(seen.clone()).build().unwrap();
    // So often that a plan is kept.
    for _ in 0..12 {
        IssueEvent::Closed.on(1).by_system().save(&**db).await.unwrap();
        dispatcher.drain().await.unwrap();
        read_feeds(db).await;
    }
    import(db).await;
    let before = scanned(db).await;
    dispatcher.drain().await.unwrap();
    assert_eq!(i64::try_from(seen.lines().len()).unwrap(), 2 * (EVENTS + 12));
    Retention::older_than(Duration::from_secs(86_400)).run(&**db).await.unwrap();
    dispatcher.drain().await.unwrap();
    // Less than one scan: small tables may be scanned.
    let dispatched = scanned(db).await - before;
    assert!(dispatched < EVENTS, "scans of the dispatcher's and of retention read {dispatched} rows");
    // The first feed's plan is of the small log; what it shows has the others planned again.
    any_feed().page(&**db).await.unwrap();
    scanned(db).await;
    any_feed().page(&**db).await.unwrap();
    let before = scanned(db).await;
    for _ in 0..2 {
        read_feeds(db).await;
        let read = scanned(db).await - before;
        assert!(read < EVENTS, "scans of feeds read {read} rows");
    }
}

/// The plans of what SQLite's dispatcher and every database's feeds send, with statistics that are older than the log.
async fn without_statistics_an_index_is_walked(db: &TestDb) {
    for _ in 0..10 {
        IssueEvent::Closed.on(1).by_system().save(&**db).await.unwrap();
    }
    match db.kind() {
        Kind::Sqlite => db.sql("ANALYZE").await.unwrap(),
        Kind::MySql => db.sql("ALTER TABLE events STATS_AUTO_RECALC = 0").await.unwrap(),
        Kind::Postgres => {}
    }
    import(db).await;
    db.take_statements();
    read_feeds(db).await;
    if db.kind() == Kind::Sqlite {
        Dispatcher::builder(&**db).state(Seen::default()).build().unwrap().drain().await.unwrap();
    }
    let mut seen = BTreeSet::new();
    for statement in db.take_statements() {
        let reads = statement.sql.trim_start_matches('(').starts_with("SELECT") && statement.sql.contains("events");
        if !reads || !seen.insert(statement.sql.clone()) {
            continue;
        }
        let plan = db.plan(statement.clone()).await;
        let is_bad = |line: &str| match db.kind() {
            Kind::Sqlite => line.starts_with("SCAN events") && !line.contains("INDEX") || line.contains("TEMP B-TREE"),
            Kind::Postgres => line.contains("Seq Scan on events"),
            Kind::MySql => line.starts_with("events ALL") || line.contains("filesort"),
        };
        assert!(!plan.lines().any(is_bad), "{}\n{plan}", statement.sql);
    }
    assert!(seen.len() >= 3, "{seen:?}");
}
