//! The tables that all logs share: `event_cursors` and `event_failures`.

use sea_orm::DbErr;
use sea_orm_migration::async_trait::async_trait;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::run;
use crate::backend::dialect;

pub(super) struct SystemTables;

impl MigrationName for SystemTables {
    fn name(&self) -> &str {
        "m20261124_000002_event_tables"
    }
}

#[async_trait]
impl MigrationTrait for SystemTables {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = dialect(manager.get_database_backend())?;
        run(manager, dialect.system_up()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = dialect(manager.get_database_backend())?;
        run(manager, dialect.system_down()).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
