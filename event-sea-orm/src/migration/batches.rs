//! `event_batches`: what events were recorded together, and why.

use sea_orm::DbErr;
use sea_orm_migration::async_trait::async_trait;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::run;
use crate::backend::dialect;

pub(super) struct Batches;

impl MigrationName for Batches {
    fn name(&self) -> &str {
        "m20261125_000002_event_batches"
    }
}

#[async_trait]
impl MigrationTrait for Batches {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = dialect(manager.get_database_backend())?;
        run(manager, dialect.batches_up()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, vec!["DROP TABLE event_batches".to_owned()]).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
