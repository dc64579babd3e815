//! `event_throttles`: until when what is throttled may not be recorded again.

use sea_orm::DbErr;
use sea_orm_migration::async_trait::async_trait;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::run;
use crate::backend::dialect;

pub(super) struct Throttles;

impl MigrationName for Throttles {
    fn name(&self) -> &str {
        "m20261125_000001_event_throttles"
    }
}

#[async_trait]
impl MigrationTrait for Throttles {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = dialect(manager.get_database_backend())?;
        run(manager, dialect.throttles_up()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, vec!["DROP TABLE event_throttles".to_owned()]).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
