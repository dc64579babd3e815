//! The enums that the tests share: every attribute and every shape of variant at least once.

use std::collections::BTreeMap;

use event_core::DomainEvent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// As SeaORM lays a model out, without SeaORM.
pub(crate) mod issue {
    pub(crate) struct Entity;
    pub(crate) enum Column {
        Title,
    }
}

pub(crate) mod user {
    pub(crate) struct Entity;
    pub(crate) enum Column {
        Name,
    }
}

pub(crate) struct ApiKey;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Open,
    Done,
}

/// Has no `JsonSchema`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Opaque {
    pub(crate) price: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Label {
    pub(crate) name: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, label = title), actor(user::Entity, label = name), actor(ApiKey))]
pub(crate) enum IssueEvent {
    #[event(summary = "{actor} opened {subject}")]
    Created,
    Assigned {
        assignee_id: i64,
    },
    #[event(version = 2, summary = "{actor} moved {subject} from {old_status} to {new_status} ({opaque.price})")]
    #[serde(rename_all = "camelCase")]
    StatusChanged {
        old_status: Status,
        #[serde(rename = "to")]
        new_status: Status,
        note: Option<String>,
        #[serde(default)]
        opaque: Opaque,
        r#type: Option<Vec<Opaque>>,
    },
    #[event(name = "labelled", summary = "{actor} put {name} on {subject}")]
    #[serde(rename = "x-label")]
    LabelAdded(Label),
    Wrapped(i64),
    Measured {
        #[serde(with = "as_text")]
        value: u8,
        values: Vec<i64>,
        #[serde(flatten)]
        label: Label,
        #[serde(skip)]
        cached: Opaque,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lines: Vec<Opaque>,
        #[serde(default)]
        more: BTreeMap<String, i64>,
    },
    #[event(allow(tense))]
    Heartbeat {},
}

#[derive(Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(Project, name = "workspace"), log = "other_events")]
#[serde(rename_all_fields = "SCREAMING-KEBAB-CASE")]
pub(crate) enum ProjectEvent {
    OwnerChanged { new_owner: i64 },
}

pub(crate) struct Project;

mod as_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(value: &u8, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&value.to_string())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}
