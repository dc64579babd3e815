//! `milestone`

use super::{Change, change};
use crate::events::MilestoneEvent;
use crate::models::milestone;
use crate::payload::{Payload, PayloadError};

pub(super) fn map(payload: &Payload) -> Result<Option<Change>, PayloadError> {
    let event = match payload.action()? {
        "created" => MilestoneEvent::Created {
            description: payload.find("milestone.description")?,
            due_on: payload.find("milestone.due_on")?,
        },
        "opened" => MilestoneEvent::Opened,
        "closed" => MilestoneEvent::Closed {
            open_issues: payload.get("milestone.open_issues")?,
            closed_issues: payload.get("milestone.closed_issues")?,
        },
        "edited" => MilestoneEvent::Edited { changes: payload.find("changes")?.unwrap_or_default() },
        "deleted" => MilestoneEvent::Deleted,
        _ => return Ok(None),
    };
    let at = match event {
        MilestoneEvent::Created { .. } => "milestone.created_at",
        MilestoneEvent::Closed { .. } => "milestone.closed_at",
        _ => "milestone.updated_at",
    };
    let milestone = milestone::Model { deleted: event == MilestoneEvent::Deleted, ..payload.get("milestone")? };
    change(payload, milestone, event, Some(at)).map(Some)
}
