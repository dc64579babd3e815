//! Metadata: between an event enum's own serde implementations and the JSON object that is stored.

mod stored;
mod tagged;

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use stored::StoredMetadata;
use tagged::TaggedByIndex;

/// An action's metadata as it is stored: always a JSON object.
pub type Metadata = serde_json::Map<String, Value>;

/// An event could not be turned into metadata. Never names a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{event}::{variant}` can't be stored as metadata at `{path}`: {reason}; \
     metadata is a JSON object, so give the variant named fields, or an inner type that serialises to an object"
)]
pub struct EncodeError {
    /// The event enum.
    pub event: &'static str,
    /// The variant.
    pub variant: &'static str,
    /// Where in the metadata; `.` for the whole.
    pub path: String,
    /// What was wrong there.
    pub reason: String,
}

/// A stored or incoming event could not be read as its enum. Never names a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The enum has no such action.
    #[error(
        "`{event}` has no action `{action}`; it knows {known}: it was recorded by another version of this program, \
         or the variant was renamed (`#[event(alias = \"{action}\")]` on it still reads what was stored)"
    )]
    UnknownAction {
        /// The event enum.
        event: &'static str,
        /// The stored action.
        action: String,
        /// The actions that the enum has, with commas between them.
        known: String,
    },
    /// A newer program recorded it.
    #[error(
        "`{event}` reads `{action}` up to version {known}, and this event has version {version}: \
         a newer version of this program recorded it; deploy that version here, then retry"
    )]
    FutureVersion {
        /// The event enum.
        event: &'static str,
        /// The action.
        action: String,
        /// The stored version.
        version: u32,
        /// The newest version that this program reads.
        known: u32,
    },
    /// A step from the stored version to the current one failed.
    #[error(
        "metadata of `{event}`, action `{action}`, stored as version {version}: the upcast from version {from} to the next: \
         {reason}"
    )]
    Upcast {
        /// The event enum.
        event: &'static str,
        /// The action, by its current name.
        action: String,
        /// The version it was stored as.
        version: u32,
        /// The version that the failing step leads from.
        from: u32,
        /// Why, without the value.
        reason: String,
    },
    /// The metadata does not fit the variant's fields.
    #[error("metadata of `{event}`, action `{action}`: at `{path}`: {reason}")]
    Metadata {
        /// The event enum.
        event: &'static str,
        /// The action.
        action: String,
        /// The wrong field's path (`from`, `lines[2].price`); `.` for the whole.
        path: String,
        /// What was expected there.
        reason: String,
    },
}

/// Encodes through the enum's own `Serialize`, which the derive made sure is externally tagged.
///
/// Serde's external tagging gives `"Variant"` for a unit variant and `{"Variant": inner}` otherwise; the tag is dropped
/// here, since the action's stored name is kept in a column of its own.
pub(crate) fn encode<E: Serialize>(
    event: &E,
    name: &'static str,
    variant: &'static str,
) -> Result<Metadata, EncodeError> {
    let fail = |path: &str, reason: String| EncodeError { event: name, variant, path: path.to_owned(), reason };
    let mut track = serde_path_to_error::Track::new();
    let tagged = event
        .serialize(serde_path_to_error::Serializer::new(serde_json::value::Serializer, &mut track))
        .map_err(|error| fail(&without_variant(&track.path()), redact(&error.to_string())))?;
    match tagged {
        Value::String(_) => Ok(Metadata::new()),
        Value::Object(map) => match map.into_iter().next() {
            Some((_, Value::Object(metadata))) => Ok(metadata),
            Some((_, other)) => Err(fail(".", format!("{} instead of an object", kind_of(&other)))),
            None => Err(fail(".", "nothing".to_owned())),
        },
        other => Err(fail(".", format!("{} instead of an object", kind_of(&other)))),
    }
}

/// Decodes the variant at `index` (in declaration order) through the enum's own `Deserialize`.
pub(crate) fn decode<E: DeserializeOwned>(
    name: &'static str,
    action: &str,
    index: u32,
    metadata: &StoredMetadata,
) -> Result<E, DecodeError> {
    // Straight from the text: making a map of it takes longer than all the rest. Each way of reading is compiled for each enum, so
    // that a map is made a text here.
    let text = match metadata.text() {
        Some(text) => Some(Cow::Borrowed(text)),
        None => serde_json::to_string(metadata).ok().map(Cow::Owned),
    };
    if let Some(text) = &text
        && let Ok(event) =
            E::deserialize(TaggedByIndex { index, metadata: &mut serde_json::Deserializer::from_str(text) })
    {
        return Ok(event);
    }
    // What can't be read so is read from the map, by which a name that is there twice counts once, and with track of the path.
    let mut track = serde_path_to_error::Track::new();
    let tagged = TaggedByIndex { index, metadata: &**metadata };
    E::deserialize(serde_path_to_error::Deserializer::new(tagged, &mut track)).map_err(|error| {
        let error = error.to_string();
        let mut path = without_variant(&track.path());
        // serde reports a missing field at its parent; the user looks for the field itself.
        if let Some(field) = error.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            path = if path == "." { field.to_owned() } else { format!("{path}.{field}") };
        }
        DecodeError::Metadata { event: name, action: action.to_owned(), path, reason: redact(&error) }
    })
}

/// The path below the enum's tag, which is no part of what is stored.
fn without_variant(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut text = String::new();
    for segment in path.iter().skip(1) {
        if !text.is_empty() && !matches!(segment, Segment::Seq { .. }) {
            text.push('.');
        }
        text.push_str(&segment.to_string());
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

/// serde's messages quote the offending value (`invalid type: string "...", expected i64`), which may be personal data and
/// would end in logs and failure rows: the value's kind stays, the value goes.
fn redact(message: &str) -> String {
    // A message of the user's own `Deserialize`, or one of a form not known here: it may quote what it read.
    redact_known(message).unwrap_or_else(|| {
        "its type refused the value (the message is left out, since it may quote the value)".to_owned()
    })
}

/// The same, of the messages whose form is known.
pub(crate) fn redact_known(message: &str) -> Option<String> {
    for prefix in ["invalid type: ", "invalid value: "] {
        if let Some(rest) = message.strip_prefix(prefix)
            && let Some((found, expected)) = rest.rsplit_once(", expected ")
        {
            let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
            return Some(format!("{prefix}{kind}, expected {expected}"));
        }
    }
    for prefix in ["unknown variant", "unknown field"] {
        if let Some(rest) = message.strip_prefix(prefix)
            && let Some((_, expected)) = rest.rsplit_once("`, ")
            && !expected.is_empty()
        {
            // The expected names hold back-ticks too: cut at the first one that closes the found name.
            let expected = rest.split_once("`, ").map_or(expected, |(_, all)| all);
            return Some(format!("{prefix}, {expected}"));
        }
    }
    let names_a_field = message.starts_with("missing field `") || message.starts_with("duplicate field `");
    names_a_field.then(|| message.to_owned())
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Line {
        price: i64,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Order {
        Opened,
        #[serde(rename = "x")]
        Changed {
            from: u8,
            #[serde(default)]
            lines: Vec<Line>,
            note: Option<String>,
        },
        Wrapped(Line),
        Scalar(i64),
    }

    fn object(value: Value) -> Metadata {
        match value {
            Value::Object(map) => map,
            other => panic!("no object: {other}"),
        }
    }

    fn decode_order(index: u32, value: Value) -> Result<Order, DecodeError> {
        let text = StoredMetadata::from_text(value.to_string()).unwrap();
        let from_text = decode("Order", "changed", index, &text);
        assert_eq!(from_text, decode("Order", "changed", index, &object(value).into()), "a text, and the map of it");
        from_text
    }

    #[test]
    fn of_a_name_that_is_there_twice_the_last_one_counts() {
        let text = StoredMetadata::from_text(r#"{"from": 1, "from": 2}"#.to_owned()).unwrap();
        let event = decode::<Order>("Order", "changed", 1, &text).unwrap();
        assert_eq!(event, Order::Changed { from: 2, lines: vec![], note: None });
    }

    #[test]
    fn every_kind_of_variant_goes_there_and_back() {
        let events = [
            (0, Order::Opened),
            (1, Order::Changed { from: 1, lines: vec![Line { price: 2 }], note: None }),
            (2, Order::Wrapped(Line { price: 3 })),
        ];
        for (index, event) in events {
            let metadata = encode(&event, "Order", "V").unwrap();
            let text = StoredMetadata::from_text(serde_json::to_string(&metadata).unwrap()).unwrap();
            assert_eq!(decode::<Order>("Order", "v", index, &text).unwrap(), event);
            assert_eq!(decode::<Order>("Order", "v", index, &metadata.into()).unwrap(), event);
        }
        assert_eq!(encode(&Order::Opened, "Order", "Opened").unwrap(), Metadata::new());
    }

    #[test]
    fn a_newtype_that_is_no_object_is_refused() {
        let error = encode(&Order::Scalar(7), "Order", "Scalar").unwrap_err();
        assert_eq!(error.reason, "a number instead of an object");
    }

    #[test]
    fn a_wrong_field_is_named_by_its_path_and_never_by_its_value() {
        let error = decode_order(1, json!({"from": 1, "lines": [{"price": 1}, {"price": "secret"}]})).unwrap_err();
        let DecodeError::Metadata { path, reason, .. } = &error else { panic!("{error}") };
        assert_eq!((path.as_str(), reason.as_str()), ("lines[1].price", "invalid type: string, expected i64"));
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn a_missing_field_is_named_itself() {
        let error = decode_order(1, json!({"lines": [{}], "from": 300})).unwrap_err();
        assert!(
            error.to_string().contains("invalid value: integer, expected u8")
                || error.to_string().contains("lines[0].price"),
            "{error}"
        );
        let error = decode_order(1, json!({})).unwrap_err();
        assert!(error.to_string().contains("at `from`: missing field `from`"), "{error}");
    }

    #[test]
    fn a_unit_variant_may_have_gained_fields() {
        assert_eq!(decode_order(0, json!({"later": 1})).unwrap(), Order::Opened);
    }

    #[test]
    fn what_was_read_is_left_out_of_messages() {
        for (message, shown) in [
            ("invalid type: string \"Ada, expected x\", expected a map", "invalid type: string, expected a map"),
            ("unknown variant `Ada`, expected `a` or `b`", "unknown variant, expected `a` or `b`"),
            (
                "bad address of Ada",
                "its type refused the value (the message is left out, since it may quote the value)",
            ),
            ("missing field `from`", "missing field `from`"),
        ] {
            assert_eq!(redact(message), shown);
        }
    }
}
