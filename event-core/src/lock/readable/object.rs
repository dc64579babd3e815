//! Objects: every field of the old has its place in the new, and every required one of the new was there.

use serde_json::Value;

use super::expand::Flat;
use super::{Comparison, Nulls, Obstacle, What, others};

const KNOWN: &[&str] = &["properties", "required", "additionalProperties", "patternProperties", "x-aliases"];

impl Comparison<'_> {
    pub(super) fn objects(&mut self, old: &Flat, new: &Flat, path: &str) -> Vec<Obstacle> {
        let mut found = Vec::new();
        others(&old.map, &new.map, KNOWN, &mut |what| found.push(Obstacle { path: path.to_owned(), what }));
        // Under its own name, and under those it had before.
        for (name, schema) in old.properties() {
            for stored in std::iter::once(name.as_str()).chain(aliases(old, name)) {
                found.extend(self.field(stored, schema, old, new, path));
            }
        }
        for required in new.required() {
            let mut names = std::iter::once(required).chain(aliases(new, required));
            let is_known = names.any(|name| old.property(name).is_some() || is_alias(old, name));
            if !is_known {
                found.push(Obstacle { path: join(path, required), what: What::NewRequired });
            }
        }
        found.extend(self.further_fields(old, new, path));
        found
    }

    /// A field of the old, stored under that name.
    fn field(&mut self, stored: &str, schema: &Value, old: &Flat, new: &Flat, path: &str) -> Vec<Obstacle> {
        let path = join(path, stored);
        let read_as = new.property(stored).map(|schema| (stored, schema)).or_else(|| {
            let (name, schema) = new.properties().find(|(name, _)| aliases(new, name).any(|alias| alias == stored))?;
            Some((name.as_str(), schema))
        });
        let Some((name, wanted)) = read_as else {
            return match new.map.get("additionalProperties") {
                None | Some(Value::Bool(false)) => vec![Obstacle { path, what: What::Removed }],
                Some(any) => self.schemas(schema, any, &path, Nulls::Count),
            };
        };
        let was_required = old.requires(stored)
            || old.properties().any(|(of, _)| old.requires(of) && aliases(old, of).any(|alias| alias == stored));
        if new.requires(name) && !was_required {
            let mut found = vec![Obstacle { path: path.clone(), what: What::NowRequired }];
            found.extend(self.schemas(schema, wanted, &path, Nulls::Ignore));
            return found;
        }
        self.schemas(schema, wanted, &path, Nulls::Count)
    }

    /// What the old allowed beside its fields, as a map does.
    fn further_fields(&mut self, old: &Flat, new: &Flat, path: &str) -> Vec<Obstacle> {
        let any = join(path, "*");
        let mut found = Vec::new();
        if let Some(values) = old.map.get("additionalProperties").filter(|values| **values != Value::Bool(false)) {
            match new.map.get("additionalProperties") {
                None | Some(Value::Bool(false)) => found.push(Obstacle { path: any.clone(), what: What::Removed }),
                Some(wanted) => found.extend(self.schemas(values, wanted, &any, Nulls::Count)),
            }
            for (name, wanted) in new.properties().filter(|(name, _)| old.property(name).is_none()) {
                found.extend(self.schemas(values, wanted, &join(path, name), Nulls::Count));
            }
        }
        let patterns = |flat: &Flat| flat.map.get("patternProperties").and_then(Value::as_object).cloned();
        match (patterns(old), patterns(new)) {
            (None, None) => {}
            (Some(old), Some(new)) if old.keys().eq(new.keys()) => {
                for (pattern, values) in &old {
                    found.extend(self.schemas(values, &new[pattern], &any, Nulls::Count));
                }
            }
            _ => found.push(Obstacle { path: path.to_owned(), what: What::Keyword("patternProperties".to_owned()) }),
        }
        found
    }
}

/// The names that a field is read from besides its own: serde's `alias`, as the derive notes it.
fn aliases<'a>(flat: &'a Flat, name: &str) -> impl Iterator<Item = &'a str> {
    let aliases = flat.map.get("x-aliases").and_then(|aliases| aliases.get(name)).and_then(Value::as_array);
    aliases.into_iter().flatten().filter_map(Value::as_str)
}

fn is_alias(flat: &Flat, name: &str) -> bool {
    flat.properties().any(|(of, _)| aliases(flat, of).any(|alias| alias == name))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
