//! `issues`

use serde::Deserialize;

use super::{Change, change};
use crate::events::IssueEvent;
use crate::models::{issue, label, milestone, user};
use crate::payload::{Payload, PayloadError};

/// An issue as payloads have it.
#[derive(Debug, Deserialize)]
struct Issue {
    id: i64,
    number: i64,
    title: String,
    /// Some payloads leave it out, but never when it was closed.
    state: Option<String>,
    closed_at: Option<String>,
}

pub(super) fn map(payload: &Payload) -> Result<Option<Change>, PayloadError> {
    let Some(event) = event(payload)? else { return Ok(None) };
    let at = match event {
        IssueEvent::Opened { .. } => "issue.created_at",
        IssueEvent::Closed { .. } => "issue.closed_at",
        _ => "issue.updated_at",
    };
    let subject = issue::Model { deleted: event == IssueEvent::Deleted, ..model(payload)? };
    let change = change(payload, subject, event, Some(at))?
        .with(payload.find::<user::Model>("assignee")?)
        .with(payload.find::<label::Model>("label")?)
        .with(payload.find::<milestone::Model>("milestone")?);
    Ok(Some(change))
}

/// The payload's issue, which those of comments carry too.
pub(super) fn model(payload: &Payload) -> Result<issue::Model, PayloadError> {
    let issue: Issue = payload.get("issue")?;
    Ok(issue::Model {
        id: issue.id,
        repository_id: payload.get("repository.id")?,
        number: issue.number,
        title: issue.title,
        open: issue.state.map_or(issue.closed_at.is_none(), |state| state == "open"),
        deleted: false,
    })
}

fn event(payload: &Payload) -> Result<Option<IssueEvent>, PayloadError> {
    Ok(Some(match payload.action()? {
        "opened" => IssueEvent::Opened {
            number: payload.get("issue.number")?,
            title: payload.get("issue.title")?,
            body: payload.find("issue.body")?,
            moved_from: payload.find("changes.old_repository")?,
        },
        "edited" => IssueEvent::Edited { changes: payload.find("changes")?.unwrap_or_default() },
        "deleted" => IssueEvent::Deleted,
        "closed" => IssueEvent::Closed { reason: payload.find("issue.state_reason")? },
        "reopened" => IssueEvent::Reopened,
        "assigned" => IssueEvent::Assigned { assignee: payload.find("assignee")? },
        "unassigned" => IssueEvent::Unassigned { assignee: payload.find("assignee")? },
        "labeled" => IssueEvent::Labeled { label: payload.find("label")? },
        "unlabeled" => IssueEvent::Unlabeled { label: payload.find("label")? },
        "milestoned" => IssueEvent::Milestoned { milestone: payload.find("milestone")? },
        "demilestoned" => IssueEvent::Demilestoned { milestone: payload.find("milestone")? },
        "locked" => IssueEvent::Locked { reason: payload.find("issue.active_lock_reason")? },
        "unlocked" => IssueEvent::Unlocked,
        "pinned" => IssueEvent::Pinned,
        "unpinned" => IssueEvent::Unpinned,
        "transferred" => IssueEvent::Transferred {
            to: payload.get("changes.new_repository")?,
            new_issue_id: payload.get("changes.new_issue.id")?,
        },
        _ => return Ok(None),
    }))
}
