//! An alias that is another enum's action of the same subject is refused: when the dispatcher is built, and by the lock.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use event_core::dispatch::BuildError;
use event_core::lock::{self, LockError, Problem};
use event_core::memory::MemoryLog;
use event_core::{Dispatcher, DomainEvent};
use serde::{Deserialize, Serialize};

struct Page;

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(Page))]
enum PageEvent {
    Opened,
}

#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(Page))]
enum VisitEvent {
    #[event(alias = "opened")]
    Visited,
}

/// Of another subject: no clash.
#[derive(Serialize, Deserialize, DomainEvent)]
#[event(subject(Page, name = "folder"))]
enum FolderEvent {
    #[event(alias = "opened")]
    Visited,
}

#[test]
fn an_alias_that_is_anothers_action() {
    let _ = (PageEvent::Opened, VisitEvent::Visited, FolderEvent::Visited);
    let errors = Dispatcher::<MemoryLog>::builder(MemoryLog::new()).build().unwrap_err();
    let errors: Vec<_> = errors.iter().collect();
    assert!(
        matches!(errors[..], [BuildError::DuplicateAction { subject: "page", action: "opened", .. }]),
        "{errors:?}"
    );
    let nowhere = std::env::temp_dir().join("no-such-folder").join("events.lock");
    let Err(LockError::Broken { problems, .. }) = lock::update(nowhere) else { panic!("not refused") };
    assert!(
        matches!(&problems[..], [Problem::TwoActions { subject, name, .. }] if subject == "page" && name == "opened")
    );
}
