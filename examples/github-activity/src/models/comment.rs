//! Comments on issues and pull requests.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "comments")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub issue_id: i64,
    /// None when the author's account is gone.
    pub author_id: Option<i64>,
    pub body: String,
    pub deleted: bool,
}

impl ActiveModelBehavior for ActiveModel {}
