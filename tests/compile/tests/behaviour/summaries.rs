//! Summaries: written with the fields' names, rendered from the stored ones.

use chrono::{DateTime, Utc};
use event_core::{DomainEvent, EventRef, Labels, StoredEvent, SubjectRef};

use crate::model::{IssueEvent, Label, Opaque, Status};

fn sentence(event: &IssueEvent) -> String {
    let time = DateTime::<Utc>::UNIX_EPOCH;
    let (subject, metadata) = (SubjectRef::new("issue", 7), event.encode().unwrap());
    let action = event.action().to_string();
    let stored = StoredEvent::new(EventRef::new("events", 1), subject, action, metadata, time, time);
    stored.summary(&Labels { subject: Some("Broken".into()), actor: Some("Ada".into()) })
}

#[test]
fn placeholders_are_the_fields_as_they_are_written() {
    assert_eq!(sentence(&IssueEvent::Created), "Ada opened Broken");
    let changed = IssueEvent::StatusChanged {
        old_status: Status::Open,
        new_status: Status::Done,
        note: None,
        opaque: Opaque { price: 3 },
        r#type: None,
    };
    assert_eq!(sentence(&changed), "Ada moved Broken from open to done (3)");
}

#[test]
fn a_newtypes_inner_fields_can_be_named() {
    assert_eq!(sentence(&IssueEvent::LabelAdded(Label { name: "bug".into() })), "Ada put bug on Broken");
}
