//! A schema as it stands in the file: sorted, and without words about it, so that only what matters makes a difference.

use serde_json::{Map, Value};

use super::readable::ANNOTATIONS;

/// Keywords whose value is a map from names to schemas.
const NAMED: &[&str] = &["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
/// Keywords whose value is a schema, or a list of schemas.
const SCHEMAS: &[&str] = &[
    "items",
    "prefixItems",
    "additionalProperties",
    "propertyNames",
    "contains",
    "not",
    "if",
    "then",
    "else",
    "unevaluatedProperties",
    "unevaluatedItems",
    "allOf",
    "anyOf",
    "oneOf",
];
/// Lists whose order says nothing.
const SETS: &[&str] = &["required", "enum", "type"];

pub(super) fn normal(schema: &Value) -> Value {
    let Value::Object(map) = schema else { return sorted(schema) };
    let mut normal = Map::new();
    for (keyword, value) in in_order(map) {
        let keyword_is = |list: &[&str]| list.contains(&keyword.as_str());
        let value = match value {
            _ if keyword_is(ANNOTATIONS) => continue,
            Value::Object(named) if keyword_is(NAMED) => {
                in_order(named).map(|(name, schema)| (name.clone(), self::normal(schema))).collect()
            }
            Value::Array(all) if keyword_is(SCHEMAS) => all.iter().map(self::normal).collect(),
            schema if keyword_is(SCHEMAS) => self::normal(schema),
            Value::Array(all) if keyword_is(SETS) => {
                let mut all = all.clone();
                all.sort_by_key(Value::to_string);
                all.into()
            }
            other => sorted(other),
        };
        normal.insert(keyword.clone(), value);
    }
    normal.into()
}

/// With every object's names in order, also where another crate has serde_json keep the order of insertion.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => in_order(map).map(|(name, value)| (name.clone(), sorted(value))).collect(),
        Value::Array(all) => all.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

fn in_order(map: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(name, _)| *name);
    entries.into_iter()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_go_and_fields_of_their_names_stay() {
        let schema = json!({
            "title": "Line",
            "type": "object",
            "properties": {
                "title": {"type": ["string", "null"], "description": "x", "default": null},
                "default": {"enum": ["b", "a"], "title": "y"},
            },
            "required": ["title", "default"],
            "$defs": {"examples": {"$ref": "#", "deprecated": true}},
            "anyOf": [{"description": "one"}, true],
            "x-odd": {"title": "kept: what it means is not known here"},
        });
        let expected = json!({
            "$defs": {"examples": {"$ref": "#"}},
            "anyOf": [{}, true],
            "properties": {"default": {"enum": ["a", "b"]}, "title": {"type": ["null", "string"]}},
            "required": ["default", "title"],
            "type": "object",
            "x-odd": {"title": "kept: what it means is not known here"},
        });
        assert_eq!(normal(&schema).to_string(), expected.to_string());
        assert_eq!(normal(&expected), expected);
    }
}
