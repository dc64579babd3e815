//! What happens to repositories.

use event_sea_orm::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AboutRepository, Account, Was};
use crate::models::{repository, user};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(repository::Entity, label = full_name), actor(user::Entity, label = login))]
pub enum RepositoryEvent {
    #[event(summary = "{actor} created {subject}")]
    Created { description: Option<String> },
    #[event(summary = "{actor} deleted {subject}")]
    Deleted,
    #[event(summary = "{actor} archived {subject}")]
    Archived,
    #[event(summary = "{actor} unarchived {subject}")]
    Unarchived,
    #[event(summary = "{actor} edited {subject}")]
    Edited { changes: RepositoryChanges },
    #[event(summary = "{actor} renamed {from} to {to}")]
    Renamed { from: String, to: String },
    #[event(summary = "{actor} transferred {subject} to {to.login}")]
    Transferred { from: Option<Account>, to: Account },
    #[event(summary = "{actor} made {subject} public")]
    Publicized,
    #[event(summary = "{actor} made {subject} private")]
    Privatized,
    #[event(summary = "{actor} forked {subject} to {fork.full_name}")]
    Forked { fork: AboutRepository },
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RepositoryChanges {
    pub description: Option<Was>,
    pub homepage: Option<Was>,
    pub default_branch: Option<Was>,
}
