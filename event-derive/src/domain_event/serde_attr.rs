//! The serde attributes that decide how an event is stored, and those that would contradict how it is read.

use syn::{Attribute, Ident, LitStr};

use super::rename::Rule;
use crate::errors::Errors;
use crate::meta::{self, Item, Value};

const SERDE: &str = "serde";

const TAGGING: &str = "the action is stored in a column of its own and metadata without it, so the enum keeps serde's \
                       usual (external) tagging; remove it";
const CONVERTING: &str = "metadata is read by the enum's own variants, which a conversion would hide; remove it, and \
                          convert in a field's type instead";

const REFUSED_ON_ENUM: &[(&str, &str)] = &[
    ("tag", TAGGING),
    ("content", TAGGING),
    ("untagged", TAGGING),
    ("from", CONVERTING),
    ("try_from", CONVERTING),
    ("into", CONVERTING),
    ("remote", CONVERTING),
    ("transparent", CONVERTING),
    ("variant_identifier", CONVERTING),
    ("field_identifier", CONVERTING),
];

const SKIPPING: &str = "every variant is an action that is recorded and read back; remove it, or remove the variant";
const CUSTOM: &str = "it would hide the variant's fields, which the metadata's schema is made of; put it on a field, \
                      or write a newtype variant";

const REFUSED_ON_VARIANT: &[(&str, &str)] = &[
    ("skip", SKIPPING),
    ("skip_serializing", SKIPPING),
    ("skip_deserializing", SKIPPING),
    ("other", "an action that the enum does not know is an error when it is read; remove it"),
    ("untagged", TAGGING),
    ("with", CUSTOM),
    ("serialize_with", CUSTOM),
    ("deserialize_with", CUSTOM),
];

/// A rule for names, for each direction.
#[derive(Clone, Copy, Default)]
pub(super) struct Renaming {
    serialize: Option<Rule>,
    deserialize: Option<Rule>,
}

impl Renaming {
    /// This rule, or the other one where this is none.
    pub(super) fn or(self, other: Self) -> Self {
        Self { serialize: self.serialize.or(other.serialize), deserialize: self.deserialize.or(other.deserialize) }
    }

    fn read(item: &Item) -> Self {
        let [serialize, deserialize] = both(item);
        Self {
            serialize: serialize.and_then(|name| Rule::of(&name)),
            deserialize: deserialize.and_then(|name| Rule::of(&name)),
        }
    }
}

/// How a field is stored.
#[derive(Default)]
pub(super) struct FieldSerde {
    rename: [Option<String>; 2],
    pub(super) aliases: Vec<String>,
    pub(super) default: bool,
    pub(super) flatten: bool,
    /// Read by a function of the user's own: its type says nothing of what is stored.
    pub(super) custom_read: bool,
    pub(super) skip_serializing: Option<Ident>,
    pub(super) skip_serializing_if: Option<Ident>,
    pub(super) skip_deserializing: bool,
}

impl FieldSerde {
    /// The stored name, and the name that is read.
    pub(super) fn names(&self, field: &str, renaming: Renaming) -> [String; 2] {
        let [serialize, deserialize] = &self.rename;
        let name = |renamed: &Option<String>, rule: Option<Rule>| match (renamed, rule) {
            (Some(name), _) => name.clone(),
            (None, Some(rule)) => rule.apply(field),
            (None, None) => field.to_owned(),
        };
        [name(serialize, renaming.serialize), name(deserialize, renaming.deserialize)]
    }
}

pub(super) fn of_enum(attributes: &[Attribute], errors: &mut Errors) -> Renaming {
    let mut renaming = Renaming::default();
    for item in items(attributes) {
        match item.key().as_str() {
            "rename_all_fields" => renaming = Renaming::read(&item),
            other => refuse(other, &item, REFUSED_ON_ENUM, errors),
        }
    }
    renaming
}

pub(super) fn of_variant(attributes: &[Attribute], errors: &mut Errors) -> Renaming {
    let mut renaming = Renaming::default();
    for item in items(attributes) {
        match item.key().as_str() {
            "rename_all" => renaming = Renaming::read(&item),
            other => refuse(other, &item, REFUSED_ON_VARIANT, errors),
        }
    }
    renaming
}

pub(super) fn of_field(attributes: &[Attribute]) -> FieldSerde {
    let mut field = FieldSerde::default();
    for item in items(attributes) {
        match item.key().as_str() {
            "rename" => field.rename = both(&item),
            "alias" => field.aliases.extend(text(&item)),
            "default" => field.default = true,
            "flatten" => field.flatten = true,
            "with" | "deserialize_with" => field.custom_read = true,
            "skip" => {
                field.skip_serializing = Some(item.name);
                field.skip_deserializing = true;
            }
            "skip_serializing" => field.skip_serializing = Some(item.name),
            "skip_serializing_if" => field.skip_serializing_if = Some(item.name),
            "skip_deserializing" => field.skip_deserializing = true,
            _ => {}
        }
    }
    field
}

/// serde's items; those it can't read itself are serde's to refuse.
fn items(attributes: &[Attribute]) -> Vec<Item> {
    meta::items_of(attributes, SERDE, &mut Errors::default())
}

fn refuse(name: &str, item: &Item, refused: &[(&str, &str)], errors: &mut Errors) {
    if let Some((_, why)) = refused.iter().find(|(known, _)| *known == name) {
        errors.push(&item.name, format!("`#[serde({name})]` can't be on an event: {why}"));
    }
}

/// `rename = "x"` means both directions, `rename(serialize = "x", deserialize = "y")` each its own.
fn both(item: &Item) -> [Option<String>; 2] {
    let Value::List(list) = &item.value else {
        let name = text(item);
        return [name.clone(), name];
    };
    let mut names = [None, None];
    for item in meta::items(list.clone(), &mut Errors::default()) {
        match item.key().as_str() {
            "serialize" => names[0] = text(&item),
            "deserialize" => names[1] = text(&item),
            _ => {}
        }
    }
    names
}

fn text(item: &Item) -> Option<String> {
    let Value::Assigned(tokens) = &item.value else { return None };
    syn::parse2::<LitStr>(tokens.clone()).ok().map(|literal| literal.value())
}
