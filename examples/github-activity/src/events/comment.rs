//! What happens to comments.

use event_sea_orm::prelude::*;
use serde::{Deserialize, Serialize};

use super::{AboutIssue, Was};
use crate::models::{comment, user};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(comment::Entity, label = body), actor(user::Entity, label = login))]
pub enum CommentEvent {
    #[event(summary = "{actor} commented on {issue.title}: {body}")]
    Created { issue: AboutIssue, body: String },
    #[event(summary = "{actor} edited a comment on {issue.title}: {body}")]
    Edited { issue: AboutIssue, body: String, was: Option<Was> },
    #[event(summary = "{actor} deleted a comment on {issue.title}: {subject}")]
    Deleted { issue: AboutIssue },
}
