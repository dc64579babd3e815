//! The tables, as SeaORM migrations: to be added to a user's own migrator, or run by [`migrate`].

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
/// # assert_eq!(Migrator::migrations().len(), 3);
/// ```
///
/// Their names stay as they are: `m20261124_000001_event_log` and `m20261124_000002_event_tables`.
///
/// An application with an `events` table of its own takes [`tables`] and its own [`log`]s instead, and gives its enums
/// `log = "..."`.
pub fn all() -> Vec<Box<dyn MigrationTrait>> {
    vec![log(event_core::SHARED_LOG), tables()]
}

/// The tables that all logs share: `event_cursors` and `event_failures`.
pub fn tables() -> Box<dyn MigrationTrait> {
    Box::new(system::SystemTables)
}

/// Another log: the table of enums with `log = "..."`. The migration's name holds the log's.
///
/// The name is lower-case letters, digits and `_`, at most 55 characters; another one is an error when the migration runs.
pub fn log(name: &str) -> Box<dyn MigrationTrait> {
    Box::new(log::LogTable::new(name))
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
