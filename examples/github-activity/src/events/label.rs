//! What happens to labels.

use event_sea_orm::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Was;
use crate::models::{label, user};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(label::Entity, label = name), actor(user::Entity, label = login))]
pub enum LabelEvent {
    #[event(summary = "{actor} created the label {subject}")]
    Created { color: String, description: Option<String> },
    #[event(summary = "{actor} edited the label {subject}")]
    Edited { changes: LabelChanges },
    #[event(summary = "{actor} deleted the label {subject}")]
    Deleted,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LabelChanges {
    pub name: Option<Was>,
    pub color: Option<Was>,
    pub description: Option<Was>,
}
