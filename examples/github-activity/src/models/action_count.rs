//! How often each action was recorded; kept by the inbox `count_actions`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "action_counts")]
pub struct Model {
    /// The subject's name and the action's, as in `issue.opened`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub action: String,
    pub events: i64,
}

impl ActiveModelBehavior for ActiveModel {}
