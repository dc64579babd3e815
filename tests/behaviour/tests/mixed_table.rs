//! A table of an enum's own that is another enum's log too: refused when a dispatcher is built. In a program of its own, since
//! every dispatcher of the program would be.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use behaviour::models::{issue, user};
use event_core::dispatch::BuildError;
use event_sea_orm::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, name = "mixed"), actor(user::Entity), table = "mixed_events", related = false)]
enum OwnEvent {
    Opened,
}

#[derive(Clone, Debug, Serialize, Deserialize, DomainEvent)]
#[event(subject(user::Entity, name = "other"), log = "mixed_events")]
enum SharedEvent {
    Closed,
}

#[tokio::test]
async fn is_refused() {
    let _ = (OwnEvent::Opened, SharedEvent::Closed);
    let db = sea_orm::Database::connect("sqlite::memory:").await.unwrap();
    let errors = Dispatcher::builder(&db).build().unwrap_err();
    let mixed = |error: &BuildError| matches!(error, BuildError::MixedTable { log: "mixed_events", .. });
    assert_eq!(errors.iter().filter(|error| mixed(error)).count(), 1, "{errors}");
}
