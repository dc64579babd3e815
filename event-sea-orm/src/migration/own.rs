//! `migrate`: the migrations with a migration table of their own, for users without a migrator.

use std::collections::BTreeSet;

use event_core::{SHARED_LOG, registry};
use sea_orm::sea_query::IntoIden;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, DynIden, TransactionTrait,
    sea_query::{Alias, Query},
};
use sea_orm_migration::{MigrationTrait, MigratorTraitSelf, SchemaManager};

use super::{attachments, batches, log, tables, throttles};
use crate::backend::dialect;
use crate::transact;

const TABLE: &str = "event_migrations";

/// Makes every table that is missing: the logs of all linked event enums (the shared log where none is linked), and the
/// tables they share.
///
/// Remembers what it made in `event_migrations`; called again, it makes what a newly linked enum needs and nothing else.
/// Of two programs that start at once one waits for the other: all runs in one transaction, or, on MySQL and MariaDB, where
/// every change of a table is committed at once, under a lock. There a run that was cut short is simply repeated.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), sea_orm::DbErr> {
/// let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// event_sea_orm::migrate(&db).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// What the database says; a table of a log's name that this function did not make; a database that is not supported.
pub async fn migrate(db: &DatabaseConnection) -> Result<(), DbErr> {
    let dialect = dialect(db.get_database_backend())?;
    #[cfg(feature = "mysql")]
    if db.get_database_backend() == sea_orm::DbBackend::MySql {
        return super::mysql_lock::migrate(db).await;
    }
    let transaction = db.begin_with_options(transact::options()).await?;
    if let Some(lock) = dialect.one_migration_at_a_time() {
        transaction.execute_unprepared(lock).await?;
    }
    up(&transaction).await?;
    transaction.commit().await
}

pub(super) async fn up<C: ConnectionTrait + TransactionTrait>(db: &C) -> Result<(), DbErr>
where
    for<'c> &'c C: sea_orm_migration::IntoSchemaManagerConnection<'c>,
{
    let mut logs: BTreeSet<String> = registry::events().iter().map(|event| event.log().to_owned()).collect();
    if logs.is_empty() {
        logs.insert(SHARED_LOG.to_owned());
    }
    logs.extend(applied_logs(db).await?);
    OwnMigrator { logs }.up(db, None).await
}

struct OwnMigrator {
    logs: BTreeSet<String>,
}

impl MigratorTraitSelf for OwnMigrator {
    fn migrations(&self) -> Vec<Box<dyn MigrationTrait>> {
        let shared = self.logs.iter().filter(|name| *name == SHARED_LOG).map(|name| log(name));
        let others = self.logs.iter().filter(|name| *name != SHARED_LOG).map(|name| log(name));
        shared.chain([tables(), throttles(), batches(), attachments()]).chain(others).collect()
    }

    fn migration_table_name(&self) -> DynIden {
        Alias::new(TABLE).into_iden()
    }
}

/// The logs made earlier, also those whose enum is no longer linked: a migrator refuses to run without them.
async fn applied_logs<C: ConnectionTrait + TransactionTrait>(db: &C) -> Result<Vec<String>, DbErr>
where
    for<'c> &'c C: sea_orm_migration::IntoSchemaManagerConnection<'c>,
{
    if !SchemaManager::new(db).has_table(TABLE).await? {
        return Ok(Vec::new());
    }
    let select = Query::select().column(Alias::new("version")).from(Alias::new(TABLE)).to_owned();
    let names = db.query_all(&select).await?.into_iter().map(|row| row.try_get::<String>("", "version"));
    let names: Vec<_> = names.collect::<Result<_, _>>()?;
    let log = |name: &String| match name.strip_prefix(super::log::PREFIX) {
        Some(log) => Some(log.to_owned()),
        None => (name == super::log::SHARED).then(|| SHARED_LOG.to_owned()),
    };
    Ok(names.iter().filter_map(log).collect())
}
