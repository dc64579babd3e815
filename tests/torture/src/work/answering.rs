//! Inboxes that answer an event with another one: in the transaction, and under an idempotency key.

use event_sea_orm::prelude::*;

use super::{Book, effects};
use crate::events::TallyEvent;
use crate::numbers::{ECHOED, RELAYED};

#[inbox(on(Asked), start = beginning, retry(max_attempts = 100, backoff = exponential, base = "5ms", max_wait = "500ms"))]
async fn echo(event: Event<TallyEvent>, txn: Txn<'_>) -> InboxResult {
    let number = event.event.number();
    effects::write(&txn, "echo", number).await?;
    let answer = TallyEvent::Echoed { number: ECHOED + number }.on(number % 50).by_system();
    answer.caused_by(event.at.clone()).save(&txn).await?;
    handled()
}

#[inbox(on(Asked), start = beginning, retry(max_attempts = 100, backoff = exponential, base = "5ms", max_wait = "500ms"))]
async fn relay(event: Event<TallyEvent>, db: Db, State(book): State<Book>) -> InboxResult {
    let number = event.event.number();
    let answer = TallyEvent::Relayed { number: RELAYED + number }.on(number % 50).by_system();
    answer.key(format!("relay-{number}")).save(&*db).await?;
    book.note("relay", number)?;
    handled()
}
