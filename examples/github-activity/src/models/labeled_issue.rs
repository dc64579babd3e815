//! The label index: which issues carry which label; kept by the inbox `index_labels`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "label_index")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub label_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub issue_id: i64,
}

impl ActiveModelBehavior for ActiveModel {}
