//! What is printed at the end.

use std::io::Write;

use event_core::dispatch::Report;
use event_sea_orm::prelude::*;
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, FromQueryResult, QueryOrder, QuerySelect};
use serde_json::json;

use crate::error::Error;
use crate::events::{CommentEvent, IssueEvent, LabelEvent, MemberEvent, MilestoneEvent, RepositoryEvent, StarEvent};
use crate::import::Imported;
use crate::models::{action_count, label, labeled_issue};

/// The most characters of a sentence that are printed.
const LINE_MAX: usize = 200;

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
    let line = json!({
        "recorded": imported.recorded,
        "already_recorded": imported.already_recorded,
        "skipped": imported.skipped.values().sum::<u64>(),
        "handled": total.handled,
        "dead": total.dead,
    });
    writeln!(out, "{line}")?;
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
    section(out, "actions", counts.iter().map(|count| format!("{:>5}  {}", count.events, count.action)))
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
    let mut lines = Vec::new();
    for Carried { label_id, issues } in carried {
        let label = label::Entity::find_by_id(label_id).one(db).await?;
        let name = label.map_or_else(|| label_id.to_string(), |label| one_line(&label.name));
        lines.push(format!("{issues:>5}  {name}"));
    }
    section(out, "issues by label", lines)
}

async fn dead_letters(out: &mut impl Write, dispatcher: &Dispatcher) -> Result<(), Error> {
    let letters = dispatcher.dead_letters().newest().await?;
    let lines = letters.iter().map(|letter| {
        format!("  {} ({}) after {} attempts: {}", letter.key, letter.action, letter.attempts, one_line(&letter.error))
    });
    section(out, "dead letters", lines)
}

fn section(out: &mut impl Write, title: &str, lines: impl IntoIterator<Item = String>) -> Result<(), Error> {
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
