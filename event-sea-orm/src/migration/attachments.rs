//! `event_attachments`: the files of events. Their bytes are in an object store.

use sea_orm::{DbBackend, DbErr};
use sea_orm_migration::async_trait::async_trait;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::run;
use crate::backend::dialect;

pub(super) struct Attachments;

impl MigrationName for Attachments {
    fn name(&self) -> &str {
        "m20261125_000004_event_attachments"
    }
}

#[async_trait]
impl MigrationTrait for Attachments {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        // There a run may be cut short between any two statements, and the table has its name only when it is whole.
        if backend == DbBackend::MySql && manager.has_table("event_attachments").await? {
            return Ok(());
        }
        run(manager, dialect(backend)?.attachments_up()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = dialect(manager.get_database_backend())?;
        run(manager, dialect.attachments_down()).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// Between two values, one of which may be NULL, and how a database says that they are the same.
pub(super) struct Same(pub(super) &'static str);

/// What triggers say to a change that is none of those.
pub(super) const CHANGED: &str = "attachments are append-only: what an attachment says can''t be changed";

/// What they say to a DELETE.
pub(super) const DELETED: &str = "attachments are append-only: only a sweep deletes them, when no event has them";

/// What they say to an INSERT of anything but an upload that begins.
pub(super) const INSERTED: &str = "attachments are append-only: a row begins as an upload; store the file again";

/// The condition, of a row's trigger, that an inserted row is an upload that begins: neither stored nor attached nor to be removed.
pub(super) const FRESH: &str = "NEW.state = 'uploading' AND NEW.size IS NULL AND NEW.sha256 IS NULL AND NEW.log IS NULL \
     AND NEW.event_id IS NULL";

/// The table's conditions, in SQL that all databases have in common.
pub(super) const CHECKS: &str = "CHECK (state IN ('uploading', 'stored', 'removing')),
    CHECK ((log IS NULL) = (event_id IS NULL)),
    CHECK ((size IS NULL) = (sha256 IS NULL)),
    CHECK (state <> 'stored' OR size IS NOT NULL),
    CHECK (event_id IS NULL OR size IS NOT NULL)";

impl Same {
    /// The condition, of a row's trigger, that a change is one of the three that there are: uploaded, attached, claimed by a sweep.
    pub(super) fn allowed(&self) -> String {
        let same = |columns: &[&str]| {
            let same = columns.iter().map(|column| format!("NEW.{column} {} OLD.{column}", self.0));
            same.collect::<Vec<_>>().join(" AND ")
        };
        format!(
            "{} AND CASE
        WHEN OLD.state = 'removing' THEN FALSE
        WHEN NEW.state = 'removing' THEN {}
        WHEN OLD.state = 'uploading' THEN NEW.state = 'stored' AND NEW.event_id IS NULL
        ELSE NEW.state = 'stored' AND OLD.event_id IS NULL AND NEW.event_id IS NOT NULL AND {}
    END",
            same(&["id", "name", "content_type", "created_at"]),
            same(&["size", "sha256", "log", "event_id"]),
            same(&["size", "sha256"]),
        )
    }
}
