//! Batches: events recorded together, with a description of why.

use chrono::{DateTime, SubsecRound as _, Utc};
use event_core::{EventContext, with_context};
use sea_orm::{ConnectionTrait, QueryResult};
use uuid::Uuid;

use super::RecordError;
use crate::backend::{Sql, dialect};

const TABLE: &str = "event_batches";

/// How deep batches may be nested in each other, for those that are looked for.
const DEPTH_MAX: usize = 100;

/// What events were recorded together, and why: an import, a bulk change, a night's clean-up.
///
/// Its row is written on the connection it begins on, so that in a transaction it is rolled back with the events. A batch that begins
/// while another one runs is nested in it: an event is of the innermost one.
///
/// ```
/// # use event_sea_orm::prelude::*;
/// # async fn example<E: DomainEvent + Clone>(db: &sea_orm::DatabaseConnection, closed: E) -> Result<(), RecordError> {
/// let batch = db
///     .transact(async |txn| {
///         let batch = Batch::begin(txn, "Closed what nobody touched for a year").await?;
///         batch.run(async { record_many(txn, (1..=3_i64).map(|id| closed.clone().on(id).by_system())).await }).await?;
///         Ok(batch)
///     })
///     .await?;
/// let together = any_feed().in_batches(batch.and_nested(db).await?).page(db).await;
/// # let _ = together;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batch {
    /// Its id: a UUID, and later ones are greater.
    pub id: String,
    /// The batch that it is nested in.
    pub parent_id: Option<String>,
    /// Why.
    pub description: String,
    /// When it began.
    pub created_at: DateTime<Utc>,
}

impl Batch {
    /// The most bytes of a description.
    pub const DESCRIPTION_MAX: usize = 65_535;

    /// Begins a batch, nested in the one that runs, if one does.
    ///
    /// # Errors
    /// [`RecordError::LongDescription`] if the description has more than [`Batch::DESCRIPTION_MAX`] bytes; what the database says.
    pub async fn begin<C: ConnectionTrait>(conn: &C, description: impl Into<String>) -> Result<Self, RecordError> {
        let description = description.into().replace('\0', "");
        if description.len() > Self::DESCRIPTION_MAX {
            return Err(RecordError::LongDescription { bytes: description.len() });
        }
        let batch = Self {
            id: Uuid::now_v7().to_string(),
            parent_id: EventContext::current().batch_id().map(str::to_owned),
            description,
            created_at: Utc::now().trunc_subsecs(6),
        };
        let backend = conn.get_database_backend();
        let dialect = dialect(backend)?;
        let mut sql = Sql::new(dialect);
        sql.push("INSERT INTO event_batches (id, parent_id, description, created_at) VALUES ");
        sql.list([
            sea_orm::Value::from(batch.id.as_str()),
            batch.parent_id.clone().into(),
            batch.description.as_str().into(),
            batch.created_at.into(),
        ]);
        let done = conn.execute_raw(sql.statement(backend)).await;
        done.map_err(|error| RecordError::of(dialect, TABLE, error))?;
        Ok(batch)
    }

    /// Runs the future; every event recorded in it is of this batch.
    pub fn run<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        with_context(EventContext::new().batch(self.id.as_str()), work)
    }

    /// The batch of that id.
    ///
    /// # Errors
    /// What the database says.
    pub async fn find<C: ConnectionTrait>(conn: &C, id: &str) -> Result<Option<Self>, RecordError> {
        let found = select(conn, |sql| {
            sql.push(" WHERE id = ").bind(id);
        });
        Ok(found.await?.pop())
    }

    /// The newest batches, the newest first; nested ones too.
    ///
    /// # Errors
    /// What the database says.
    pub async fn newest<C: ConnectionTrait>(conn: &C, limit: u64) -> Result<Vec<Self>, RecordError> {
        select(conn, |sql| {
            sql.push(" ORDER BY id DESC LIMIT ").bind(i64::try_from(limit).unwrap_or(i64::MAX));
        })
        .await
    }

    /// The ids of this batch and of all that are nested in it, for [`AnyFeed::in_batches`](crate::AnyFeed::in_batches).
    ///
    /// # Errors
    /// What the database says.
    pub async fn and_nested<C: ConnectionTrait>(&self, conn: &C) -> Result<Vec<String>, RecordError> {
        let mut ids = vec![self.id.clone()];
        let mut outer = ids.clone();
        for _ in 0..DEPTH_MAX {
            if outer.is_empty() {
                break;
            }
            let mut inner = Vec::new();
            for ids in outer.chunks(1_000) {
                let nested = select(conn, |sql| {
                    sql.push(" WHERE parent_id IN ").set(ids.iter().map(String::as_str));
                });
                inner.extend(nested.await?.into_iter().map(|batch| batch.id));
            }
            ids.extend(inner.iter().cloned());
            outer = inner;
        }
        Ok(ids)
    }
}

async fn select<C: ConnectionTrait>(conn: &C, rest: impl FnOnce(&mut Sql<'_>)) -> Result<Vec<Batch>, RecordError> {
    let backend = conn.get_database_backend();
    let dialect = dialect(backend)?;
    let statement = {
        let mut sql = Sql::new(dialect);
        sql.push("SELECT id, parent_id, description, created_at FROM event_batches");
        rest(&mut sql);
        sql.statement(backend)
    };
    let rows = conn.query_all_raw(statement).await.map_err(|error| RecordError::of(dialect, TABLE, error))?;
    rows.iter().map(|row| batch(row).map_err(RecordError::from)).collect()
}

fn batch(row: &QueryResult) -> Result<Batch, sea_orm::DbErr> {
    Ok(Batch {
        id: row.try_get("", "id")?,
        parent_id: row.try_get("", "parent_id")?,
        description: row.try_get("", "description")?,
        created_at: row.try_get("", "created_at")?,
    })
}
