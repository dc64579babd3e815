//! Ordered inboxes: one subject's events one after another, also when some fail.

use std::time::Duration;

use event_sea_orm::prelude::*;

use super::{Book, effects};
use crate::events::TallyEvent;
use crate::numbers::dice;

#[inbox(
    on(Stepped),
    ordered,
    start = beginning,
    retry(max_attempts = 100, backoff = exponential, base = "5ms", max_wait = "500ms"),
)]
async fn ordered_projection(event: Event<TallyEvent>, txn: Txn<'_>, attempt: Attempt) -> InboxResult {
    let number = event.event.number();
    effects::write(&txn, "ordered_projection", number).await?;
    if attempt.number < 3 && dice(number, 30).u32(0..100) < 4 {
        return Err(InboxError::new("out of step"));
    }
    handled()
}

#[inbox(
    on(Stepped),
    ordered,
    start = beginning,
    concurrency = 8,
    retry(max_attempts = 100, backoff = exponential, base = "5ms", max_wait = "500ms"),
)]
async fn ordered_mailer(event: Event<TallyEvent>, attempt: Attempt, State(book): State<Book>) -> InboxResult {
    let number = event.event.number();
    match dice(number, 31).u32(0..100) {
        0..4 if attempt.number < 3 => return Err(InboxError::new("out of step")),
        4..40 => tokio::time::sleep(Duration::from_micros(dice(number, 32).u64(0..20_000))).await,
        _ => {}
    }
    book.note("ordered_mailer", number)?;
    handled()
}
