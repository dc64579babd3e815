//! A plain inbox whose handler does what handlers must not: it hangs, panics, blocks its thread, and ends the process.

use std::time::Duration;

use event_sea_orm::prelude::*;

use super::Book;
use crate::events::{TallyEvent, Trouble};
use crate::numbers::dice;

#[inbox(
    on(Troubled),
    start = beginning,
    concurrency = 4,
    timeout = "500ms",
    retry(max_attempts = 3, backoff = exponential, base = "5ms", max_wait = "200ms"),
)]
async fn nasty(event: Event<TallyEvent>, attempt: Attempt, State(book): State<Book>) -> InboxResult {
    let TallyEvent::Troubled { number, trouble } = event.event else { return skipped("not in trouble") };
    let first = attempt.number == 1;
    match (trouble, dice(number, 40).u32(0..100)) {
        (Trouble::Fatal, _) => std::process::abort(),
        (Trouble::Grave, 0..50) if first => std::future::pending().await,
        // Where a handler must not: the time-out never comes to it.
        (Trouble::Grave, 50..60) if first => std::thread::sleep(Duration::from_millis(1_200)),
        (Trouble::Common, 0..10) if first => return Err(InboxError::new("did not feel like it")),
        (Trouble::Common, 10..13) if first => panic!("panicked on purpose"),
        (Trouble::Common, 13..14) => return Err(InboxError::new("never will")),
        (Trouble::Common, 14..15) => return Err(InboxError::new("not worth a retry").no_retry()),
        _ => {}
    }
    book.note("nasty", number)?;
    handled()
}
