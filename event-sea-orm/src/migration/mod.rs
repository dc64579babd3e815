//! The tables, as SeaORM migrations: to be added to a user's own migrator, or run by [`migrate`].

mod attachments;
mod batches;
mod log;
#[cfg(feature = "mysql")]
pub(crate) mod mysql;
#[cfg(feature = "mysql")]
mod mysql_lock;
mod own;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
mod system;
mod throttles;
pub(crate) mod wait;
pub(crate) mod who;

use sea_orm::DbErr;
use sea_orm_migration::{MigrationTrait, SchemaManager};

pub use own::migrate;

/// The shared log and the tables that all logs share: everything that a user's own migrator needs.
///
/// ```
/// use sea_orm_migration::prelude::*;
///
/// struct Migrator;
///
/// #[async_trait::async_trait]
/// impl MigratorTrait for Migrator {
///     fn migrations() -> Vec<Box<dyn MigrationTrait>> {
///         let mut migrations: Vec<Box<dyn MigrationTrait>> = vec![/* your own */];
///         migrations.extend(event_sea_orm::migration::all());
///         migrations.push(event_sea_orm::migration::log("audit_events"));
///         migrations
///     }
/// }
/// # assert_eq!(Migrator::migrations().len(), 6);
/// ```
///
/// Their names stay as they are: `m20261124_000001_event_log`, `m20261124_000002_event_tables`,
/// `m20261125_000001_event_throttles`, `m20261125_000002_event_batches` and `m20261125_000004_event_attachments`.
///
/// An application with an `events` table of its own takes [`tables`], [`throttles`], [`batches`], [`attachments`] and its own [`log`]s instead, and gives its enums
/// `log = "..."`.
pub fn all() -> Vec<Box<dyn MigrationTrait>> {
    vec![log(event_core::SHARED_LOG), tables(), throttles(), batches(), attachments()]
}

/// The tables that all logs share: `event_cursors` and `event_failures`.
pub fn tables() -> Box<dyn MigrationTrait> {
    Box::new(system::SystemTables)
}

/// The table of batches, `event_batches`.
pub fn batches() -> Box<dyn MigrationTrait> {
    Box::new(batches::Batches)
}

/// The table of attachments, `event_attachments`.
pub fn attachments() -> Box<dyn MigrationTrait> {
    Box::new(attachments::Attachments)
}

/// The table of throttles, `event_throttles`. A row whose `until` is past does nothing, and may be deleted at any time.
pub fn throttles() -> Box<dyn MigrationTrait> {
    Box::new(throttles::Throttles)
}

/// Another log: the table of enums with `log = "..."`. The migration's name holds the log's.
///
/// The name is lower-case letters, digits and `_`, at most 55 characters; another one is an error when the migration runs.
pub fn log(name: &str) -> Box<dyn MigrationTrait> {
    Box::new(log::LogTable::new(name))
}

/// The log of an enum, which this has linked: the shared one, another, or a table of its own. The tables that its foreign keys
/// point to have to be there: put it behind their migrations.
///
/// ```
/// # use event_sea_orm::prelude::*;
/// # fn example<IssueEvent: DomainEvent>() -> Box<dyn sea_orm_migration::MigrationTrait> {
/// event_sea_orm::migration::of::<IssueEvent>()
/// # }
/// ```
pub fn of<E: event_core::DomainEvent>() -> Box<dyn MigrationTrait> {
    log(E::descriptor().log())
}

async fn run(manager: &SchemaManager<'_>, statements: Vec<String>) -> Result<(), DbErr> {
    use sea_orm::ConnectionTrait;
    let dialect = crate::backend::dialect(manager.get_database_backend())?;
    for statement in statements {
        let done = manager.get_connection().execute_unprepared(&statement).await;
        done.map_err(|error| dialect.explain(error))?;
    }
    Ok(())
}
