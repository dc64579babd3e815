//! What happens to issues.

use event_sea_orm::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AboutRepository, Account, Was};
use crate::models::{issue, user};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, label = title), actor(user::Entity, label = login))]
pub enum IssueEvent {
    #[event(summary = "{actor} opened {subject}")]
    Opened {
        number: i64,
        title: String,
        body: Option<String>,
        /// When it was not written here but came from another repository.
        moved_from: Option<AboutRepository>,
    },
    #[event(summary = "{actor} edited {subject}")]
    Edited { changes: IssueChanges },
    #[event(summary = "{actor} deleted {subject}")]
    Deleted,
    #[event(summary = "{actor} closed {subject}")]
    Closed { reason: Option<String> },
    #[event(summary = "{actor} reopened {subject}")]
    Reopened,
    #[event(summary = "{actor} assigned {assignee.login} to {subject}")]
    Assigned { assignee: Option<Account> },
    #[event(summary = "{actor} unassigned {assignee.login} from {subject}")]
    Unassigned { assignee: Option<Account> },
    #[event(summary = "{actor} labeled {subject} as {label.name}")]
    Labeled { label: Option<AboutLabel> },
    #[event(summary = "{actor} removed the label {label.name} from {subject}")]
    Unlabeled { label: Option<AboutLabel> },
    #[event(summary = "{actor} added {subject} to the milestone {milestone.title}")]
    Milestoned { milestone: Option<AboutMilestone> },
    #[event(summary = "{actor} removed {subject} from the milestone {milestone.title}")]
    Demilestoned { milestone: Option<AboutMilestone> },
    #[event(summary = "{actor} locked {subject}")]
    Locked { reason: Option<String> },
    #[event(summary = "{actor} unlocked {subject}")]
    Unlocked,
    #[event(summary = "{actor} pinned {subject}")]
    Pinned,
    #[event(summary = "{actor} unpinned {subject}")]
    Unpinned,
    #[event(summary = "{actor} transferred {subject} to {to.full_name}")]
    Transferred { to: AboutRepository, new_issue_id: i64 },
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IssueChanges {
    pub title: Option<Was>,
    pub body: Option<Was>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AboutLabel {
    pub id: i64,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AboutMilestone {
    pub id: i64,
    pub title: String,
}
