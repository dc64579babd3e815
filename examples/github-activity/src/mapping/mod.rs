//! From a payload to the event it tells of and the rows it carries. No database here.

mod comments;
mod issues;
mod labels;
mod members;
mod milestones;
mod repositories;
mod stars;

use chrono::{DateTime, Utc};
use event_sea_orm::{KeyOf, prelude::*};
use sea_orm::ModelTrait;

use crate::models::{Row, repository, user};
use crate::payload::{Payload, PayloadError};

/// What a payload means here.
#[derive(Debug)]
pub enum Mapped {
    Change(Box<Change>),
    /// A webhook or an action that no model of ours is the subject of, by name.
    Skipped(String),
}

/// An event to be recorded, and the rows to be written with it.
#[derive(Debug)]
pub struct Change {
    pub event: Draft,
    pub rows: Vec<Row>,
}

/// What the payload means.
///
/// # Errors
/// A payload that lacks its subject, or what else its event needs.
pub fn map(payload: &Payload) -> Result<Mapped, PayloadError> {
    let change = match payload.event.as_str() {
        "issues" => issues::map(payload)?,
        "issue_comment" => comments::map(payload)?,
        "label" => labels::map(payload)?,
        "milestone" => milestones::map(payload)?,
        "repository" => repositories::map(payload)?,
        "fork" => Some(repositories::map_fork(payload)?),
        "member" => members::map(payload)?,
        "star" => stars::map(payload)?,
        unknown => return Ok(Mapped::Skipped(unknown.to_owned())),
    };
    Ok(change.map_or_else(|| Mapped::Skipped(payload.name()), |change| Mapped::Change(Box::new(change))))
}

/// The event on its subject, by the payload's sender, at the time that stands at the path `at`, if one does.
fn change<M, E>(payload: &Payload, subject: M, event: E, at: Option<&str>) -> Result<Change, PayloadError>
where
    M: ModelTrait + Into<Row> + 'static,
    E: EventOf<M::Entity>,
    KeyOf<M::Entity>: TextKey,
    user::Entity: ActorOf<E>,
{
    let sender: user::Model = payload.get("sender")?;
    let repository: repository::Model = payload.get("repository")?;
    let time: Option<DateTime<Utc>> = at.map_or(Ok(None), |path| payload.find(path))?;
    let mut recording = subject.record(event).by(&sender).key(payload.key());
    if let Some(time) = time {
        recording = recording.at(time);
    }
    // The subject comes last: it may be the repository, and knows whether that is deleted.
    Ok(Change { event: recording.into(), rows: vec![sender.into(), repository.into(), subject.into()] })
}

impl Change {
    fn with(mut self, row: Option<impl Into<Row>>) -> Self {
        self.rows.extend(row.map(Into::into));
        self
    }
}
