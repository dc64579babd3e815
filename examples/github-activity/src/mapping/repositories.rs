//! `repository` and `fork`

use super::{Change, change};
use crate::events::{Account, RepositoryEvent};
use crate::models::repository;
use crate::payload::{Payload, PayloadError};

pub(super) fn map(payload: &Payload) -> Result<Option<Change>, PayloadError> {
    let event = match payload.action()? {
        "created" => RepositoryEvent::Created { description: payload.find("repository.description")? },
        "deleted" => RepositoryEvent::Deleted,
        "archived" => RepositoryEvent::Archived,
        "unarchived" => RepositoryEvent::Unarchived,
        "edited" => RepositoryEvent::Edited { changes: payload.find("changes")?.unwrap_or_default() },
        "renamed" => RepositoryEvent::Renamed {
            from: payload.get("changes.repository.name.from")?,
            to: payload.get("repository.name")?,
        },
        "transferred" => {
            RepositoryEvent::Transferred { from: former_owner(payload)?, to: payload.get("repository.owner")? }
        }
        "publicized" => RepositoryEvent::Publicized,
        "privatized" => RepositoryEvent::Privatized,
        _ => return Ok(None),
    };
    let created = matches!(event, RepositoryEvent::Created { .. });
    let at = if created { "repository.created_at" } else { "repository.updated_at" };
    let deleted = event == RepositoryEvent::Deleted;
    change(payload, repository::Model { deleted, ..payload.get("repository")? }, event, Some(at)).map(Some)
}

/// A `fork` has no action: the webhook is the action.
pub(super) fn map_fork(payload: &Payload) -> Result<Change, PayloadError> {
    let event = RepositoryEvent::Forked { fork: payload.get("forkee")? };
    let fork: repository::Model = payload.get("forkee")?;
    let forked: repository::Model = payload.get("repository")?;
    Ok(change(payload, forked, event, Some("forkee.created_at"))?.with(Some(fork)))
}

fn former_owner(payload: &Payload) -> Result<Option<Account>, PayloadError> {
    match payload.find("changes.owner.from.user")? {
        Some(user) => Ok(Some(user)),
        None => payload.find("changes.owner.from.organization"),
    }
}
