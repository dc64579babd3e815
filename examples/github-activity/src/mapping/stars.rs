//! `star`

use super::{Change, change};
use crate::events::StarEvent;
use crate::models::repository;
use crate::payload::{Payload, PayloadError};

pub(super) fn map(payload: &Payload) -> Result<Option<Change>, PayloadError> {
    let event = match payload.action()? {
        "created" => StarEvent::Starred,
        "deleted" => StarEvent::Unstarred,
        _ => return Ok(None),
    };
    let repository: repository::Model = payload.get("repository")?;
    // Null when the star was taken away, which GitHub says no time of.
    change(payload, repository, event, Some("starred_at")).map(Some)
}
