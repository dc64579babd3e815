//! Stars: a small enum of its own on the repository, since GitHub has no id for a star.

use event_sea_orm::prelude::*;
use serde::{Deserialize, Serialize};

use crate::models::{repository, user};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(repository::Entity, label = full_name), actor(user::Entity, label = login))]
pub enum StarEvent {
    #[event(summary = "{actor} starred {subject}")]
    Starred,
    #[event(summary = "{actor} took the star from {subject}")]
    Unstarred,
}
