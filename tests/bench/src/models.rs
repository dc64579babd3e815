//! The subject, its events, and the inboxes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_sea_orm::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};
use serde::{Deserialize, Serialize};

use crate::child::now_nanos;

#[allow(unreachable_pub, reason = "SeaORM's entities are written so")]
pub(crate) mod issue {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "issues")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub comments: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The log's table as a user would model it with SeaORM.
#[allow(unreachable_pub, reason = "SeaORM's entities are written so")]
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "events")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub subject_type: String,
        pub subject_id: String,
        pub actor_type: Option<String>,
        pub actor_id: Option<String>,
        pub action: String,
        pub version: i64,
        #[sea_orm(column_type = "JsonBinary")]
        pub metadata: Json,
        pub occurred_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// How many issues there are: those that events are about, by their number.
pub(crate) const ISSUES: i64 = 1_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity))]
pub(crate) enum IssueEvent {
    /// As in the quickstart: small.
    Commented { comment_id: i64 },
    /// A webhook's whole payload: kilobytes of JSON.
    Delivered { payload: serde_json::Value },
}

/// The subject's table, and a counter for projections.
pub(crate) async fn create(db: &DatabaseConnection) -> Result<(), DbErr> {
    db.execute_unprepared("CREATE TABLE issues (id bigint PRIMARY KEY, comments bigint NOT NULL)").await?;
    db.execute_unprepared("CREATE TABLE counters (id bigint PRIMARY KEY, n bigint NOT NULL)").await?;
    let rows: Vec<_> = (0..ISSUES).map(|id| format!("({id}, 0)")).collect();
    db.execute_unprepared(&format!("INSERT INTO issues VALUES {}", rows.join(", "))).await?;
    db.execute_unprepared("INSERT INTO counters VALUES (1, 0)").await?;
    Ok(())
}

/// An event with a small payload, the `n`th.
pub(crate) fn small(n: i64) -> Recording<IssueEvent> {
    IssueEvent::Commented { comment_id: n }.on(n % ISSUES).by_system()
}

#[inbox(start = beginning)]
async fn idle_a(_event: Event<IssueEvent>) -> InboxResult {
    handled()
}

#[inbox(start = beginning)]
async fn idle_b(_event: Event<IssueEvent>) -> InboxResult {
    handled()
}

#[inbox(start = beginning)]
async fn idle_c(_event: Event<IssueEvent>) -> InboxResult {
    handled()
}

#[inbox(start = beginning)]
async fn idle_d(_event: Event<IssueEvent>) -> InboxResult {
    handled()
}

/// The four that do nothing.
pub(crate) const IDLE: [&str; 4] = ["idle_a", "idle_b", "idle_c", "idle_d"];

/// Counts, a statement for as many events as there are, with their save.
#[inbox(start = beginning)]
async fn projection(events: Vec<Event<IssueEvent>>, txn: Txn<'_>) -> InboxResult {
    count(&txn, i64::try_from(events.len())?).await?;
    handled()
}

/// Counts, a statement for each event, with its save.
#[inbox(start = beginning)]
async fn projection_each(_event: Event<IssueEvent>, txn: Txn<'_>) -> InboxResult {
    count(&txn, 1).await?;
    handled()
}

async fn count(txn: &Txn<'_>, events: i64) -> Result<(), DbErr> {
    let count = match txn.get_database_backend() {
        DbBackend::Postgres => "UPDATE counters SET n = n + $1 WHERE id = $2",
        _ => "UPDATE counters SET n = n + ? WHERE id = ?",
    };
    let count = Statement::from_sql_and_values(txn.get_database_backend(), count, [events.into(), 1_i64.into()]);
    txn.execute_raw(count).await.map(drop)
}

/// When each event's handler began, by the event's number.
pub(crate) type Arrivals = Arc<Mutex<Vec<(i64, u64)>>>;

#[inbox(start = beginning)]
async fn timed(event: Event<IssueEvent>, State(arrivals): State<Arrivals>) -> InboxResult {
    let now = now_nanos();
    if let IssueEvent::Commented { comment_id } = event.event
        && let Ok(mut arrivals) = arrivals.lock()
    {
        arrivals.push((comment_id, now));
    }
    handled()
}

/// Every second one fails, so that it never pauses.
#[inbox(start = beginning)]
async fn failing(event: Event<IssueEvent>) -> InboxResult {
    if event.id() % 2 == 0 { Err(InboxError::new("on purpose")) } else { handled() }
}

#[inbox(start = beginning)]
async fn slow(_event: Event<IssueEvent>) -> InboxResult {
    tokio::time::sleep(Duration::from_millis(20)).await;
    handled()
}
