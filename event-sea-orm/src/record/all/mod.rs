//! Set-based changes that don't escape the record: "update all where", "delete all where", and an event for each row.

mod delete;
mod rows;
mod update;

use event_core::Saved;
use sea_orm::{Condition, EntityTrait};

pub use delete::DeleteAll;
pub use update::UpdateAll;

/// What an entity can do with many of its rows at once, and with an event for each.
pub trait EntityEvents: EntityTrait {
    /// Changes all rows that a filter finds, and records an event for each: SeaORM's `update_many` for what is to be on record.
    ///
    /// ```
    /// # use event_sea_orm::prelude::*;
    /// # mod issue {
    /// #     use sea_orm::entity::prelude::*;
    /// #     #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    /// #     #[sea_orm(table_name = "issues")]
    /// #     pub struct Model { #[sea_orm(primary_key)] pub id: i64, pub status: String }
    /// #     #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    /// #     pub enum Relation {}
    /// #     impl ActiveModelBehavior for ActiveModel {}
    /// # }
    /// # #[derive(serde::Serialize, serde::Deserialize, DomainEvent)]
    /// # #[event(subject(issue::Entity))]
    /// # enum IssueEvent { StatusChanged { from: String, to: String } }
    /// use sea_orm::ColumnTrait;
    ///
    /// # async fn example(db: &sea_orm::DatabaseConnection) -> Result<(), RecordError> {
    /// let closed = issue::Entity::update_all()
    ///     .filter(issue::Column::Status.eq("open"))
    ///     .set(issue::Column::Status, "closed")
    ///     .record(db, |before, after| {
    ///         let changed = IssueEvent::StatusChanged { from: before.status.clone(), to: after.status.clone() };
    ///         after.record(changed).by_system()
    ///     })
    ///     .await?;
    /// println!("{} issues closed", closed.rows.len());
    /// # Ok(()) }
    /// ```
    fn update_all() -> UpdateAll<Self> {
        UpdateAll { filter: Condition::all(), set: Vec::new() }
    }

    /// Deletes all rows that a filter finds, and records an event for each: SeaORM's `delete_many` for what is to be on record.
    ///
    /// A row with events in a table of its own can't be deleted, since they refer to it.
    fn delete_all() -> DeleteAll<Self> {
        DeleteAll { filter: Condition::all(), entity: std::marker::PhantomData }
    }
}

impl<E: EntityTrait> EntityEvents for E {}

/// The rows of a set-based change, and their events.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Changed<M> {
    /// The rows that changed, as they are now; or that were deleted, as they were.
    pub rows: Vec<M>,
    /// What became of each one's event.
    pub saved: Vec<Saved>,
}
