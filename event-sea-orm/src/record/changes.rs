//! What changed in a model: from before and after, or from what an active model sets.

use event_core::{DomainEvent, EventOf, Recording};
use sea_orm::sea_query::sea_value_to_json_value;
use sea_orm::{ActiveModelTrait, ActiveValue, EntityTrait, IdenStatic as _, Iterable as _, ModelTrait};

/// How a [`Recording`] learns what changed, without anybody writing it down.
pub trait RecordChanges<E: DomainEvent>: Sized {
    /// Every attribute in which the two differ, from and to. Columns that the enum leaves out (`subject(..., except(password))`) are
    /// not looked at.
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
}

impl<E: DomainEvent> RecordChanges<E> for Recording<E> {
    fn changes<M>(self, before: &M, after: &M) -> Recording<E>
    where
        M: ModelTrait,
        E: EventOf<M::Entity>,
    {
        let columns = <M::Entity as EntityTrait>::Column::iter().map(|column| (column, after.get(column)));
        record::<E, M>(self, before, columns)
    }

    fn changes_by<A, M>(self, before: &M, changed: &A) -> Recording<E>
    where
        A: ActiveModelTrait<Entity = M::Entity>,
        M: ModelTrait,
        E: EventOf<M::Entity>,
    {
        let columns = <M::Entity as EntityTrait>::Column::iter().filter_map(|column| match changed.get(column) {
            ActiveValue::Set(value) => Some((column, value)),
            ActiveValue::Unchanged(_) | ActiveValue::NotSet => None,
        });
        record::<E, M>(self, before, columns)
    }
}

fn record<E, M>(
    recording: Recording<E>,
    before: &M,
    after: impl Iterator<Item = (<M::Entity as EntityTrait>::Column, sea_orm::Value)>,
) -> Recording<E>
where
    M: ModelTrait,
    E: DomainEvent,
{
    let except = E::descriptor().except();
    let changed = after.filter(|(column, _)| !except.contains(&column.as_str())).filter_map(|(column, after)| {
        let before = before.get(column);
        (before != after).then(|| (column.as_str(), sea_value_to_json_value(&before), sea_value_to_json_value(&after)))
    });
    recording.changed(changed)
}
