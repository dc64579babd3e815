//! `migrate`: the migrations with a migration table of their own, for users without a migrator.

use std::collections::BTreeSet;

use event_core::{SHARED_LOG, registry};
use sea_orm::sea_query::IntoIden;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, DynIden, TransactionTrait,
    sea_query::{Alias, Query},
};
use sea_orm_migration::{MigrationTrait, MigratorTraitSelf, SchemaManager};

use super::{attachments, batches, log, tables, throttles, wait};
use crate::backend::{Dialect, dialect};
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
/// A lock that another session holds is waited for, for at most a minute, or for as long as the session's `lock_timeout` (PostgreSQL),
/// `lock_wait_timeout` (MySQL, MariaDB) or busy time-out (SQLite) allows, whichever is shorter.
///
/// # Errors
/// Returns `DbErr::Migration` if another session holds a lock for longer, with the session where the database tells; if a table of a log's
/// name is there that this function did not make; and if the database's encoding can't hold every text. Returns
/// `DbErr::BackendNotSupported` for other databases, and the database's own error for anything else.
pub async fn migrate(db: &DatabaseConnection) -> Result<(), DbErr> {
    let dialect = dialect(db.get_database_backend())?;
    #[cfg(feature = "mysql")]
    if db.get_database_backend() == sea_orm::DbBackend::MySql {
        return super::mysql_lock::migrate(db).await;
    }
    let transaction = match transact::begin(db, transact::options()).await {
        Ok(transaction) => transaction,
        Err(error) => return Err(wait::explain(db, dialect, error).await),
    };
    let migrated = migrate_in(&transaction, dialect).await;
    match migrated {
        Ok(()) => transaction.commit().await,
        Err(error) => {
            // The first error says more.
            let _ = transact::roll_back(transaction).await;
            Err(wait::explain(db, dialect, error).await)
        }
    }
}

async fn migrate_in(transaction: &DatabaseTransaction, dialect: &dyn Dialect) -> Result<(), DbErr> {
    wait::limit(transaction).await?;
    if let Some(lock) = dialect.one_migration_at_a_time() {
        transaction.execute_unprepared(&lock).await?;
    }
    up(transaction).await
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
