//! "Delete all where", with what each row was.

use event_core::Draft;
use sea_orm::sea_query::IntoCondition;
use sea_orm::{Condition, ConnectionTrait, EntityTrait, QueryFilter as _};

use super::super::{RecordConnection, RecordError, atomic};
use super::{Changed, rows};
use crate::backend::{Dialect, dialect};
use crate::wake;

/// A deletion of many rows; made by [`EntityEvents::delete_all`](super::EntityEvents::delete_all).
#[derive(Clone, Debug)]
#[must_use = "nothing is deleted until `.record(...)` is awaited"]
pub struct DeleteAll<E: EntityTrait> {
    pub(super) filter: Condition,
    pub(super) entity: std::marker::PhantomData<E>,
}

impl<E: EntityTrait> DeleteAll<E> {
    /// Which rows; several filters have to agree. Without one, all.
    pub fn filter(mut self, filter: impl IntoCondition) -> Self {
        self.filter = self.filter.add(filter.into_condition());
        self
    }

    /// Deletes the rows, and records what `event` makes of each. All of it or nothing, as with [`UpdateAll::record`](super::UpdateAll::record).
    ///
    /// # Errors
    /// What is wrong with a recording, or what the database says; nothing was deleted.
    pub async fn record<C, F, D>(self, conn: &C, event: F) -> Result<Changed<E::Model>, RecordError>
    where
        C: RecordConnection,
        F: FnMut(&E::Model) -> D + Send,
        D: Into<Draft>,
        E::Model: Send + Sync,
    {
        let dialect = dialect(conn.get_database_backend())?;
        let entity = E::default();
        let table = entity.table_name();
        let transaction = atomic::begin(conn, dialect, table).await?;
        let worked = async {
            let rows = self.delete(&transaction, dialect).await?;
            let drafts: Vec<Draft> = rows.iter().map(event).map(Into::into).collect();
            let saved = rows::record(&transaction, dialect, drafts).await?;
            Ok::<_, RecordError>(Changed { rows, saved })
        };
        let worked = worked.await;
        let changed = atomic::end(transaction, dialect, table, worked).await?;
        wake::hint_of(&changed.saved);
        Ok(changed)
    }

    async fn delete<C: ConnectionTrait>(&self, conn: &C, dialect: &dyn Dialect) -> Result<Vec<E::Model>, RecordError> {
        let failed = |error| rows::error::<E>(dialect, error);
        if conn.support_returning() {
            let deleted =
                E::delete_many().filter(self.filter.clone()).exec_with_returning(conn).await.map_err(failed)?;
            return Ok(deleted);
        }
        let found = rows::locked::<E, _>(conn, self.filter.clone()).await.map_err(failed)?;
        for chunk in found.chunks(rows::CHUNK) {
            E::delete_many().filter(rows::are::<E>(chunk)).exec(conn).await.map_err(failed)?;
        }
        Ok(found)
    }
}
