//! What happens to the members of repositories: accounts that may write there.

use event_sea_orm::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AboutRepository, Was};
use crate::models::user;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(user::Entity, name = "member", label = login), actor(user::Entity, label = login))]
pub enum MemberEvent {
    #[event(summary = "{actor} added {subject} to {repository.full_name}")]
    Added { repository: AboutRepository },
    #[event(summary = "{actor} changed what {subject} may do in {repository.full_name}")]
    Edited { repository: AboutRepository, changes: MemberChanges },
    #[event(summary = "{actor} removed {subject} from {repository.full_name}")]
    Removed { repository: AboutRepository },
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemberChanges {
    pub old_permission: Option<Was>,
}
