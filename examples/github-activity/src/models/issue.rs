//! Issues; a pull request is one too, as GitHub has it.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "issues")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub repository_id: i64,
    pub number: i64,
    pub title: String,
    pub open: bool,
    pub deleted: bool,
}

impl ActiveModelBehavior for ActiveModel {}
