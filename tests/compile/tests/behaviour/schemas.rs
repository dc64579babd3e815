//! The JSON Schema of each action.

use event_core::Action;
use serde_json::{Value, json};

use crate::model::IssueEventAction;

fn schema(action: IssueEventAction) -> Value {
    action.descriptor().schema().to_value()
}

#[test]
fn a_unit_is_an_object() {
    assert_eq!(schema(IssueEventAction::Created), json!({"type": "object"}));
    assert_eq!(schema(IssueEventAction::Heartbeat), json!({"type": "object"}));
}

#[test]
fn fields_have_their_stored_names_and_their_types() {
    let schema = schema(IssueEventAction::StatusChanged);
    assert_eq!(schema["required"], json!(["oldStatus", "to"]), "neither `Option` nor `default` is required");
    let properties = schema["properties"].as_object().unwrap();
    let mut names: Vec<_> = properties.keys().collect();
    names.sort();
    assert_eq!(names, ["note", "oldStatus", "opaque", "to", "type"]);
    assert_eq!(properties["oldStatus"], json!({"$ref": "#/$defs/Status"}));
    assert_eq!(properties["note"], json!({"anyOf": [{"type": "string"}, {"type": "null"}]}));
    assert_eq!(schema["$defs"]["Status"], json!({"type": "string", "enum": ["open", "done"]}));
}

#[test]
fn a_type_without_a_schema_is_left_open_and_what_is_around_it_is_not() {
    let properties = &schema(IssueEventAction::StatusChanged)["properties"];
    let open = event_core::__private::v1::schemars::Schema::default().to_value();
    assert_eq!(properties["opaque"], open);
    assert_eq!(properties["type"], json!({"anyOf": [{"type": "array", "items": open}, {"type": "null"}]}));
}

#[test]
fn a_newtype_has_the_inner_types_schema() {
    let schema = schema(IssueEventAction::LabelAdded);
    assert_eq!(schema, json!({"$ref": "#/$defs/Label", "$defs": {"Label": label()}}));
}

#[test]
fn serdes_attributes_are_honoured() {
    let schema = schema(IssueEventAction::Measured);
    let open = event_core::__private::v1::schemars::Schema::default().to_value();
    assert_eq!(schema["required"], json!(["value", "values"]));
    let properties = schema["properties"].as_object().unwrap();
    let mut names: Vec<_> = properties.keys().collect();
    names.sort();
    assert_eq!(names, ["lines", "more", "value", "values"], "skipped and flattened fields are no properties");
    assert_eq!(properties["value"], open, "read by a function of the user's own");
    assert_eq!(schema["allOf"], json!([{"$ref": "#/$defs/Label"}]));
}

fn label() -> Value {
    json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]})
}
