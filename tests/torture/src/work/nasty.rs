//! A plain inbox whose handler does what handlers must not: it hangs, panics, blocks its thread, and ends the process.

use std::time::Duration;

use event_sea_orm::prelude::*;

use super::Book;
use crate::events::TallyEvent;
use crate::numbers::dice;

#[inbox(
    on(Troubled),
    start = beginning,
    concurrency = 4,
    timeout = "500ms",
    retry(max_attempts = 3, backoff = exponential, base = "5ms", max_wait = "200ms"),
)]
async fn nasty(event: Event<TallyEvent>, attempt: Attempt, State(book): State<Book>) -> InboxResult {
    let TallyEvent::Troubled { number, fatal } = event.event else { return skipped("not in trouble") };
    if fatal {
        std::process::abort();
    }
    let first = attempt.number == 1;
    match dice(number, 40).u32(0..1_000) {
        0..200 if first => return Err(InboxError::new("did not feel like it")),
        200..260 if first => panic!("panicked on purpose"),
        260..270 if first => std::future::pending().await,
        // Where a handler must not: the time-out never comes to it.
        270..273 if first => std::thread::sleep(Duration::from_millis(1_200)),
        273..290 => return Err(InboxError::new("never will")),
        290..300 => return Err(InboxError::new("not worth a retry").no_retry()),
        _ => {}
    }
    book.note("nasty", number)?;
    handled()
}
