//! A log's table, its indexes and the triggers that keep it append-only.

use event_core::SHARED_LOG;
use sea_orm::DbErr;
use sea_orm_migration::async_trait::async_trait;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::run;
use super::who::Who;
use crate::backend::dialect;

/// The name of every log's migration but the shared one's: this, and the log.
pub(super) const PREFIX: &str = "m20261124_000003_event_log_";

/// The name of the shared log's migration.
pub(super) const SHARED: &str = "m20261124_000001_event_log";

/// Names of indexes and triggers are the log's name and a suffix, and PostgreSQL cuts names at 63 characters.
const LOG_NAME_MAX: usize = 55;

pub(super) struct LogTable {
    log: String,
    name: String,
}

impl LogTable {
    pub(super) fn new(log: &str) -> Self {
        let name = if log == SHARED_LOG { SHARED.to_owned() } else { format!("{PREFIX}{log}") };
        Self { log: log.to_owned(), name }
    }
}

impl MigrationName for LogTable {
    fn name(&self) -> &str {
        &self.name
    }
}

#[async_trait]
impl MigrationTrait for LogTable {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let log = self.log.as_str();
        if !is_log_name(log) {
            return Err(DbErr::Migration(format!(
                "`{log}` can't be the name of a log: lower-case letters, digits and `_`, no digit first, at most \
                 {LOG_NAME_MAX} characters"
            )));
        }
        let dialect = dialect(manager.get_database_backend())?;
        if manager.has_table(log).await? {
            return Err(DbErr::Migration(format!(
                "there is a table `{log}` already, and this migration did not make it: if another migrator did, keep to \
                 that one; if the table is your own, give the events another log (`#[event(log = \"...\")]`, and \
                 `migration::tables()` and `migration::log(\"...\")` in place of `migration::all()`)"
            )));
        }
        #[cfg(feature = "postgres")]
        if manager.get_database_backend() == sea_orm::DbBackend::Postgres {
            check_encoding(manager).await?;
        }
        let who = Who::of(log, manager.get_connection()).await?;
        run(manager, dialect.log_up(log, &who)).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = dialect(manager.get_database_backend())?;
        run(manager, dialect.log_down(&self.log)).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// A log in a database of another encoding could not hold every text, and a dispatcher refuses it.
#[cfg(feature = "postgres")]
async fn check_encoding(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    use sea_orm::{ConnectionTrait as _, Statement};
    let asked = "SELECT current_setting('server_encoding') AS encoding";
    let asked = Statement::from_string(manager.get_database_backend(), asked);
    let encoding: Option<String> = match manager.get_connection().query_one_raw(asked).await? {
        Some(row) => Some(row.try_get("", "encoding")?),
        None => None,
    };
    match encoding {
        Some(encoding) if encoding != super::postgres::ENCODING => {
            Err(DbErr::Migration(super::postgres::wrong_encoding(&encoding)))
        }
        _ => Ok(()),
    }
}

fn is_log_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= LOG_NAME_MAX
        && bytes.next().is_some_and(|first| first == b'_' || first.is_ascii_lowercase())
        && bytes.all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
}
