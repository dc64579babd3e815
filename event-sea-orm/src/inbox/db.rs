//! `Db`: the dispatcher's connection, as an argument of an inbox.

use std::ops::Deref;

use event_core::{Delivery, FromDelivery, InboxError, Needs};
use sea_orm::DatabaseConnection;

/// The connection that the dispatcher was built with; derefs to it.
///
/// An inbox that writes should rather take [`Txn`](super::Txn): its writes then happen exactly once. An inbox that takes both
/// is refused when the dispatcher is built.
///
/// ```
/// use event_sea_orm::{Db, prelude::*};
/// use sea_orm::ConnectionTrait;
/// #[inbox]
/// async fn vacuum(_event: AnyEvent, db: Db) -> InboxResult {
///     db.execute_unprepared("PRAGMA optimize").await?;
///     handled()
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Db(DatabaseConnection);

impl Deref for Db {
    type Target = DatabaseConnection;

    fn deref(&self) -> &DatabaseConnection {
        &self.0
    }
}

impl<'a> FromDelivery<'a> for Db {
    async fn from_delivery(delivery: &'a Delivery<'a>) -> Result<Self, InboxError> {
        connection(delivery).cloned().map(Self)
    }

    fn declare(needs: &mut Needs) {
        needs.connection();
        needs.database::<DatabaseConnection>("Db");
    }
}

pub(super) fn connection<'a>(delivery: &Delivery<'a>) -> Result<&'a DatabaseConnection, InboxError> {
    delivery.states().get::<DatabaseConnection>().ok_or_else(|| {
        InboxError::new("there is no database connection here: the dispatcher was not built by event-sea-orm")
            .no_retry()
    })
}
