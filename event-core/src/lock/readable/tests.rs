use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::*;

/// `path: what`, sorted.
fn found(old: Value, new: Value) -> Vec<String> {
    let mut lines: Vec<_> =
        obstacles(&old, &new).into_iter().map(|obstacle| format!("{}: {}", obstacle.path, obstacle.what)).collect();
    lines.sort();
    lines
}

fn fields(fields: Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": fields, "required": required})
}

/// Found in one direction, and nothing in the other.
#[track_caller]
fn one_way(old: Value, new: Value, expected: &[&str]) {
    assert_eq!(found(old.clone(), new.clone()), expected);
    assert_eq!(found(new, old), Vec::<String>::new(), "the other way");
}

#[track_caller]
fn both_ways(old: Value, new: Value, there: &[&str], back: &[&str]) {
    assert_eq!(found(old.clone(), new.clone()), there);
    assert_eq!(found(new, old), back, "the other way");
}

fn of<T: JsonSchema>() -> Value {
    SchemaGenerator::default().into_root_schema_for::<T>().to_value()
}

#[test]
fn fields_come_as_optional_and_go_never() {
    let (a, ab) = (json!({"a": {"type": "string"}}), json!({"a": {"type": "string"}, "b": {"type": "string"}}));
    both_ways(
        fields(a.clone(), &["a"]),
        fields(ab.clone(), &["a"]),
        &[],
        &["b: is gone, and what is stored in it would be lost"],
    );
    both_ways(
        fields(a.clone(), &["a"]),
        fields(ab, &["a", "b"]),
        &["b: is new and required, and stored events lack it"],
        &["b: is gone, and what is stored in it would be lost"],
    );
    one_way(fields(a.clone(), &[]), fields(a.clone(), &["a"]), &["a: was optional and is required"]);
    assert_eq!(found(json!({"type": "object"}), fields(a, &[])), Vec::<String>::new(), "a unit gains fields");
}

#[test]
fn an_option_that_becomes_required_is_said_once() {
    let optional = fields(json!({"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}), &[]);
    let required = fields(json!({"a": {"type": "string"}}), &["a"]);
    one_way(optional.clone(), required, &["a: was optional and is required"]);
    let retyped = fields(json!({"a": {"type": "boolean"}}), &["a"]);
    assert_eq!(
        found(optional, retyped),
        ["a: was a string and is a boolean", "a: was optional and is required"],
        "what else is wrong is said too"
    );
}

#[test]
fn a_type_is_another_type() {
    let types = ["string", "boolean", "integer", "object", "array", "null"];
    for old in types {
        for new in types.into_iter().filter(|new| *new != old) {
            let lines = found(fields(json!({"a": {"type": old}}), &["a"]), fields(json!({"a": {"type": new}}), &["a"]));
            assert_eq!(lines.len(), 1, "{old} to {new}: {lines:?}");
        }
    }
    assert_eq!(
        found(fields(json!({"a": {"type": "string"}}), &[]), fields(json!({"a": {"type": "integer"}}), &[])),
        ["a: was a string and is an integer"]
    );
}

#[test]
fn integers_widen_and_do_not_narrow() {
    let widening: [(Value, Value, &str); 8] = [
        (of::<i32>(), of::<i64>(), ": is narrower: its `minimum` was -9223372036854775808 and is -2147483648"),
        (of::<u8>(), of::<u32>(), ": is narrower: its `maximum` was 4294967295 and is 255"),
        (of::<u8>(), of::<i16>(), ": is narrower: its `minimum` was -32768 and is 0"),
        (of::<u32>(), of::<i64>(), ": is narrower: its `minimum` was -9223372036854775808 and is 0"),
        (of::<u64>(), of::<i128>(), ": is narrower: its `minimum`"),
        (of::<std::num::NonZeroU8>(), of::<u8>(), ": is narrower: its `minimum` was 0 and is 1"),
        (of::<f32>(), of::<f64>(), ": is narrower: its `format` was double and is float"),
        (of::<i64>(), json!({"type": "integer"}), ": is narrower: its `minimum` was none"),
    ];
    for (small, large, narrowed) in widening {
        assert_eq!(found(small.clone(), large.clone()), Vec::<String>::new(), "{small} to {large}");
        let lines = found(large.clone(), small.clone());
        assert!(lines.iter().any(|line| line.starts_with(narrowed)), "{large} to {small}: {lines:?}");
    }
    both_ways(
        of::<i64>(),
        of::<u64>(),
        &[": is narrower: its `minimum` was -9223372036854775808 and is 0"],
        &[": is narrower: its `maximum` was 18446744073709551615 and is 9223372036854775807"],
    );
    both_ways(of::<i64>(), of::<f64>(), &[], &[": was a number (double) and is an integer (int64)"]);
}

#[test]
fn an_exclusive_bound_is_tighter_than_the_same_inclusive_one() {
    let number = |keyword: &str, bound: f64| json!({"type": "number", keyword: bound});
    let text = ": is narrower: its `minimum` was 1.5 and is 1.5";
    one_way(number("minimum", 1.5), number("exclusiveMinimum", 1.5), &[text]);
    let text = ": is narrower: its `maximum` was 1.5 and is 1.5";
    one_way(number("maximum", 1.5), number("exclusiveMaximum", 1.5), &[text]);
    one_way(number("maximum", 2.5), number("maximum", 1.5), &[": is narrower: its `maximum` was 2.5 and is 1.5"]);
}

#[test]
fn formats_and_patterns_go_and_do_not_come() {
    for (keyword, value) in [("format", json!("uuid")), ("pattern", json!("^a")), ("contentEncoding", json!("base64"))]
    {
        let line = format!(": has another `{keyword}`");
        one_way(json!({"type": "string"}), json!({"type": "string", keyword: value}), &[&line]);
    }
    one_way(
        of::<String>(),
        of::<char>(),
        &[": is narrower: its `maxLength` was none and is 1", ": is narrower: its `minLength` was none and is 1"],
    );
    one_way(
        of::<Option<String>>(),
        json!({"type": ["string", "null"], "maxLength": 5}),
        &[": is narrower: its `maxLength` was none and is 5"],
    );
}

#[test]
fn values_come_and_do_not_go() {
    let values = |values: Value| fields(json!({"a": {"type": "string", "enum": values}}), &["a"]);
    one_way(values(json!(["x", "y", "z"])), values(json!(["z"])), &["a: can be `x` no more", "a: can be `y` no more"]);
    let one = |value: &str| fields(json!({"a": {"const": value}}), &["a"]);
    both_ways(one("x"), one("y"), &["a: can be `x` no more"], &["a: can be `y` no more"]);
    both_ways(one("x"), values(json!(["y", "x"])), &[], &["a: can be `y` no more"]);
    one_way(
        fields(json!({"a": {"type": "string"}}), &[]),
        fields(json!({"a": {"const": "x"}}), &[]),
        &["a: is narrower: its `const` was a string and is x"],
    );
}

#[allow(dead_code)]
mod shapes {
    use std::collections::{BTreeMap, HashMap, HashSet};

    use schemars::JsonSchema;

    #[derive(JsonSchema)]
    pub(super) struct Line {
        price: i32,
        #[serde(default)]
        note: String,
    }

    #[derive(JsonSchema)]
    #[schemars(rename = "Line")]
    pub(super) struct WiderLine {
        price: i64,
        note: Option<String>,
        #[serde(default)]
        tags: Vec<String>,
    }

    #[derive(JsonSchema)]
    pub(super) struct Order<L> {
        lines: Vec<L>,
        by_name: HashMap<String, L>,
        first: Option<Box<L>>,
        pair: (i32, L),
    }

    #[derive(JsonSchema)]
    pub(super) struct Tree {
        value: i32,
        children: Vec<Tree>,
        parent: Option<Box<Tree>>,
    }

    #[derive(JsonSchema)]
    #[schemars(rename = "Tree")]
    pub(super) struct WiderTree {
        value: i64,
        children: Vec<WiderTree>,
        parent: Option<Box<WiderTree>>,
    }

    #[derive(JsonSchema)]
    pub(super) enum External {
        Nothing,
        Point { x: i32, y: i32 },
        Text(String),
    }

    #[derive(JsonSchema)]
    #[schemars(rename = "External")]
    pub(super) enum WiderExternal {
        Text(String),
        Nothing,
        Point {
            x: i64,
            y: i32,
            #[serde(default)]
            z: i32,
        },
        Circle {
            r: i32,
        },
    }

    #[derive(JsonSchema)]
    #[serde(tag = "kind")]
    pub(super) enum Internal {
        A { x: i32 },
        B { y: i32 },
    }

    #[derive(JsonSchema)]
    #[serde(tag = "kind")]
    #[schemars(rename = "Internal")]
    pub(super) enum WiderInternal {
        B { y: i64 },
        A { x: i32 },
        C,
    }

    #[derive(JsonSchema)]
    #[serde(tag = "t", content = "c")]
    pub(super) enum Adjacent {
        A(i32),
        B { y: i32 },
    }

    #[derive(JsonSchema)]
    #[serde(tag = "t", content = "c")]
    #[schemars(rename = "Adjacent")]
    pub(super) enum OtherAdjacent {
        A(String),
    }

    #[derive(JsonSchema)]
    #[serde(untagged)]
    pub(super) enum Untagged {
        Number(i64),
        Text(String),
    }

    #[derive(JsonSchema)]
    pub(super) struct Flattened {
        a: i32,
        #[serde(flatten)]
        line: Line,
        #[serde(flatten)]
        kind: Option<Internal>,
    }

    #[derive(JsonSchema)]
    pub(super) struct WithRest {
        a: i32,
        #[serde(flatten)]
        rest: BTreeMap<String, i32>,
    }

    #[derive(JsonSchema)]
    pub(super) struct Sets {
        set: HashSet<i32>,
        numbers: BTreeMap<u32, String>,
        any: serde_json::Value,
    }
}

use shapes::*;

#[test]
fn whatever_schemars_writes_is_readable_as_itself() {
    fn same<T: JsonSchema>() {
        let schema = of::<T>();
        assert_eq!(found(schema.clone(), schema.clone()), Vec::<String>::new(), "{schema:#}");
    }
    same::<Order<Line>>();
    same::<Tree>();
    same::<External>();
    same::<Internal>();
    same::<Adjacent>();
    same::<Untagged>();
    same::<Flattened>();
    same::<WithRest>();
    same::<Sets>();
    same::<Result<i32, String>>();
    same::<std::ops::Bound<i32>>();
    same::<(i32, Option<char>)>();
    same::<[u8; 4]>();
    same::<std::time::Duration>();
    same::<std::net::IpAddr>();
}

#[test]
fn differences_are_found_at_any_depth() {
    both_ways(
        of::<Order<Line>>(),
        of::<Order<WiderLine>>(),
        &[],
        &[
            "by_name.*.note: can be `null` no more",
            "by_name.*.price: is narrower: its `maximum` was 9223372036854775807 and is 2147483647",
            "by_name.*.price: is narrower: its `minimum` was -9223372036854775808 and is -2147483648",
            "by_name.*.tags: is gone, and what is stored in it would be lost",
            "first.note: can be `null` no more",
            "first.price: is narrower: its `maximum` was 9223372036854775807 and is 2147483647",
            "first.price: is narrower: its `minimum` was -9223372036854775808 and is -2147483648",
            "first.tags: is gone, and what is stored in it would be lost",
            "lines[].note: can be `null` no more",
            "lines[].price: is narrower: its `maximum` was 9223372036854775807 and is 2147483647",
            "lines[].price: is narrower: its `minimum` was -9223372036854775808 and is -2147483648",
            "lines[].tags: is gone, and what is stored in it would be lost",
            "pair[1].note: can be `null` no more",
            "pair[1].price: is narrower: its `maximum` was 9223372036854775807 and is 2147483647",
            "pair[1].price: is narrower: its `minimum` was -9223372036854775808 and is -2147483648",
            "pair[1].tags: is gone, and what is stored in it would be lost",
        ],
    );
}

#[test]
fn recursive_types_end() {
    assert_eq!(found(of::<Tree>(), of::<WiderTree>()), Vec::<String>::new());
    let lines = found(of::<WiderTree>(), of::<Tree>());
    assert!(lines.contains(&"value: is narrower: its `maximum` was 9223372036854775807 and is 2147483647".to_owned()));
    assert!(lines.iter().all(|line| line.contains("value: is narrower")), "{lines:?}");
    let itself = json!({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}});
    assert_eq!(found(itself.clone(), itself), Vec::<String>::new());
}

#[test]
fn variants_come_and_do_not_go_however_they_are_tagged() {
    both_ways(
        of::<External>(),
        of::<WiderExternal>(),
        &[],
        &[
            ": can be `Circle` no more",
            "Point.x: is narrower: its `maximum` was 9223372036854775807 and is 2147483647",
            "Point.x: is narrower: its `minimum` was -9223372036854775808 and is -2147483648",
            "Point.z: is gone, and what is stored in it would be lost",
        ],
    );
    both_ways(
        of::<Internal>(),
        of::<WiderInternal>(),
        &[],
        &[
            ": can be `C` no more",
            "y: is narrower: its `maximum` was 9223372036854775807 and is 2147483647",
            "y: is narrower: its `minimum` was -9223372036854775808 and is -2147483648",
        ],
    );
    both_ways(
        of::<Adjacent>(),
        of::<OtherAdjacent>(),
        &[": can be `B` no more", "c: was an integer (int32) and is a string"],
        &["c: was a string and is an integer (int32)"],
    );
    both_ways(
        of::<i32>(),
        of::<Untagged>(),
        &[],
        &[
            ": is narrower: its `maximum` was 9223372036854775807 and is 2147483647",
            ": is narrower: its `minimum` was -9223372036854775808 and is -2147483648",
            ": was a string and is an integer (int32)",
        ],
    );
}

#[test]
fn maps_lists_and_sets() {
    let map = |values: Value| json!({"type": "object", "additionalProperties": values});
    one_way(map(json!({"type": "number"})), map(json!({"type": "integer"})), &["*: was a number and is an integer"]);
    let a = fields(json!({"a": {"type": "integer"}}), &[]);
    both_ways(a.clone(), map(json!({"type": "integer"})), &[], &["*: is gone, and what is stored in it would be lost"]);
    assert_eq!(found(a, map(json!({"type": "string"}))), ["a: was an integer and is a string"]);
    one_way(of::<Vec<u8>>(), of::<std::collections::BTreeSet<u8>>(), &[": has another `uniqueItems`"]);
    both_ways(
        of::<[u8; 2]>(),
        of::<Vec<u8>>(),
        &[],
        &[": is narrower: its `maxItems` was none and is 2", ": is narrower: its `minItems` was none and is 2"],
    );
    both_ways(
        of::<(u8, u8)>(),
        of::<(u8, String)>(),
        &["[1]: was an integer (uint8) and is a string"],
        &["[1]: was a string and is an integer (uint8)"],
    );
}

#[test]
fn of_a_type_without_a_schema_nothing_is_known_and_of_one_that_holds_anything_all() {
    let field = |schema: Value| fields(json!({"a": schema}), &["a"]);
    for other in [json!({"type": "string"}), json!(true), json!({"$ref": "#/$defs/A"})] {
        let with_definition = |mut schema: Value| {
            schema["$defs"] = json!({"A": {"type": "string"}});
            schema
        };
        let (unknown, other) = (with_definition(field(json!({}))), with_definition(field(other)));
        both_ways(unknown, other, &[], &[]);
    }
    let lines = found(field(json!(true)), field(json!({"type": "string"})));
    assert_eq!(lines.len(), 5, "everything that is no string: {lines:?}");
    assert_eq!(found(field(json!({"type": "string"})), field(json!(true))), Vec::<String>::new());
    assert_eq!(found(field(json!({"type": "string"})), field(json!(false))), ["a: was a string and is nothing"]);
}

#[test]
fn fields_are_found_under_the_names_that_serde_reads_them_from() {
    let old = fields(json!({"from": {"type": "string"}}), &["from"]);
    let renamed = |aliases: Value| {
        let mut new = fields(json!({"source": {"type": "string"}}), &["source"]);
        new["x-aliases"] = aliases;
        new
    };
    assert_eq!(found(old.clone(), renamed(json!({"source": ["from"]}))), Vec::<String>::new());
    assert_eq!(
        found(old, renamed(json!({}))),
        [
            "from: is gone, and what is stored in it would be lost",
            "source: is new and required, and stored events lack it"
        ]
    );
    assert_eq!(
        found(renamed(json!({"source": ["from"]})), renamed(json!({}))),
        ["from: is gone, and what is stored in it would be lost"],
        "events of before the rename are still stored"
    );
    let mut further = fields(json!({"origin": {"type": "integer"}}), &["origin"]);
    further["x-aliases"] = json!({"origin": ["from", "source"]});
    assert_eq!(
        found(renamed(json!({"source": ["from"]})), further),
        ["from: was a string and is an integer", "source: was a string and is an integer"]
    );
}

#[test]
fn a_keyword_that_is_not_known_may_not_differ() {
    for kind in ["string", "integer", "array", "object", "boolean", "null"] {
        let (old, new) = (json!({"type": kind}), json!({"type": kind, "x-odd": 1}));
        both_ways(old, new.clone(), &[": has another `x-odd`"], &[": has another `x-odd`"]);
        assert_eq!(found(new.clone(), new), Vec::<String>::new());
    }
    let not = json!({"not": {"type": "string"}});
    both_ways(not.clone(), json!({"not": {"type": "null"}}), &[": has another `not`"], &[": has another `not`"]);
    assert_eq!(found(not.clone(), not), Vec::<String>::new());
}

#[test]
fn words_about_the_values_say_nothing() {
    let old = json!({"type": "string", "description": "x", "title": "y", "default": 1, "examples": []});
    both_ways(old, json!({"type": "string"}), &[], &[]);
    let old = json!({"type": "object", "properties": {"title": {"type": "string"}}});
    assert_eq!(found(old, json!({"type": "object"})), ["title: is gone, and what is stored in it would be lost"]);
}

#[test]
fn what_would_take_forever_is_given_up() {
    // Each level doubles the alternatives of the one below.
    let mut definitions = serde_json::Map::from_iter([("d0".to_owned(), json!({"type": "string"}))]);
    for level in 1..40 {
        let below = json!({"$ref": format!("#/$defs/d{}", level - 1)});
        let product = json!({"allOf": [{"anyOf": [below, below]}, {"anyOf": [below, below]}]});
        definitions.insert(format!("d{level}"), product);
    }
    let schema = json!({"$ref": "#/$defs/d39", "$defs": definitions});
    assert_eq!(found(schema.clone(), schema), [": has too many alternatives to be compared"]);
}

/// Whether everything in `old` is in `new` too.
fn holds(new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            old.iter().all(|(name, old)| new.get(name).is_some_and(|new| holds(new, old)))
        }
        (Value::Array(new), Value::Array(old)) => {
            new.len() == old.len() && new.iter().zip(old).all(|(new, old)| holds(new, old))
        }
        (Value::Number(new), Value::Number(old)) => new.as_f64() == old.as_f64(),
        (new, old) => new == old,
    }
}

/// Serde has the last word: `values` of the old are read as the new, and come out of it with all that was in them.
#[track_caller]
fn as_serde_says<Old, New>(values: &[Old])
where
    Old: serde::Serialize + JsonSchema,
    New: serde::Serialize + serde::de::DeserializeOwned + JsonSchema,
{
    let survive = values.iter().all(|old| {
        let old = serde_json::to_value(old).unwrap();
        serde_json::from_value::<New>(old.clone()).is_ok_and(|new| holds(&serde_json::to_value(new).unwrap(), &old))
    });
    let lines = found(of::<Old>(), of::<New>());
    assert_eq!(lines.is_empty(), survive, "{lines:?}\n{:#}\n{:#}", of::<Old>(), of::<New>());
}

#[allow(dead_code)]
mod pairs {
    use std::collections::BTreeMap;

    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    macro_rules! types {
        ($($item:item)*) => { $(#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)] $item)* };
    }

    types! {
        pub(super) struct One { pub(super) a: i32 }
        pub(super) struct OneOptional { pub(super) a: Option<i32> }
        pub(super) struct OneDefault { #[serde(default)] a: i32 }
        pub(super) struct OneStrict { #[serde(deserialize_with = "strict")] a: Option<i32> }
        pub(super) struct Two { pub(super) a: i32, pub(super) b: i32 }
        pub(super) struct TwoOptional { a: i64, b: Option<i32> }
        pub(super) struct Renamed { #[serde(rename = "a")] other: i32 }
        pub(super) struct Rest { #[serde(flatten)] rest: BTreeMap<String, i32> }
        pub(super) struct FlatOne { #[serde(flatten)] pub(super) one: One, pub(super) b: i32 }
        pub(super) struct Unit {}
        pub(super) enum Names { A, B }
        pub(super) enum MoreNames { B, A, C }
        pub(super) enum Shapes { A, T(i32), S { x: i32 }, P(i32, i32) }
        pub(super) enum MoreShapes { P(i64, i64), S { x: i32, y: Option<i32> }, T(i64), A, Q }
        pub(super) enum FewerShapes { A, T(i32), S { x: i32 } }
        #[serde(tag = "kind")]
        pub(super) enum Tagged { A(One), B { y: i32 }, C }
        #[serde(tag = "kind")]
        pub(super) enum MoreTagged { C, B { y: i64, z: Option<i32> }, A(OneOptional), D }
        #[serde(untagged)]
        pub(super) enum Either { Number(i64), Text(String), One(One) }
        pub(super) struct Wrapper(pub(super) One);
        pub(super) struct Deep { pub(super) list: Vec<Option<Tagged>>, pub(super) map: BTreeMap<String, Shapes> }
        pub(super) struct Deeper { list: Vec<Option<MoreTagged>>, map: BTreeMap<String, MoreShapes> }
        pub(super) struct NotDeeper { list: Vec<MoreTagged>, map: BTreeMap<String, FewerShapes> }
    }

    fn strict<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i32>, D::Error> {
        Option::deserialize(deserializer)
    }

    pub(super) fn shapes() -> [Shapes; 4] {
        [Shapes::A, Shapes::T(i32::MAX), Shapes::S { x: 1 }, Shapes::P(1, 2)]
    }

    pub(super) fn tagged() -> [Tagged; 3] {
        [Tagged::A(One { a: 1 }), Tagged::B { y: 1 }, Tagged::C]
    }

    pub(super) fn deep() -> [Deep; 2] {
        let map = shapes().into_iter().enumerate().map(|(at, shape)| (at.to_string(), shape));
        let list = tagged().into_iter().map(Some).chain([None]);
        [Deep { list: list.collect(), map: map.collect() }, Deep { list: Vec::new(), map: BTreeMap::new() }]
    }
}

#[test]
fn what_is_said_is_what_serde_does() {
    use std::collections::{BTreeMap, BTreeSet};

    use pairs::*;

    let integers = [i32::MIN, 0, i32::MAX];
    as_serde_says::<_, i64>(&integers);
    as_serde_says::<_, i128>(&integers);
    as_serde_says::<_, u32>(&integers);
    as_serde_says::<_, i16>(&integers);
    as_serde_says::<_, f64>(&integers);
    as_serde_says::<_, String>(&integers);
    as_serde_says::<_, bool>(&integers);
    as_serde_says::<_, Option<i32>>(&integers);
    as_serde_says::<_, Either>(&integers);
    as_serde_says::<_, serde_json::Value>(&integers);
    as_serde_says::<_, u64>(&[0, u32::MAX]);
    as_serde_says::<_, i64>(&[0, u64::MAX]);
    as_serde_says::<_, f64>(&[1.5_f32]);
    as_serde_says::<_, i64>(&[1.5_f64]);
    as_serde_says::<_, i32>(&[None, Some(1)]);
    as_serde_says::<_, String>(&['x']);
    as_serde_says::<_, char>(&["xy".to_owned()]);
    as_serde_says::<_, Vec<i64>>(&[vec![1, 2, 3_i32]]);
    as_serde_says::<_, (i32, i32)>(&[vec![1, 2, 3_i32]]);
    as_serde_says::<_, Vec<i32>>(&[(1, 2)]);
    as_serde_says::<_, (i32, String)>(&[(1, 2)]);
    as_serde_says::<_, (i32, i64)>(&[(1, 2)]);
    as_serde_says::<_, (i32, i32)>(&[(1, 2, 3)]);
    as_serde_says::<_, Vec<i32>>(&[BTreeSet::from([1, 2])]);
    as_serde_says::<_, BTreeMap<String, i64>>(&[BTreeMap::from([("a".to_owned(), 1_i32)])]);
    as_serde_says::<_, BTreeMap<u8, i32>>(&[BTreeMap::from([("a".to_owned(), 1_i32)])]);
    as_serde_says::<_, BTreeMap<u8, i64>>(&[BTreeMap::from([(1_u8, 1_i32)])]);

    let one = [One { a: 1 }];
    as_serde_says::<_, One>(&one);
    as_serde_says::<_, OneOptional>(&one);
    as_serde_says::<_, OneDefault>(&one);
    as_serde_says::<_, OneStrict>(&one);
    as_serde_says::<_, Two>(&one);
    as_serde_says::<_, TwoOptional>(&one);
    as_serde_says::<_, Renamed>(&one);
    as_serde_says::<_, Rest>(&one);
    as_serde_says::<_, FlatOne>(&one);
    as_serde_says::<_, Unit>(&one);
    as_serde_says::<_, Wrapper>(&one);
    as_serde_says::<_, Either>(&one);
    as_serde_says::<_, Tagged>(&one);
    as_serde_says::<_, One>(&[Wrapper(One { a: 1 })]);
    as_serde_says::<_, One>(&[OneOptional { a: None }, OneOptional { a: Some(1) }]);
    as_serde_says::<_, OneDefault>(&[OneOptional { a: None }, OneOptional { a: Some(1) }]);
    as_serde_says::<_, TwoOptional>(&[Unit {}]);
    as_serde_says::<_, OneOptional>(&[Unit {}]);
    let two = [Two { a: 1, b: 2 }];
    as_serde_says::<_, One>(&two);
    as_serde_says::<_, TwoOptional>(&two);
    as_serde_says::<_, FlatOne>(&two);
    as_serde_says::<_, Rest>(&two);
    as_serde_says::<_, Two>(&[FlatOne { one: One { a: 1 }, b: 2 }]);

    as_serde_says::<_, MoreNames>(&[Names::A, Names::B]);
    as_serde_says::<_, Names>(&[MoreNames::A, MoreNames::B, MoreNames::C]);
    as_serde_says::<_, String>(&[Names::A, Names::B]);
    as_serde_says::<_, Names>(&["A".to_owned(), "x".to_owned()]);
    as_serde_says::<_, Shapes>(&[Names::A, Names::B]);
    as_serde_says::<_, MoreShapes>(&shapes());
    as_serde_says::<_, FewerShapes>(&shapes());
    as_serde_says::<_, Shapes>(&[MoreShapes::T(i64::MAX), MoreShapes::A]);
    as_serde_says::<_, MoreTagged>(&tagged());
    as_serde_says::<_, Tagged>(&[MoreTagged::D]);
    as_serde_says::<_, Shapes>(&tagged());
    as_serde_says::<_, Deeper>(&deep());
    as_serde_says::<_, NotDeeper>(&deep());
    as_serde_says::<_, One>(&[Either::Number(1), Either::Text("x".into()), Either::One(One { a: 1 })]);
}
