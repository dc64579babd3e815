//! `label`

use super::{Change, change};
use crate::events::LabelEvent;
use crate::models::label;
use crate::payload::{Payload, PayloadError};

pub(super) fn map(payload: &Payload) -> Result<Option<Change>, PayloadError> {
    let event = match payload.action()? {
        "created" => {
            LabelEvent::Created { color: payload.get("label.color")?, description: payload.find("label.description")? }
        }
        "edited" => LabelEvent::Edited { changes: payload.find("changes")?.unwrap_or_default() },
        "deleted" => LabelEvent::Deleted,
        _ => return Ok(None),
    };
    let label = label::Model { deleted: event == LabelEvent::Deleted, ..payload.get("label")? };
    // GitHub says nowhere when it happened to a label.
    change(payload, label, event, None).map(Some)
}
