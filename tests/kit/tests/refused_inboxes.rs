//! Two inboxes of one name are refused when the dispatcher is built.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use event_core::dispatch::BuildError;
use event_core::memory::MemoryLog;
use event_core::{AnyEvent, Dispatcher, InboxResult, handled, inbox};

mod old {
    use super::*;

    pub(super) const LINE: u32 = line!() + 3;

    #[inbox]
    async fn mailer(_event: AnyEvent) -> InboxResult {
        handled()
    }
}

const LINE: u32 = line!() + 3;

#[inbox(name = "mailer")]
async fn new_mailer(_event: AnyEvent) -> InboxResult {
    handled()
}

#[test]
fn two_inboxes_of_one_name() {
    let errors = Dispatcher::<MemoryLog>::builder(MemoryLog::new()).build().unwrap_err();
    assert_eq!(errors.iter().count(), 1);
    assert!(matches!(errors.iter().next(), Some(BuildError::DuplicateInbox { name: "mailer", .. })));
    let file = file!();
    assert_eq!(
        errors.to_string(),
        format!(
            "the dispatcher can't be built:\n  - {file}:{LINE}: inbox `mailer` has the name of the one at {file}:{}; give \
             one of them `#[inbox(name = \"...\")]`",
            old::LINE
        )
    );
}
