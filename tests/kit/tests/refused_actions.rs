//! Two enums with one action of one subject are refused when the dispatcher is built.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use event_core::dispatch::BuildError;
use event_core::memory::MemoryLog;
use event_core::{Dispatcher, DomainEvent, Event, InboxResult, handled, inbox};
use serde::{Deserialize, Serialize};

struct Page;

const FIRST: u32 = line!() + 4;

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(Page))]
enum PageEvent {
    Opened,
    Moved,
}

const SECOND: u32 = line!() + 4;

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(Page))]
enum VisitEvent {
    Opened,
    Left,
}

#[inbox]
async fn visits(_event: Event<VisitEvent>) -> InboxResult {
    handled()
}

#[test]
fn two_enums_with_one_action() {
    let _ = (PageEvent::Opened, PageEvent::Moved, VisitEvent::Opened, VisitEvent::Left);
    let errors = Dispatcher::<MemoryLog>::builder(MemoryLog::new()).build().unwrap_err();
    assert_eq!(errors.iter().count(), 1, "{errors}");
    let first = errors.iter().next();
    assert!(matches!(first, Some(BuildError::DuplicateAction { subject: "page", action: "opened", .. })), "{errors}");
    let file = file!();
    assert_eq!(
        errors.to_string(),
        format!(
            "the dispatcher can't be built:\n  - {file}:{SECOND}: action `opened` of subject `page` in log `events` belongs \
             to an enum at {file}:{FIRST} already; rename the variant, or one of the subjects \
             (`subject(..., name = \"...\")`)"
        )
    );
}
