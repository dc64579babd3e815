//! A guard for tests: tables whose rows may not change without an event in the same transaction.
//!
//! Triggers write down each change of a watched row and each event, in `event_watch`, with what tells transactions apart: on
//! PostgreSQL the transaction's id, on MariaDB the one that a system-versioned table keeps, on SQLite where commits fell, which the
//! connection's own hooks say.

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
mod table;
#[cfg(feature = "mysql")]
mod vanished;
mod verdict;

use std::collections::BTreeSet;

use event_core::EventOf;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, IsolationLevel, Statement,
    TransactionTrait as _,
};

use self::table::{Log, Table};
use crate::backend::dialect;
use crate::db_error::DatabaseError;
pub use verdict::Unrecorded;

/// A watched table changed without an event, or can't be watched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// Rows changed in a transaction that recorded no event of them.
    #[error(
        "rows changed in transactions that recorded no event of them: {}. Record one in the same transaction: \
         `row.record(...).save(txn)`, or for many rows `Entity::update_all()` in place of `update_many()`",
        verdict::list(.0)
    )]
    Unrecorded(Vec<Unrecorded>),
    /// This database can't tell transactions apart.
    #[error("tables can be watched on SQLite, PostgreSQL and MariaDB; this is {0}")]
    Unsupported(&'static str),
    /// SQLite's triggers can't write to another database file than the table's.
    #[error(
        "`{schema}.{table}` can't be watched: it is in an attached database, and SQLite's triggers write to their own one. Watch it on a \
         connection whose main database it is in"
    )]
    Attached {
        /// The table.
        table: String,
        /// The name of the attached database.
        schema: String,
    },
    /// An error of the database.
    #[error(transparent)]
    Db(#[from] DatabaseError),
}

impl From<DbErr> for WatchError {
    fn from(error: DbErr) -> Self {
        Self::Db(error.into())
    }
}

/// Which tables are watched: for tests, on a database of the test's own.
///
/// ```
/// # use event_sea_orm::prelude::*;
/// # use event_sea_orm::{Watch, WatchError};
/// # mod issue {
/// #     use sea_orm::entity::prelude::*;
/// #     #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
/// #     #[sea_orm(table_name = "issues")]
/// #     pub struct Model { #[sea_orm(primary_key)] pub id: i64, pub title: String }
/// #     #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
/// #     pub enum Relation {}
/// #     impl ActiveModelBehavior for ActiveModel {}
/// # }
/// #[derive(serde::Serialize, serde::Deserialize, DomainEvent)]
/// #[event(subject(issue::Entity))]
/// enum IssueEvent { Renamed }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, EntityTrait, sea_query::Expr};
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # db.execute(&sea_orm::Schema::new(sea_orm::DbBackend::Sqlite).create_table_from_entity(issue::Entity)).await?;
/// # migrate(&db).await?;
/// # issue::ActiveModel { title: Set("Broken".into()), ..Default::default() }.insert(&db).await?;
/// let watching = Watch::over::<issue::Entity, IssueEvent>().begin(&db).await?;
/// // What is tested. Here it forgets the record:
/// issue::Entity::update_many().col_expr(issue::Column::Title, Expr::val("Mended")).exec(&db).await?;
///
/// let error = watching.check().await.unwrap_err();
/// assert!(error.to_string().contains("`issues` 1 (UPDATE)"), "{error}");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is watched until `.begin(&db)` is awaited"]
pub struct Watch {
    tables: Vec<Table>,
    logs: BTreeSet<Log>,
}

impl Watch {
    /// The rows of this entity, whose changes are on record as events of `E`, or of whatever other enum with the same subject and log.
    pub fn over<T, E>() -> Self
    where
        T: EntityTrait,
        E: EventOf<T>,
    {
        Self::default().and::<T, E>()
    }

    /// And of this one.
    pub fn and<T, E>(self) -> Self
    where
        T: EntityTrait,
        E: EventOf<T>,
    {
        self.except::<T, E>([])
    }

    /// And of this one, but for columns that may change without an event: a counter, `updated_at`.
    pub fn except<T, E>(mut self, columns: impl IntoIterator<Item = T::Column>) -> Self
    where
        T: EntityTrait,
        E: EventOf<T>,
    {
        let table = Table::of::<T>(E::descriptor().subject(), columns);
        self.logs.insert(Log::of(E::descriptor(), &table));
        self.tables.push(table);
        self
    }

    /// Watches from now on. The triggers stay in the database: one of the test's own, that goes with it.
    ///
    /// On SQLite what other pools than this one do counts as one transaction. On MariaDB foreign keys' CASCADE and TRUNCATE run no trigger:
    /// a row that is gone without one counts as deleted, and any event of it since the last check as the deletion's.
    /// Columns that CASCADE or SET NULL changes there are not seen.
    ///
    /// # Errors
    /// What the database says; one that can't be watched.
    pub async fn begin(self, db: &DatabaseConnection) -> Result<Watching, WatchError> {
        let dialect = dialect(db.get_database_backend()).map_err(DbErr::from)?;
        let statements = match db.get_database_backend() {
            #[cfg(feature = "sqlite")]
            DbBackend::Sqlite => {
                sqlite::check(&self)?;
                sqlite::triggers(&self, dialect)
            }
            #[cfg(feature = "postgres")]
            DbBackend::Postgres => postgres::triggers(&self, dialect),
            #[cfg(feature = "mysql")]
            DbBackend::MySql => {
                let home = mysql::home(db).await?;
                mysql::triggers(&self, &home, dialect)
            }
            _ => return Err(WatchError::Unsupported("another one")),
        };
        for statement in statements {
            db.execute_unprepared(&statement).await?;
        }
        Ok(Watching {
            db: db.clone(),
            #[cfg(feature = "mysql")]
            rows: vanished::Rows::of(db, self.tables).await?,
            #[cfg(feature = "sqlite")]
            commits: sqlite::Commits::of(db).await?,
        })
    }

    /// Runs `work`, watched, and checks.
    ///
    /// # Errors
    /// As [`Watching::check`].
    pub async fn run<F: Future>(self, db: &DatabaseConnection, work: F) -> Result<F::Output, WatchError> {
        let watching = self.begin(db).await?;
        let worked = work.await;
        watching.check().await?;
        Ok(worked)
    }
}

/// Tables that are watched.
#[derive(Debug)]
#[must_use = "nobody hears of what escaped until `.check()` is awaited"]
pub struct Watching {
    db: DatabaseConnection,
    #[cfg(feature = "mysql")]
    rows: vanished::Rows,
    #[cfg(feature = "sqlite")]
    commits: sqlite::Commits,
}

impl Watching {
    /// Whether each row that changed since it began, or since this was asked last, has an event in the transaction that changed it.
    ///
    /// # Errors
    /// [`WatchError::Unrecorded`] names those that have none.
    pub async fn check(&self) -> Result<(), WatchError> {
        let backend = self.db.get_database_backend();
        let select = match backend {
            #[cfg(feature = "postgres")]
            DbBackend::Postgres => postgres::SELECT,
            #[cfg(feature = "mysql")]
            DbBackend::MySql => mysql::SELECT,
            _ => "SELECT id, id AS tx, source, kind, row_id, operation FROM event_watch ORDER BY id",
        };
        // Of the same moment as the rows that are there.
        let isolation = (backend == DbBackend::MySql).then_some(IsolationLevel::RepeatableRead);
        let snapshot = self.db.begin_with_config(isolation, None).await?;
        #[cfg(feature = "mysql")]
        let now = self.rows.now(&snapshot).await?;
        let rows = snapshot.query_all_raw(Statement::from_string(backend, select)).await?;
        snapshot.rollback().await?;
        let seen = rows.iter().map(verdict::seen).collect::<Result<Vec<_>, _>>()?;
        #[cfg(feature = "sqlite")]
        let seen: Vec<_> = match backend {
            DbBackend::Sqlite => {
                let told = |row: verdict::Seen| {
                    let transaction = self.commits.transaction(row.id);
                    row.of(transaction)
                };
                seen.into_iter().map(told).collect()
            }
            _ => seen,
        };
        if let Some(last) = seen.iter().map(|row| row.id).max() {
            self.db.execute_unprepared(&format!("DELETE FROM event_watch WHERE id <= {last}")).await?;
        }
        #[cfg_attr(not(feature = "mysql"), allow(unused_mut))]
        let mut unrecorded = verdict::unrecorded(&seen);
        #[cfg(feature = "mysql")]
        unrecorded.extend(self.rows.vanished(now, &seen));
        if unrecorded.is_empty() { Ok(()) } else { Err(WatchError::Unrecorded(unrecorded)) }
    }
}
