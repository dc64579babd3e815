//! `issue_comment`

use super::{Change, change, issues};
use crate::events::{AboutIssue, CommentEvent};
use crate::models::{comment, user};
use crate::payload::{Payload, PayloadError};

pub(super) fn map(payload: &Payload) -> Result<Option<Change>, PayloadError> {
    let action = payload.action()?;
    if !matches!(action, "created" | "edited" | "deleted") {
        return Ok(None);
    }
    let on = issues::model(payload)?;
    let author: Option<user::Model> = payload.find("comment.user")?;
    let comment = comment::Model {
        id: payload.get("comment.id")?,
        issue_id: on.id,
        author_id: author.as_ref().map(|author| author.id),
        body: payload.get("comment.body")?,
        deleted: action == "deleted",
    };
    let issue = AboutIssue { id: on.id, number: on.number, title: on.title.clone() };
    let body = comment.body.clone();
    let event = match action {
        "created" => CommentEvent::Created { issue, body },
        "edited" => CommentEvent::Edited { issue, body, was: payload.find("changes.body")? },
        _ => CommentEvent::Deleted { issue },
    };
    let at = if action == "created" { "comment.created_at" } else { "comment.updated_at" };
    Ok(Some(change(payload, comment, event, Some(at))?.with(Some(on)).with(author)))
}
