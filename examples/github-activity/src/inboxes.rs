//! What happens in the background, once for each event. All of it starts with the first event ever: an import has a history.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use event_sea_orm::prelude::*;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use crate::events::{CommentEvent, IssueEvent, LabelEvent};
use crate::models::{action_count, issue, labeled_issue, user};

/// What people are to be told, by the event that they are told of: the same whatever order the handlers ran in, and a line
/// once, should an event be delivered again.
#[derive(Clone, Debug, Default)]
pub struct Notifications(Arc<Mutex<BTreeMap<EventRef, String>>>);

impl Notifications {
    fn add(&self, about: &EventRef, line: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(about.clone(), line);
    }

    /// The lines, in the order of their events.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

#[inbox(on(Opened, Assigned, Closed), start = beginning)]
async fn notify_of_issues(
    event: Event<IssueEvent>,
    issue: Subject<issue::Model>,
    actor: Actor<user::Model>,
    State(notifications): State<Notifications>,
) -> InboxResult {
    let labels = Labels { subject: Some(issue.title.clone()), actor: Some(actor.login.clone()) };
    notifications.add(&event.at, event.summary(&labels));
    handled()
}

#[inbox(on(Created), start = beginning)]
async fn notify_of_comments(
    event: Event<CommentEvent>,
    actor: Actor<user::Model>,
    State(notifications): State<Notifications>,
) -> InboxResult {
    let labels = Labels { subject: None, actor: Some(actor.login.clone()) };
    notifications.add(&event.at, event.summary(&labels));
    handled()
}

/// How often each action was recorded, exactly once.
#[inbox(start = beginning)]
async fn count_actions(event: AnyEvent, txn: Txn<'_>) -> InboxResult {
    let action = format!("{}.{}", event.subject.kind, event.action);
    let first = action_count::ActiveModel { action: Set(action), events: Set(1) };
    let more = Expr::col((action_count::Entity, action_count::Column::Events)).add(1);
    let over = OnConflict::column(action_count::Column::Action).value(action_count::Column::Events, more).to_owned();
    action_count::Entity::insert(first).on_conflict(over).exec_without_returning(&txn).await?;
    handled()
}

/// Which issues carry which label: pairs, so that a label that is put on twice counts once.
#[inbox(
    on(IssueEvent::Labeled, IssueEvent::Unlabeled, IssueEvent::Deleted, IssueEvent::Transferred, LabelEvent::Deleted),
    start = beginning
)]
async fn index_labels(event: AnyEvent, txn: Txn<'_>) -> InboxResult {
    use labeled_issue::{ActiveModel, Column, Entity};

    if event.is::<LabelEvent>() {
        let label: i64 = event.subject.id.parse()?;
        Entity::delete_many().filter(Column::LabelId.eq(label)).exec(&txn).await?;
        return handled();
    }
    let issue: i64 = event.subject.id.parse()?;
    match event.typed::<IssueEvent>()?.event {
        IssueEvent::Labeled { label: Some(label) } => {
            let pair = ActiveModel { label_id: Set(label.id), issue_id: Set(issue) };
            let there = OnConflict::columns([Column::LabelId, Column::IssueId]).do_nothing().to_owned();
            Entity::insert(pair).on_conflict(there).exec_without_returning(&txn).await?;
        }
        IssueEvent::Unlabeled { label: Some(label) } => {
            Entity::delete_by_id((label.id, issue)).exec(&txn).await?;
        }
        IssueEvent::Deleted | IssueEvent::Transferred { .. } => {
            Entity::delete_many().filter(Column::IssueId.eq(issue)).exec(&txn).await?;
        }
        _ => return skipped("the payload names no label"),
    }
    handled()
}
