//! Inboxes that only count: one in the transaction, one in a file, and one that starts in the middle of the run.

use std::time::Duration;

use chrono::TimeDelta;
use event_sea_orm::prelude::*;

use super::{Book, effects};
use crate::events::TallyEvent;
use crate::numbers::dice;

/// The number in an event of either log.
fn number_of(event: &AnyEvent) -> Result<i64, InboxError> {
    let number = event.metadata.get("number").and_then(serde_json::Value::as_i64);
    number.ok_or_else(|| InboxError::new("no number in the metadata").no_retry())
}

#[inbox(start = beginning, retry(max_attempts = 100, backoff = exponential, base = "5ms", max_wait = "500ms"))]
async fn projection(event: AnyEvent, txn: Txn<'_>) -> InboxResult {
    effects::write(&txn, "projection", number_of(&event)?).await?;
    handled()
}

#[inbox(start = now, retry(max_attempts = 100, backoff = exponential, base = "5ms", max_wait = "500ms"))]
async fn newcomer(event: Event<TallyEvent>, txn: Txn<'_>) -> InboxResult {
    effects::write(&txn, "newcomer", event.event.number()).await?;
    handled()
}

#[inbox(
    start = beginning,
    concurrency = 16,
    retry(max_attempts = 100, backoff = exponential, base = "5ms", max_wait = "500ms"),
)]
async fn mailer(event: AnyEvent, attempt: Attempt, State(book): State<Book>) -> InboxResult {
    let number = number_of(&event)?;
    match dice(number, 1).u32(0..1_000) {
        // Under way over several saves, so that a kill finds it in flight.
        0..20 => tokio::time::sleep(Duration::from_millis(dice(number, 2).u64(1..400))).await,
        20..25 if attempt.number < 3 => return Err(InboxError::new("the mail server is busy")),
        25..28 => {
            let morning = event.occurred_at + TimeDelta::seconds(3);
            if chrono::Utc::now() < morning {
                return snoozed(morning);
            }
        }
        28..200 => tokio::task::yield_now().await,
        _ => {}
    }
    book.note("mailer", number)?;
    handled()
}
