//! What one would write by hand, with sqlx and nothing else: prepared statements on one connection of a pool.

use chrono::Utc;
use sea_orm::sqlx::mysql::MySqlPoolOptions;
use sea_orm::sqlx::postgres::PgPoolOptions;
use sea_orm::sqlx::sqlite::SqlitePoolOptions;
use sea_orm::sqlx::types::Json;
use sea_orm::sqlx::{self, AssertSqlSafe, MySqlPool, PgPool, Row as _, SqlSafeStr as _, SqlStr, SqlitePool};

use crate::Fallible;
use crate::ground::{Ground, Kind};
use crate::models::{ISSUES, IssueEvent};

pub(crate) enum Hand {
    Postgres(PgPool),
    MariaDb(MySqlPool),
    Sqlite(SqlitePool),
}

/// The same code for each driver, whose types differ. `$pool` is the driver's.
macro_rules! with {
    ($hand:expr, $pool:ident => $work:expr) => {
        match $hand {
            Hand::Postgres($pool) => $work,
            Hand::MariaDb($pool) => $work,
            Hand::Sqlite($pool) => $work,
        }
    };
}

impl Hand {
    pub(crate) async fn on(ground: &Ground) -> Fallible<Self> {
        let url = &ground.url;
        Ok(match ground.kind {
            Kind::Postgres => Self::Postgres(PgPoolOptions::new().max_connections(1).connect(url).await?),
            Kind::MariaDb => Self::MariaDb(MySqlPoolOptions::new().max_connections(1).connect(url).await?),
            Kind::Sqlite => Self::Sqlite(SqlitePoolOptions::new().max_connections(1).connect(url).await?),
        })
    }

    /// The placeholders of this database, in place of `?`.
    fn text(&self, sql: &str) -> SqlStr {
        let mut text = String::new();
        let mut n = 0;
        for part in sql.split_inclusive('?') {
            match (self, part.strip_suffix('?')) {
                (Self::Postgres(_), Some(part)) => {
                    n += 1;
                    text.push_str(&format!("{part}${n}"));
                }
                _ => text.push_str(part),
            }
        }
        owned(text)
    }

    /// A transaction that updates an issue and inserts an event's row, so many times.
    pub(crate) async fn record(
        &self,
        numbers: std::ops::Range<i64>,
        payload: impl Fn(i64) -> IssueEvent,
    ) -> Fallible<()> {
        let update = self.text(UPDATE_ISSUE);
        // MariaDB has RETURNING, MySQL has not; the driver tells the id anyway.
        let insert = self.text(INSERT_EVENT);
        let returning = owned(format!("{} RETURNING id", insert.as_str()));
        for n in numbers {
            let event = payload(n);
            let (action, metadata) = written(&event)?;
            let subject = (n % ISSUES).to_string();
            match self {
                Self::Postgres(pool) => {
                    let mut txn = pool.begin().await?;
                    sqlx::query(update.clone()).bind(n % ISSUES).execute(&mut *txn).await?;
                    let insert = sqlx::query(returning.clone()).bind("issue").bind(subject).bind(action).bind(1_i64);
                    let row = insert.bind(Json(metadata)).bind(Utc::now()).fetch_one(&mut *txn).await?;
                    std::hint::black_box(row.try_get::<i64, _>(0)?);
                    txn.commit().await?;
                }
                Self::MariaDb(pool) => {
                    let mut txn = pool.begin().await?;
                    sqlx::query(update.clone()).bind(n % ISSUES).execute(&mut *txn).await?;
                    let insert = sqlx::query(insert.clone()).bind("issue").bind(subject).bind(action).bind(1_i64);
                    let done = insert.bind(Json(metadata)).bind(Utc::now().naive_utc()).execute(&mut *txn).await?;
                    std::hint::black_box(done.last_insert_id());
                    txn.commit().await?;
                }
                Self::Sqlite(pool) => {
                    let mut txn = pool.begin_with("BEGIN IMMEDIATE").await?;
                    sqlx::query(update.clone()).bind(n % ISSUES).execute(&mut *txn).await?;
                    let insert = sqlx::query(returning.clone()).bind("issue").bind(subject).bind(action).bind(1_i64);
                    // Text, as the log's own rows have it there.
                    let now = Utc::now().format("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string();
                    let row = insert.bind(Json(metadata)).bind(now).fetch_one(&mut *txn).await?;
                    std::hint::black_box(row.try_get::<i64, _>(0)?);
                    txn.commit().await?;
                }
            }
        }
        Ok(())
    }

    /// Many rows by one statement, in a transaction: `unnest` on PostgreSQL, multi-row elsewhere.
    pub(crate) async fn record_many(&self, events: &[(i64, IssueEvent)]) -> Fallible<()> {
        let (mut subjects, mut actions, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
        for (subject, event) in events {
            let (action, metadata) = written(event)?;
            subjects.push(subject.to_string());
            actions.push(action.to_owned());
            bodies.push(metadata);
        }
        let now = Utc::now();
        match self {
            Self::Postgres(pool) => {
                let mut txn = pool.begin().await?;
                let rows = sqlx::query(
                    "INSERT INTO events (subject_type, subject_id, action, version, metadata, occurred_at) \
                     SELECT 'issue', subject, action, 1, body, $4 \
                     FROM unnest($1::text[], $2::text[], $3::jsonb[]) AS t(subject, action, body) RETURNING id",
                )
                .bind(subjects)
                .bind(actions)
                .bind(bodies.into_iter().map(Json).collect::<Vec<_>>())
                .bind(now)
                .fetch_all(&mut *txn)
                .await?;
                std::hint::black_box(rows);
                txn.commit().await?;
            }
            Self::MariaDb(pool) => {
                let mut txn = pool.begin().await?;
                let places = vec!["('issue', ?, ?, 1, ?, ?)"; events.len()].join(", ");
                let text = format!(
                    "INSERT INTO events (subject_type, subject_id, action, version, metadata, occurred_at) VALUES {places}"
                );
                let mut insert = sqlx::query(owned(text));
                for ((subject, action), body) in subjects.into_iter().zip(actions).zip(bodies) {
                    insert = insert.bind(subject).bind(action).bind(Json(body)).bind(now.naive_utc());
                }
                insert.execute(&mut *txn).await?;
                txn.commit().await?;
            }
            Self::Sqlite(_) => return Err("not measured on SQLite".into()),
        }
        Ok(())
    }

    /// Reads the whole log in pages and decodes each row once; how many there were.
    pub(crate) async fn scan(&self) -> Fallible<u64> {
        let text = self.text(match self {
            // As text, which is what serde parses; jsonb's own form would be converted first.
            Self::Postgres(_) => SCAN_POSTGRES,
            _ => SCAN,
        });
        let (mut after, mut count) = (0_i64, 0_u64);
        loop {
            let mut last = None;
            with!(self, pool => {
                let rows = sqlx::query(text.clone()).bind(after).bind(PAGE).fetch_all(pool).await?;
                for row in rows {
                    let id: i64 = row.try_get(0)?;
                    let subject: String = row.try_get(1)?;
                    let action: String = row.try_get(2)?;
                    let body: String = row.try_get(3)?;
                    let event = read(&action, &body)?;
                    std::hint::black_box((subject, event));
                    last = Some(id);
                    count += 1;
                }
            });
            match last {
                Some(id) => after = id,
                None => return Ok(count),
            }
        }
    }

    /// A projection by hand: pages are read, and each event counts in a transaction of its own, with the place up to which
    /// it has counted.
    pub(crate) async fn project(&self, after: i64, most: u64) -> Fallible<u64> {
        let page = self.text(match self {
            Self::Postgres(_) => SCAN_POSTGRES,
            _ => SCAN,
        });
        let count = self.text("UPDATE counters SET n = n + 1 WHERE id = ?");
        let place = self.text("UPDATE counters SET n = ? WHERE id = ?");
        let (mut after, mut done) = (after, 0_u64);
        while done < most {
            let before = done;
            with!(self, pool => {
                let rows = sqlx::query(page.clone()).bind(after).bind(PAGE).fetch_all(pool).await?;
                for row in rows {
                    let id: i64 = row.try_get(0)?;
                    let (action, body): (String, String) = (row.try_get(2)?, row.try_get(3)?);
                    std::hint::black_box(read(&action, &body)?);
                    let mut txn = pool.begin().await?;
                    sqlx::query(count.clone()).bind(1_i64).execute(&mut *txn).await?;
                    sqlx::query(place.clone()).bind(id).bind(2_i64).execute(&mut *txn).await?;
                    txn.commit().await?;
                    after = id;
                    done += 1;
                    if done == most {
                        break;
                    }
                }
            });
            if done == before {
                break;
            }
        }
        Ok(done)
    }

    pub(crate) async fn close(&self) {
        with!(self, pool => pool.close().await);
    }
}

const PAGE: i64 = 1_000;

const UPDATE_ISSUE: &str = "UPDATE issues SET comments = comments + 1 WHERE id = ?";

const INSERT_EVENT: &str = "INSERT INTO events (subject_type, subject_id, action, version, metadata, occurred_at) \
     VALUES (?, ?, ?, ?, ?, ?)";

const SCAN: &str = "SELECT id, subject_id, action, metadata FROM events WHERE id > ? ORDER BY id LIMIT ?";
const SCAN_POSTGRES: &str =
    "SELECT id, subject_id, action, metadata::text FROM events WHERE id > ? ORDER BY id LIMIT ?";

/// Text whose clones are cheap.
fn owned(text: String) -> SqlStr {
    AssertSqlSafe(std::sync::Arc::<str>::from(text)).into_sql_str()
}

/// The action and the body, as one writes them by hand.
fn written(event: &IssueEvent) -> Fallible<(&'static str, serde_json::Value)> {
    Ok(match event {
        IssueEvent::Commented { comment_id } => ("commented", serde_json::json!({ "comment_id": comment_id })),
        IssueEvent::Delivered { payload } => ("delivered", serde_json::json!({ "payload": payload })),
    })
}

/// And as one reads them.
fn read(action: &str, body: &str) -> Fallible<IssueEvent> {
    #[derive(serde::Deserialize)]
    struct Commented {
        comment_id: i64,
    }
    #[derive(serde::Deserialize)]
    struct Delivered {
        payload: serde_json::Value,
    }
    Ok(match action {
        "commented" => {
            let Commented { comment_id } = serde_json::from_str(body)?;
            IssueEvent::Commented { comment_id }
        }
        "delivered" => {
            let Delivered { payload } = serde_json::from_str(body)?;
            IssueEvent::Delivered { payload }
        }
        other => return Err(format!("an event of an action that is none: {other}").into()),
    })
}
