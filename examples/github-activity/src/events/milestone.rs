//! What happens to milestones.

use chrono::{DateTime, Utc};
use event_sea_orm::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Was;
use crate::models::{milestone, user};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(milestone::Entity, label = title), actor(user::Entity, label = login))]
pub enum MilestoneEvent {
    #[event(summary = "{actor} created the milestone {subject}")]
    Created { description: Option<String>, due_on: Option<DateTime<Utc>> },
    #[event(summary = "{actor} reopened the milestone {subject}")]
    Opened,
    #[event(summary = "{actor} closed the milestone {subject}")]
    Closed { open_issues: i64, closed_issues: i64 },
    #[event(summary = "{actor} edited the milestone {subject}")]
    Edited { changes: MilestoneChanges },
    #[event(summary = "{actor} deleted the milestone {subject}")]
    Deleted,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MilestoneChanges {
    pub title: Option<Was>,
    pub description: Option<Was>,
    pub due_on: Option<Was>,
}
