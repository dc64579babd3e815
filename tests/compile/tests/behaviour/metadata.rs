//! Encoding and decoding through the enum's own serde.

use std::collections::BTreeMap;

use event_core::{DecodeError, DomainEvent, Metadata, StoredMetadata};
use serde_json::{Value, json};

use crate::model::{IssueEvent, Label, Opaque, ProjectEvent, Status};

fn object(value: Value) -> Metadata {
    match value {
        Value::Object(map) => map,
        other => panic!("no object: {other}"),
    }
}

/// As a row has it.
fn text(metadata: &Metadata) -> StoredMetadata {
    StoredMetadata::from_text(serde_json::to_string(metadata).unwrap()).unwrap()
}

fn changed() -> IssueEvent {
    IssueEvent::StatusChanged {
        old_status: Status::Open,
        new_status: Status::Done,
        note: None,
        opaque: Opaque { price: 3 },
        r#type: Some(vec![Opaque { price: 4 }]),
    }
}

fn measured() -> IssueEvent {
    IssueEvent::Measured {
        value: 7,
        values: vec![1, 2],
        label: Label { name: "bug".into() },
        cached: Opaque::default(),
        lines: Vec::new(),
        more: BTreeMap::new(),
    }
}

#[test]
fn every_shape_is_stored_and_read_back() {
    let events = [
        (IssueEvent::Created, json!({})),
        (IssueEvent::Assigned { assignee_id: 7 }, json!({"assignee_id": 7})),
        (
            changed(),
            json!({"oldStatus": "open", "to": "done", "note": null, "opaque": {"price": 3}, "type": [{"price": 4}]}),
        ),
        (IssueEvent::LabelAdded(Label { name: "bug".into() }), json!({"name": "bug"})),
        (measured(), json!({"value": "7", "values": [1, 2], "name": "bug", "more": {}})),
        (IssueEvent::Heartbeat {}, json!({})),
    ];
    for (event, stored) in events {
        let metadata = event.encode().unwrap();
        assert_eq!(Value::Object(metadata.clone()), stored);
        let action = event.action().to_string();
        let version = IssueEvent::descriptor().action(&action).unwrap().version();
        assert_eq!(IssueEvent::decode(&action, version, &text(&metadata)).unwrap(), event);
        assert_eq!(IssueEvent::decode(&action, version, &metadata.into()).unwrap(), event);
    }
}

#[test]
fn an_enum_wide_rename_reaches_the_fields() {
    let event = ProjectEvent::OwnerChanged { new_owner: 7 };
    let metadata = event.encode().unwrap();
    assert_eq!(Value::Object(metadata.clone()), json!({"NEW-OWNER": 7}));
    assert_eq!(ProjectEvent::decode("owner_changed", 1, &text(&metadata)).unwrap(), event);
    assert_eq!(ProjectEvent::decode("owner_changed", 1, &metadata.into()).unwrap(), event);
}

#[test]
fn older_metadata_is_read_with_defaults() {
    let stored = object(json!({"oldStatus": "open", "to": "done"}));
    let event = IssueEvent::decode("status_changed", 1, &text(&stored)).unwrap();
    let IssueEvent::StatusChanged { note, opaque, .. } = event else { panic!("{event:?}") };
    assert_eq!((note, opaque), (None, Opaque::default()));
}

#[test]
fn an_inner_type_that_is_no_object_is_refused() {
    let error = IssueEvent::Wrapped(7).encode().unwrap_err();
    assert_eq!((error.event, error.variant, error.path.as_str()), ("IssueEvent", "Wrapped", "."));
}

#[test]
fn wrong_metadata_is_refused_with_the_path() {
    for (action, stored, wrong) in [
        ("assigned", json!({"assignee_id": "7"}), "assignee_id"),
        ("assigned", json!({}), "assignee_id"),
        ("status_changed", json!({"oldStatus": "open", "to": "gone"}), "to"),
        ("status_changed", json!({"oldStatus": "open", "to": "done", "opaque": {"price": "x"}}), "opaque.price"),
        ("status_changed", json!({"oldStatus": "open", "to": "done", "type": [{"price": 1}, {}]}), "type[1].price"),
        ("labelled", json!({"name": 7}), "name"),
    ] {
        let error = IssueEvent::decode(action, 1, &text(&object(stored))).unwrap_err();
        let DecodeError::Metadata { path, .. } = &error else { panic!("{error}") };
        assert_eq!(path, wrong, "{error}");
    }
}

#[test]
fn an_unknown_action_is_refused() {
    // Neither the variant nor serde's name for it is an action.
    for action in ["deleted", "LabelAdded", "label_added", "x-label", ""] {
        let error = IssueEvent::decode(action, 1, &StoredMetadata::default()).unwrap_err();
        assert!(matches!(error, DecodeError::UnknownAction { .. }), "{error}");
    }
}

#[test]
fn a_newer_version_is_refused() {
    let error = IssueEvent::decode("status_changed", 3, &StoredMetadata::default()).unwrap_err();
    assert!(matches!(error, DecodeError::FutureVersion { version: 3, known: 2, .. }), "{error}");
}
