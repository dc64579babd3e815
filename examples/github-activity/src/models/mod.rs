//! The domain: GitHub's things under GitHub's own ids.
//!
//! Where a payload carries just what a table keeps, the model is read from it as it is. What was deleted keeps its row, so
//! that the feed still names it.

pub mod action_count;
pub mod comment;
pub mod issue;
pub mod label;
pub mod labeled_issue;
pub mod milestone;
pub mod repository;
pub mod user;

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel, Iterable, ModelTrait,
    PrimaryKeyToColumn, Schema,
};

macro_rules! rows {
    ($($kind:ident($module:ident))*) => {
        /// A row of one of the domain's tables.
        #[derive(Clone, Debug)]
        pub enum Row {
            $($kind($module::Model),)*
        }

        $(impl From<$module::Model> for Row {
            fn from(model: $module::Model) -> Self {
                Self::$kind(model)
            }
        })*

        impl Row {
            /// Writes the row: a new one, or over the one of its id.
            pub async fn upsert(self, conn: &impl ConnectionTrait) -> Result<(), DbErr> {
                match self {
                    $(Self::$kind(model) => upsert(model, conn).await,)*
                }
            }
        }
    };
}
rows! { Comment(comment) Issue(issue) Label(label) Milestone(milestone) Repository(repository) User(user) }

async fn upsert<M>(model: M, conn: &impl ConnectionTrait) -> Result<(), DbErr>
where
    M: ModelTrait + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel>,
{
    let keys = <M::Entity as EntityTrait>::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column);
    let columns = <M::Entity as EntityTrait>::Column::iter();
    let over = OnConflict::columns(keys).update_columns(columns).to_owned();
    let row = model.into_active_model().reset_all();
    M::Entity::insert(row).on_conflict(over).exec_without_returning(conn).await?;
    Ok(())
}

/// Makes the tables that are missing.
pub async fn create_tables(db: &DatabaseConnection) -> Result<(), DbErr> {
    let schema = Schema::new(db.get_database_backend());
    for mut table in [
        schema.create_table_from_entity(action_count::Entity),
        schema.create_table_from_entity(comment::Entity),
        schema.create_table_from_entity(issue::Entity),
        schema.create_table_from_entity(label::Entity),
        schema.create_table_from_entity(labeled_issue::Entity),
        schema.create_table_from_entity(milestone::Entity),
        schema.create_table_from_entity(repository::Entity),
        schema.create_table_from_entity(user::Entity),
    ] {
        db.execute(table.if_not_exists()).await?;
    }
    Ok(())
}
