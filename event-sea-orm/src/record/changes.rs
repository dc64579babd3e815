//! What a model is and what changed in it, column by column: never a column that the enum leaves out.

use event_core::{DomainEvent, EventOf, Metadata, Recording};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IdenStatic as _, Iterable as _, ModelTrait, Value,
};
use serde_json::Value as Json;

use crate::exact;

type ColumnOf<M> = <<M as ModelTrait>::Entity as EntityTrait>::Column;

/// How a [`Recording`] keeps a model and what changed in it.
///
/// Both name columns as the database does, so that a field may be renamed later, and keep their values exactly: the chapter "Recording"
/// has the form of each type. Columns that the enum leaves out (`subject(..., except(password_hash))`) are left out by their identity,
/// whatever they are called in the database or by serde.
pub trait RecordChanges<E: DomainEvent>: Sized {
    /// Every attribute in which the two differ, from and to.
    ///
    /// ```
    /// # use event_sea_orm::prelude::*;
    /// # use sea_orm::ModelTrait;
    /// # async fn example<E, M>(db: &sea_orm::DatabaseConnection, before: M, after: M, edited: E) -> Result<(), RecordError>
    /// # where E: EventOf<M::Entity>, M: ModelTrait + 'static, KeyOf<M::Entity>: TextKey {
    /// after.record(edited).changes(&before, &after).by_system().save(db).await?;
    /// # Ok(()) }
    /// ```
    #[must_use = "nothing is recorded until `.save(...)` is awaited"]
    fn changes<M>(self, before: &M, after: &M) -> Recording<E>
    where
        M: ModelTrait,
        E: EventOf<M::Entity>;

    /// Every attribute that the active model sets to something else than it was.
    #[must_use = "nothing is recorded until `.save(...)` is awaited"]
    fn changes_by<A, M>(self, before: &M, changed: &A) -> Recording<E>
    where
        A: ActiveModelTrait<Entity = M::Entity>,
        M: ModelTrait,
        E: EventOf<M::Entity>;

    /// The model as it is now, kept with the event. Something else than a model is kept by
    /// [`snapshot_value`](Recording::snapshot_value).
    ///
    /// ```
    /// # use event_sea_orm::prelude::*;
    /// # use sea_orm::ModelTrait;
    /// # async fn example<E, M>(db: &sea_orm::DatabaseConnection, issue: M, deleted: E) -> Result<(), RecordError>
    /// # where E: EventOf<M::Entity>, M: ModelTrait + 'static, KeyOf<M::Entity>: TextKey {
    /// issue.record(deleted).snapshot(&issue).by_system().save(db).await?;
    /// # Ok(()) }
    /// ```
    #[must_use = "nothing is recorded until `.save(...)` is awaited"]
    fn snapshot<M>(self, model: &M) -> Recording<E>
    where
        M: ModelTrait,
        E: EventOf<M::Entity>;
}

impl<E: DomainEvent> RecordChanges<E> for Recording<E> {
    fn changes<M>(self, before: &M, after: &M) -> Recording<E>
    where
        M: ModelTrait,
        E: EventOf<M::Entity>,
    {
        let after = ColumnOf::<M>::iter().map(|column| (column, after.get(column)));
        self.changed_columns(differences::<E, M>(before, after))
    }

    fn changes_by<A, M>(self, before: &M, changed: &A) -> Recording<E>
    where
        A: ActiveModelTrait<Entity = M::Entity>,
        M: ModelTrait,
        E: EventOf<M::Entity>,
    {
        let after = ColumnOf::<M>::iter().filter_map(|column| match changed.get(column) {
            ActiveValue::Set(value) => Some((column, value)),
            ActiveValue::Unchanged(_) | ActiveValue::NotSet => None,
        });
        self.changed_columns(differences::<E, M>(before, after))
    }

    fn snapshot<M>(self, model: &M) -> Recording<E>
    where
        M: ModelTrait,
        E: EventOf<M::Entity>,
    {
        let columns = ColumnOf::<M>::iter().filter(|column| !E::descriptor().leaves_out(column));
        let columns: Metadata =
            columns.map(|column| (column.as_str().to_owned(), exact::json(&model.get(column)))).collect();
        self.snapshot_of_columns(columns)
    }
}

/// The columns whose values are no longer those of `before`, with both in their exact form.
pub(crate) fn differences<E: DomainEvent, M: ModelTrait>(
    before: &M,
    after: impl Iterator<Item = (ColumnOf<M>, Value)>,
) -> impl Iterator<Item = (String, Json, Json)> {
    after.filter(|(column, _)| !E::descriptor().leaves_out(column)).filter_map(|(column, after)| {
        let before = before.get(column);
        // Compared as values: 1.0 and 1.00 are the same decimal.
        (before != after).then(|| (column.as_str().to_owned(), exact::json(&before), exact::json(&after)))
    })
}

/// The other names of these columns: in the database, and in JSON. For the derive's output alone.
pub fn column_names<C: ColumnTrait>(columns: &[C]) -> Vec<&'static str> {
    columns.iter().flat_map(|column| [column.as_str(), column.json_key()]).collect()
}
