//! A schema as a list of flat alternatives: references followed, `anyOf`, `oneOf`, `enum` and lists of types taken apart, `allOf`
//! put together.

use serde_json::{Map, Value};

/// A whole schema, in which references lead to definitions.
#[derive(Clone, Copy)]
pub(super) struct Document<'a>(pub(super) &'a Value);

/// One alternative: at most one type, and no keyword that combines schemas.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Flat {
    /// The only value, where there is one.
    pub(super) value: Option<Value>,
    pub(super) map: Map<String, Value>,
}

/// Says nothing of the values.
pub(in super::super) const ANNOTATIONS: &[&str] = &[
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
];
const DEFINITIONS: &[&str] = &["$defs", "definitions"];
/// What `true` is.
const TYPES: &[&str] = &["null", "boolean", "number", "string", "array", "object"];
/// Keywords that say something of one type only: they tell it where `type` does not, and are nothing to the others.
const OF_TYPE: &[(&str, &[&str])] = &[
    ("object", &["properties", "required", "additionalProperties", "patternProperties", "x-aliases"]),
    ("array", &["items", "prefixItems", "minItems", "maxItems", "uniqueItems"]),
    ("string", &["pattern", "minLength", "maxLength", "contentEncoding", "contentMediaType"]),
    ("number", &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]),
];

impl Flat {
    fn of_type(kind: &str) -> Self {
        Self { value: None, map: Map::from_iter([("type".to_owned(), kind.into())]) }
    }

    fn of_value(value: &Value) -> Self {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        Self { value: Some(value.clone()), ..Self::of_type(kind) }
    }

    /// The type; none where nothing tells it.
    pub(super) fn kind(&self) -> Option<&str> {
        self.map.get("type").and_then(Value::as_str)
    }

    /// Whether it is the schema of a type that has none.
    pub(super) fn is_unknown(&self) -> bool {
        self.value.is_none() && self.map.is_empty()
    }

    /// The type in words; numbers with their format, since that is what differs.
    pub(super) fn described(&self) -> String {
        let format = self.map.get("format").and_then(Value::as_str);
        match (self.kind(), format) {
            (Some("null"), _) => "null".to_owned(),
            (Some(kind @ ("integer" | "array" | "object")), None) => format!("an {kind}"),
            (Some(kind @ "integer"), Some(format)) => format!("an {kind} ({format})"),
            (Some(kind), Some(format)) => format!("a {kind} ({format})"),
            (Some(kind), None) => format!("a {kind}"),
            (None, _) => "something".to_owned(),
        }
    }

    pub(super) fn properties(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.map.get("properties").and_then(Value::as_object).into_iter().flatten()
    }

    pub(super) fn property(&self, name: &str) -> Option<&Value> {
        self.map.get("properties")?.get(name)
    }

    pub(super) fn requires(&self, name: &str) -> bool {
        self.required().any(|required| required == name)
    }

    pub(super) fn required(&self) -> impl Iterator<Item = &str> {
        self.map.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// What tells a variant from the others: the field that holds its tag, and the tag. None where it is no variant.
    pub(super) fn tag(&self) -> Option<(String, String)> {
        let mut fields: Vec<_> = self.properties().collect();
        let is_only = fields.len() == 1;
        fields.retain(|(name, _)| self.requires(name));
        let tagged = fields.iter().find_map(|(name, schema)| {
            let value = schema.get("const").or_else(|| match schema.get("enum")?.as_array()?.as_slice() {
                [only] => Some(only),
                _ => None,
            })?;
            Some(((*name).clone(), super::shown(value)))
        });
        // Externally tagged: the only field is the variant's name.
        let only = || match fields[..] {
            [(name, _)] if is_only => Some((String::new(), name.clone())),
            _ => None,
        };
        tagged.or_else(only)
    }

    /// Without what says nothing of its type; with a type, if its keywords tell it.
    fn typed(mut self) -> Self {
        if self.kind().is_none() {
            let has = |keywords: &[&str]| keywords.iter().any(|keyword| self.map.contains_key(*keyword));
            if let Some((kind, _)) = OF_TYPE.iter().find(|(_, keywords)| has(keywords)) {
                self.map.insert("type".to_owned(), (*kind).into());
            }
        }
        let Some(kind) = self.kind().map(str::to_owned) else { return self };
        let group = if kind == "integer" { "number" } else { &kind };
        self.map.retain(|keyword, _| {
            let of_another = OF_TYPE.iter().any(|(of, keywords)| *of != group && keywords.contains(&keyword.as_str()));
            !(of_another || keyword == "format" && !["string", "number"].contains(&group))
        });
        self
    }

    /// Both at once; none where nothing can be both.
    fn and(mut self, other: &Self) -> Option<Self> {
        match (&self.value, &other.value) {
            (Some(one), Some(two)) if one != two => return None,
            (None, Some(value)) => self.value = Some(value.clone()),
            _ => {}
        }
        for (keyword, theirs) in &other.map {
            let both = match self.map.get(keyword) {
                None => theirs.clone(),
                Some(ours) if ours == theirs => continue,
                Some(ours) => both(keyword, ours, theirs)?,
            };
            self.map.insert(keyword.clone(), both);
        }
        Some(self)
    }
}

/// Two values of a keyword, as one that means both.
fn both(keyword: &str, ours: &Value, theirs: &Value) -> Option<Value> {
    let all_of = || serde_json::json!({ "allOf": [ours, theirs] });
    Some(match (keyword, ours, theirs) {
        ("type", Value::String(one), Value::String(two)) => match (one.as_str(), two.as_str()) {
            ("integer", "number") | ("number", "integer") => "integer".into(),
            _ => return None,
        },
        ("properties" | "patternProperties" | "x-aliases", Value::Object(ours), Value::Object(theirs)) => {
            let mut united = ours.clone();
            for (name, theirs) in theirs {
                let both = match ours.get(name) {
                    Some(ours) if ours != theirs => serde_json::json!({ "allOf": [ours, theirs] }),
                    _ => theirs.clone(),
                };
                united.insert(name.clone(), both);
            }
            united.into()
        }
        ("required", Value::Array(ours), Value::Array(theirs)) => {
            let further = theirs.iter().filter(|name| !ours.contains(name));
            ours.iter().chain(further).cloned().collect()
        }
        ("minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties", ours, theirs) => {
            if ours.as_f64() >= theirs.as_f64() { ours.clone() } else { theirs.clone() }
        }
        ("maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties", ours, theirs) => {
            if ours.as_f64() <= theirs.as_f64() { ours.clone() } else { theirs.clone() }
        }
        _ => all_of(),
    })
}

impl Document<'_> {
    /// The schema's alternatives. Every one of them costs fuel, and without there are none.
    pub(super) fn expand(self, schema: &Value, fuel: &mut u32) -> Vec<Flat> {
        self.expanded(schema, &mut Vec::new(), fuel).into_iter().map(Flat::typed).collect()
    }

    fn expanded(self, schema: &Value, followed: &mut Vec<String>, fuel: &mut u32) -> Vec<Flat> {
        *fuel = fuel.saturating_sub(1);
        if *fuel == 0 {
            return Vec::new();
        }
        let map = match schema {
            Value::Bool(true) => return TYPES.iter().map(|kind| Flat::of_type(kind)).collect(),
            Value::Object(map) => map,
            _ => return Vec::new(),
        };
        let mut flat = Flat::default();
        let mut parts: Vec<Vec<Flat>> = Vec::new();
        for (keyword, value) in map {
            match (keyword.as_str(), value) {
                ("$ref", Value::String(to)) => match to.strip_prefix('#').and_then(|at| self.0.pointer(at)) {
                    // A type that is nothing but itself.
                    Some(_) if followed.contains(to) => {}
                    Some(definition) => {
                        followed.push(to.clone());
                        parts.push(self.expanded(definition, followed, fuel));
                        followed.pop();
                    }
                    None => drop(flat.map.insert(keyword.clone(), value.clone())),
                },
                ("allOf", Value::Array(all)) => {
                    parts.extend(all.iter().map(|one| self.expanded(one, followed, fuel)));
                }
                ("anyOf" | "oneOf", Value::Array(any)) => {
                    parts.push(any.iter().flat_map(|one| self.expanded(one, followed, fuel)).collect());
                }
                ("enum", Value::Array(values)) => parts.push(values.iter().map(Flat::of_value).collect()),
                ("const", value) => parts.push(vec![Flat::of_value(value)]),
                ("type", Value::Array(types)) => {
                    parts.push(types.iter().filter_map(Value::as_str).map(Flat::of_type).collect());
                }
                (other, value) => {
                    let says_nothing = ANNOTATIONS.contains(&other) || DEFINITIONS.contains(&other);
                    if !says_nothing {
                        flat.map.insert(keyword.clone(), value.clone());
                    }
                }
            }
        }
        parts.into_iter().fold(vec![flat], |alternatives, part| {
            let mut products = Vec::new();
            for one in &alternatives {
                for other in &part {
                    *fuel = fuel.saturating_sub(1);
                    if *fuel > 0 {
                        products.extend(one.clone().and(other));
                    }
                }
            }
            products
        })
    }
}
