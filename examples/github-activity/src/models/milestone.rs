//! Milestones.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

#[sea_orm::model]
#[derive(Clone, Debug, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "milestones")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub number: i64,
    pub title: String,
    pub state: String,
    #[serde(skip)]
    pub deleted: bool,
}

impl ActiveModelBehavior for ActiveModel {}
