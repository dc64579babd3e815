//! What is printed at the end.

use std::collections::HashMap;
use std::io::Write;

use event_core::dispatch::Report;
use event_sea_orm::prelude::*;
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};
use serde::Serialize;

use crate::error::Error;
use crate::events::{CommentEvent, IssueEvent, LabelEvent, MemberEvent, MilestoneEvent, RepositoryEvent, StarEvent};
use crate::import::Imported;
use crate::models::{action_count, label, labeled_issue};

/// The most characters of a sentence that are printed.
const LINE_MAX: usize = 200;

/// The last line: what this run did.
#[derive(Serialize)]
struct Done {
    recorded: u64,
    already_recorded: u64,
    skipped: u64,
    handled: u64,
    dead: u64,
}

/// The whole report; its last line is JSON.
pub async fn print(
    out: &mut impl Write,
    db: &DatabaseConnection,
    dispatcher: &Dispatcher,
    imported: &Imported,
    delivered: &Report,
    notifications: &[String],
) -> Result<(), Error> {
    section(out, "notifications", notifications.iter().map(|line| format!("  {}", one_line(line))))?;
    feed(out, db).await?;
    counts(out, db).await?;
    labels(out, db).await?;
    section(out, "skipped payloads", imported.skipped.iter().map(|(name, payloads)| format!("{payloads:>5}  {name}")))?;
    dead_letters(out, dispatcher).await?;
    let total = delivered.total();
    let done = Done {
        recorded: imported.recorded,
        already_recorded: imported.already_recorded,
        skipped: imported.skipped.values().sum(),
        handled: total.handled,
        dead: total.dead,
    };
    writeln!(out, "\n{}", serde_json::to_string(&done).map_err(std::io::Error::from)?)?;
    Ok(())
}

async fn feed(out: &mut impl Write, db: &DatabaseConnection) -> Result<(), Error> {
    let feed = any_feed()
        .with::<IssueEvent>()
        .with::<CommentEvent>()
        .with::<LabelEvent>()
        .with::<MilestoneEvent>()
        .with::<RepositoryEvent>()
        .with::<MemberEvent>()
        .with::<StarEvent>()
        .limit(500);
    writeln!(out, "\nfeed, newest first:")?;
    let mut next = None;
    loop {
        let page = feed.clone().after(next).page(db).await?;
        for entry in &page {
            let when = entry.occurred_at.format("%Y-%m-%d %H:%M:%S");
            writeln!(out, "  {when}  {}", one_line(&entry.summary()))?;
        }
        next = page.next;
        if next.is_none() {
            return Ok(());
        }
    }
}

async fn counts(out: &mut impl Write, db: &DatabaseConnection) -> Result<(), Error> {
    let counts = action_count::Entity::find().order_by_asc(action_count::Column::Action).all(db).await?;
    Ok(section(out, "actions", counts.iter().map(|count| format!("{:>5}  {}", count.events, count.action)))?)
}

#[derive(FromQueryResult)]
struct Carried {
    label_id: i64,
    issues: i64,
}

async fn labels(out: &mut impl Write, db: &DatabaseConnection) -> Result<(), Error> {
    let carried = labeled_issue::Entity::find()
        .select_only()
        .column(labeled_issue::Column::LabelId)
        .column_as(labeled_issue::Column::IssueId.count(), "issues")
        .group_by(labeled_issue::Column::LabelId)
        .order_by_asc(labeled_issue::Column::LabelId)
        .into_model::<Carried>()
        .all(db)
        .await?;
    let ids = carried.iter().map(|carried| carried.label_id);
    let labels = label::Entity::find().filter(label::Column::Id.is_in(ids)).all(db).await?;
    let names: HashMap<i64, String> = labels.into_iter().map(|label| (label.id, label.name)).collect();
    let lines = carried.iter().map(|Carried { label_id, issues }| match names.get(label_id) {
        Some(name) => format!("{issues:>5}  {}", one_line(name)),
        None => format!("{issues:>5}  label {label_id}"),
    });
    Ok(section(out, "issues by label", lines)?)
}

async fn dead_letters(out: &mut impl Write, dispatcher: &Dispatcher) -> Result<(), Error> {
    let letters = dispatcher.dead_letters().newest().await?;
    let lines = letters.iter().map(|letter| {
        format!("  {} ({}) after {} attempts: {}", letter.key, letter.action, letter.attempts, one_line(&letter.error))
    });
    Ok(section(out, "dead letters", lines)?)
}

fn section(out: &mut impl Write, title: &str, lines: impl IntoIterator<Item = String>) -> std::io::Result<()> {
    writeln!(out, "\n{title}:")?;
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_none() {
        writeln!(out, "  none")?;
    }
    for line in lines {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// The text as one line of bounded length: payloads are other people's texts, with line ends and terminal codes in them.
pub fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    match line.char_indices().nth(LINE_MAX) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_peoples_texts_become_one_line_without_terminal_codes() {
        assert_eq!(one_line(" a\r\n\tb \u{1b}[31mred "), "a b [31mred");
        let long = one_line(&"ä".repeat(300));
        assert!(long.chars().count() == LINE_MAX + 3 && long.ends_with("ä..."), "{long}");
    }
}
