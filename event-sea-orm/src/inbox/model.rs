//! `Subject<M>` and `Actor<M>`: the loaded models that an event names.

use std::any::TypeId;
use std::ops::Deref;

use event_core::{Delivery, FromDelivery, InboxError, Needs, OptionalFromDelivery, registry};
use sea_orm::{DatabaseConnection, EntityTrait, FromQueryResult, ModelTrait};

use super::Txn;
use super::db::connection;
use crate::key::{KeyOf, TextKey, key_of};
use crate::storage::InboxTransaction;

/// The event's subject, loaded as it is now; derefs to the model. A subject that no longer exists makes a dead letter at once;
/// take `Option<Subject<M>>` where that is to be expected.
#[derive(Clone, Debug)]
pub struct Subject<M>(pub M);

/// The event's actor, loaded as it is now; derefs to the model. An event by the system, or by another kind of actor, or by one
/// that no longer exists makes a dead letter at once; take `Option<Actor<M>>` where that is to be expected.
#[derive(Clone, Debug)]
pub struct Actor<M>(pub M);

impl<M> Deref for Subject<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.0
    }
}

impl<M> Deref for Actor<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.0
    }
}

impl<'a, M> OptionalFromDelivery<'a> for Subject<M>
where
    M: ModelTrait<Entity: EntityTrait<Model = M>> + FromQueryResult + Send + Sync,
    KeyOf<M::Entity>: TextKey,
{
    async fn from_delivery(delivery: &'a Delivery<'a>) -> Result<Option<Self>, InboxError> {
        match registry::describe(delivery.stored()) {
            Some((event, _)) if event.subject_type() == TypeId::of::<M::Entity>() => {
                Ok(find(delivery, &delivery.stored().subject.id).await?.map(Self))
            }
            _ => Ok(None),
        }
    }

    fn declare(needs: &mut Needs) {
        needs.one_event();
        needs.database::<DatabaseConnection>("Subject<_>");
    }
}

impl<'a, M> FromDelivery<'a> for Subject<M>
where
    M: ModelTrait<Entity: EntityTrait<Model = M>> + FromQueryResult + Send + Sync,
    KeyOf<M::Entity>: TextKey,
{
    async fn from_delivery(delivery: &'a Delivery<'a>) -> Result<Self, InboxError> {
        let found = <Self as OptionalFromDelivery>::from_delivery(delivery).await?;
        found.ok_or_else(|| gone("subject", &delivery.stored().subject.to_string()))
    }

    fn declare(needs: &mut Needs) {
        needs.one_event();
        needs.database::<DatabaseConnection>("Subject<_>");
    }
}

impl<'a, M> OptionalFromDelivery<'a> for Actor<M>
where
    M: ModelTrait<Entity: EntityTrait<Model = M>> + FromQueryResult + Send + Sync,
    KeyOf<M::Entity>: TextKey,
{
    async fn from_delivery(delivery: &'a Delivery<'a>) -> Result<Option<Self>, InboxError> {
        match &delivery.stored().actor {
            Some(actor) if is_kind_of::<M>(delivery, &actor.kind) => Ok(find(delivery, &actor.id).await?.map(Self)),
            _ => Ok(None),
        }
    }

    fn declare(needs: &mut Needs) {
        needs.one_event();
        needs.database::<DatabaseConnection>("Actor<_>");
    }
}

impl<'a, M> FromDelivery<'a> for Actor<M>
where
    M: ModelTrait<Entity: EntityTrait<Model = M>> + FromQueryResult + Send + Sync,
    KeyOf<M::Entity>: TextKey,
{
    async fn from_delivery(delivery: &'a Delivery<'a>) -> Result<Self, InboxError> {
        let found = <Self as OptionalFromDelivery>::from_delivery(delivery).await?;
        let actor = &delivery.stored().actor;
        found.ok_or_else(|| gone("actor", &actor.as_ref().map_or_else(|| "system".to_owned(), ToString::to_string)))
    }

    fn declare(needs: &mut Needs) {
        needs.one_event();
        needs.database::<DatabaseConnection>("Actor<_>");
    }
}

/// The model of that key, by the transaction where there is one.
async fn find<M>(delivery: &Delivery<'_>, id: &str) -> Result<Option<M>, InboxError>
where
    M: ModelTrait<Entity: EntityTrait<Model = M>> + FromQueryResult + Send + Sync,
    KeyOf<M::Entity>: TextKey,
{
    let Some(key) = KeyOf::<M::Entity>::from_text(id) else { return Ok(None) };
    let exact = key.to_text();
    let select = <M::Entity as EntityTrait>::find_by_id(key);
    let found = match delivery.transaction::<InboxTransaction>() {
        Some(inner) => select.one(&Txn { inner }).await,
        None => select.one(connection(delivery)?).await,
    };
    // A column's collation may take another row's key for this one: `A` for `a`.
    Ok(found?.filter(|model| key_of(model).as_str() == exact))
}

/// Whether actors of that name are of this model: several kinds of actor may share an id.
fn is_kind_of<M: ModelTrait>(delivery: &Delivery<'_>, name: &str) -> bool {
    let entity = TypeId::of::<M::Entity>();
    registry::describe(delivery.stored()).is_some_and(|(event, _)| {
        event.actors().iter().any(|actor| actor.name() == name && actor.actor_type() == entity)
    })
}

fn gone(what: &str, which: &str) -> InboxError {
    InboxError::new(format!("the event's {what} ({which}) is not there, or is of another kind than this inbox takes"))
        .no_retry()
}
