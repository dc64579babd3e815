//! Whether data that was written under one JSON Schema can be read under another: a pure function of the two.
//!
//! "Read" as serde reads: a value that the new schema has no place for is dropped silently, and counts as lost here. Sound for what
//! schemars writes; a keyword that is not known here may not differ.
//!
//! `{}` is the schema of a type that has none (see [`crate::schema`]): nothing is known of it, and nothing said. `true` is that of
//! a type that holds anything.

mod expand;
mod number;
mod object;
#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::{Map, Value};

pub(super) use expand::ANNOTATIONS;
use expand::{Document, Flat};

/// Something that data under the old schema would not survive.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Obstacle {
    /// Where: `lines[].price`; empty for the whole.
    pub(super) path: String,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// A field that is read no more.
    Removed,
    /// A required field that there was not.
    NewRequired,
    /// A field that could be missing or null.
    NowRequired,
    /// Values of another type.
    Retyped { from: String, to: String },
    /// One of a list of values, or a variant of an enum.
    ValueGone(String),
    /// A bound that is closer than it was.
    Narrowed { keyword: &'static str, from: String, to: String },
    /// A keyword that differs, and what it means is not known here.
    Keyword(String),
    /// The two are too large to be compared.
    TooLarge,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => f.write_str("is gone, and what is stored in it would be lost"),
            Self::NewRequired => f.write_str("is new and required, and stored events lack it"),
            Self::NowRequired => f.write_str("was optional and is required"),
            Self::Retyped { from, to } => write!(f, "was {from} and is {to}"),
            Self::ValueGone(value) => write!(f, "can be `{value}` no more"),
            Self::Narrowed { keyword, from, to } => write!(f, "is narrower: its `{keyword}` was {from} and is {to}"),
            Self::Keyword(keyword) => write!(f, "has another `{keyword}`"),
            Self::TooLarge => f.write_str("has too many alternatives to be compared"),
        }
    }
}

/// How much is compared before it is given up: a type of a program takes a few hundred.
const FUEL: u32 = 100_000;

/// Everything that keeps data written under `old` from being read under `new`; both with their definitions.
pub(super) fn obstacles(old: &Value, new: &Value) -> Vec<Obstacle> {
    let mut comparison = Comparison { old: Document(old), new: Document(new), under_way: Vec::new(), fuel: FUEL };
    let mut found = comparison.schemas(old, new, "", Nulls::Count);
    if comparison.fuel == 0 {
        found = vec![Obstacle { path: String::new(), what: What::TooLarge }];
    }
    found.dedup();
    found
}

/// Whether null was a value.
#[derive(Clone, Copy, PartialEq)]
enum Nulls {
    Count,
    /// That the field may not be missing was said already.
    Ignore,
}

struct Comparison<'a> {
    old: Document<'a>,
    new: Document<'a>,
    /// Pairs that are being compared further up: a recursive type is readable if everything else about it is.
    under_way: Vec<(Value, Value)>,
    fuel: u32,
}

impl Comparison<'_> {
    fn schemas(&mut self, old: &Value, new: &Value, path: &str, nulls: Nulls) -> Vec<Obstacle> {
        self.fuel = self.fuel.saturating_sub(1);
        if self.fuel == 0 || self.under_way.iter().any(|(one, other)| one == old && other == new) {
            return Vec::new();
        }
        self.under_way.push((old.clone(), new.clone()));
        let found = self.alternatives(old, new, path, nulls);
        self.under_way.pop();
        found
    }

    /// Each alternative of the old has to be readable as one of the new.
    fn alternatives(&mut self, old: &Value, new: &Value, path: &str, nulls: Nulls) -> Vec<Obstacle> {
        let (olds, news) = (self.old.expand(old, &mut self.fuel), self.new.expand(new, &mut self.fuel));
        if news.iter().any(Flat::is_unknown) {
            return Vec::new();
        }
        let variants = |all: &[Flat]| all.iter().filter(|flat| flat.kind() != Some("null")).count();
        let are_variants = variants(&olds) > 1 || variants(&news) > 1;
        let mut found = Vec::new();
        for old in olds.iter().filter(|old| !old.is_unknown()) {
            if nulls == Nulls::Ignore && old.kind() == Some("null") {
                continue;
            }
            let mut nearest: Option<Vec<Obstacle>> = None;
            for new in news.iter().filter(|new| could_be(old, new, are_variants)) {
                let obstacles = self.flat(old, new, path);
                if nearest.as_ref().is_none_or(|nearest| obstacles.len() < nearest.len()) {
                    nearest = Some(obstacles);
                }
                if nearest.as_ref().is_some_and(Vec::is_empty) {
                    break;
                }
            }
            let of_none = || vec![Obstacle { path: path.to_owned(), what: no_place_for(old, &news) }];
            for obstacle in nearest.unwrap_or_else(of_none) {
                if !found.contains(&obstacle) {
                    found.push(obstacle);
                }
            }
        }
        found
    }

    /// One alternative against one, of the same type.
    fn flat(&mut self, old: &Flat, new: &Flat, path: &str) -> Vec<Obstacle> {
        let mut found = Vec::new();
        let mut add = |what| found.push(Obstacle { path: path.to_owned(), what });
        match (&old.value, &new.value) {
            (Some(old), Some(new)) if old == new => return found,
            (Some(old), Some(_)) => add(What::ValueGone(shown(old))),
            (None, Some(new)) => {
                add(What::Narrowed { keyword: "const", from: old.described(), to: shown(new) });
            }
            (_, None) => match new.kind() {
                Some("string") => strings(old, new, &mut add),
                Some("integer" | "number") => number::compare(old, new, &mut add),
                Some("array") => found.extend(self.arrays(old, new, path)),
                Some("object") => found.extend(self.objects(old, new, path)),
                _ => others(&old.map, &new.map, &[], &mut add),
            },
        }
        found
    }

    fn arrays(&mut self, old: &Flat, new: &Flat, path: &str) -> Vec<Obstacle> {
        let mut found = Vec::new();
        let mut add = |what| found.push(Obstacle { path: path.to_owned(), what });
        bounds(old, new, &["minItems"], &["maxItems"], &mut add);
        may_vanish(old, new, "uniqueItems", &mut add);
        let known = [MIN_MAX_ITEMS, &["uniqueItems", "items", "prefixItems"]].concat();
        others(&old.map, &new.map, &known, &mut add);
        let tuple = |flat: &Flat| flat.map.get("prefixItems").and_then(Value::as_array).cloned().unwrap_or_default();
        let (old_tuple, new_tuple) = (tuple(old), tuple(new));
        let rest = |flat: &Flat| flat.map.get("items").cloned();
        for place in 0..old_tuple.len().max(new_tuple.len()) {
            let pair = (
                old_tuple.get(place).cloned().or_else(|| rest(old)),
                new_tuple.get(place).cloned().or_else(|| rest(new)),
            );
            if let (Some(old), Some(new)) = pair {
                found.extend(self.schemas(&old, &new, &format!("{path}[{place}]"), Nulls::Count));
            }
        }
        let longest = old.map.get("maxItems").and_then(Value::as_u64);
        let is_longer = longest.is_none_or(|longest| longest > old_tuple.len() as u64);
        if let (true, Some(new)) = (is_longer, rest(new)) {
            let old = rest(old).unwrap_or(Value::Bool(true));
            found.extend(self.schemas(&old, &new, &format!("{path}[]"), Nulls::Count));
        }
        found
    }
}

/// Whether the two are worth comparing: of one type, and of one variant where they are variants.
fn could_be(old: &Flat, new: &Flat, are_variants: bool) -> bool {
    let of_one_type = match (old.kind(), new.kind()) {
        (Some("integer"), Some("number")) => true,
        (old, new) => old == new,
    };
    let of_one_variant = match (old.tag(), new.tag()) {
        (Some(old), Some(new)) => old == new,
        _ => true,
    };
    of_one_type && (!are_variants || of_one_variant)
}

fn no_place_for(old: &Flat, news: &[Flat]) -> What {
    let of_its_type = news.iter().any(|new| new.kind() == old.kind());
    match (&old.value, old.tag()) {
        (Some(value), _) if of_its_type => What::ValueGone(shown(value)),
        (None, Some((_, variant))) if of_its_type => What::ValueGone(variant),
        _ if old.kind() == Some("null") => What::ValueGone("null".to_owned()),
        _ => What::Retyped { from: old.described(), to: described(news) },
    }
}

const MIN_MAX_ITEMS: &[&str] = &["minItems", "maxItems"];

fn strings(old: &Flat, new: &Flat, add: &mut impl FnMut(What)) {
    bounds(old, new, &["minLength"], &["maxLength"], add);
    const MAY_VANISH: &[&str] = &["format", "pattern", "contentEncoding", "contentMediaType"];
    for keyword in MAY_VANISH {
        may_vanish(old, new, keyword, add);
    }
    others(&old.map, &new.map, &[MAY_VANISH, &["minLength", "maxLength"]].concat(), add);
}

/// A keyword that only restricts: it may go, and not come or change.
fn may_vanish(old: &Flat, new: &Flat, keyword: &str, add: &mut impl FnMut(What)) {
    if let Some(wanted) = new.map.get(keyword)
        && old.map.get(keyword) != Some(wanted)
    {
        add(What::Keyword(keyword.to_owned()));
    }
}

/// Lengths: none below the new least, none above the new most.
fn bounds(old: &Flat, new: &Flat, least: &[&'static str], most: &[&'static str], add: &mut impl FnMut(What)) {
    let bound = |flat: &Flat, keyword: &str| flat.map.get(keyword).and_then(Value::as_u64);
    let text = |bound: Option<u64>| bound.map_or_else(|| "none".to_owned(), |bound| bound.to_string());
    for (keywords, is_least) in [(least, true), (most, false)] {
        for &keyword in keywords {
            let (old, new) = (bound(old, keyword), bound(new, keyword));
            let is_narrower = match (old, new, is_least) {
                (_, None, _) => false,
                (old, Some(new), true) => new > old.unwrap_or(0),
                (Some(old), Some(new), false) => new < old,
                (None, Some(_), false) => true,
            };
            if is_narrower {
                add(What::Narrowed { keyword, from: text(old), to: text(new) });
            }
        }
    }
}

/// Whatever is not `known` may not differ.
fn others(old: &Map<String, Value>, new: &Map<String, Value>, known: &[&str], add: &mut impl FnMut(What)) {
    let mut keywords: Vec<_> = old.keys().chain(new.keys()).collect();
    keywords.sort();
    keywords.dedup();
    for keyword in keywords {
        if keyword != "type" && !known.contains(&keyword.as_str()) && old.get(keyword) != new.get(keyword) {
            add(What::Keyword(keyword.clone()));
        }
    }
}

/// A value of a schema, which is no value of an event.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn described(alternatives: &[Flat]) -> String {
    let mut kinds: Vec<_> = alternatives.iter().map(Flat::described).collect();
    kinds.sort();
    kinds.dedup();
    if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(" or ") }
}
