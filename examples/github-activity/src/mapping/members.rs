//! `member`

use super::{Change, change};
use crate::events::MemberEvent;
use crate::models::user;
use crate::payload::{Payload, PayloadError};

pub(super) fn map(payload: &Payload) -> Result<Option<Change>, PayloadError> {
    let event = match payload.action()? {
        "added" => MemberEvent::Added { repository: payload.get("repository")? },
        "edited" => MemberEvent::Edited {
            repository: payload.get("repository")?,
            changes: payload.find("changes")?.unwrap_or_default(),
        },
        "removed" => MemberEvent::Removed { repository: payload.get("repository")? },
        _ => return Ok(None),
    };
    let member: user::Model = payload.get("member")?;
    // GitHub says nowhere when it happened to a member.
    change(payload, member, event, None).map(Some)
}
