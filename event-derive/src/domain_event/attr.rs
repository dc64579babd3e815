//! The `#[event(...)]` attributes of an enum and of its variants, read one by one.

use proc_macro2::TokenStream;
use syn::{Attribute, Ident, LitBool, LitInt, LitStr};

use super::entity::Entity;
use super::table::Table;
use super::throttle::Throttle;
use super::upcast::Upcasts;
use crate::errors::Errors;
use crate::meta::{self, Item, Once, Value};
use crate::suggest;

/// The attribute itself.
pub(super) const EVENT: &str = "event";

const SUBJECT: &str = "subject";
const ACTOR: &str = "actor";
const LOG: &str = "log";
const CRATE: &str = "crate";
const TABLE: &str = "table";
const RELATED: &str = "related";
const FOREIGN_KEYS: &str = "foreign_keys";
const DEFAULTS: &str = "defaults";
const ON_ENUM: &[&str] = &[SUBJECT, ACTOR, LOG, TABLE, RELATED, FOREIGN_KEYS, DEFAULTS, CRATE];

const NAME: &str = "name";
const ALIAS: &str = "alias";
const VERSION: &str = "version";
const UPCAST: &str = "upcast";
const SUMMARY: &str = "summary";
const THROTTLE: &str = "throttle";
const ALLOW: &str = "allow";
const TENSE: &str = "tense";
const ON_VARIANT: &[&str] = &[NAME, ALIAS, VERSION, UPCAST, SUMMARY, THROTTLE, ALLOW];

/// An enum's attributes.
pub(super) struct EnumAttr {
    pub(super) subject: Option<Entity>,
    pub(super) subject_given: bool,
    pub(super) actors: Vec<Entity>,
    pub(super) log: Option<LitStr>,
    pub(super) table: Option<Table>,
    /// `defaults`, where it stands.
    pub(super) defaults: Option<Ident>,
    pub(super) krate: TokenStream,
}

/// A variant's attributes.
pub(super) struct VariantAttr {
    pub(super) name: Option<LitStr>,
    pub(super) aliases: Vec<LitStr>,
    pub(super) version: u32,
    pub(super) upcasts: Option<Upcasts>,
    pub(super) summary: Option<LitStr>,
    pub(super) throttle: Option<Throttle>,
    pub(super) allow_tense: bool,
}

pub(super) fn of_enum(attributes: &[Attribute], errors: &mut Errors) -> EnumAttr {
    let (mut subject, mut log, mut krate) = (Once::default(), Once::default(), Once::default());
    let (mut table, mut related, mut foreign_keys) = (Once::default(), Once::default(), Once::default());
    let (mut of_table, mut defaults) = (Vec::new(), Once::default());
    let mut actors = Vec::new();
    for item in meta::items_of(attributes, EVENT, errors) {
        match item.key().as_str() {
            SUBJECT => subject.put(&item.name, Entity::read(&item, errors), errors),
            ACTOR => actors.extend(Entity::read(&item, errors)),
            LOG => log.put(&item.name, item.string(errors), errors),
            DEFAULTS => defaults.put(&item.name, word(&item, errors), errors),
            CRATE => krate.put(&item.name, item.string(errors), errors),
            TABLE => table.put(&item.name, item.string(errors), errors),
            RELATED => {
                related.put(&item.name, flag(&item, errors), errors);
                of_table.push(item.name);
            }
            FOREIGN_KEYS => {
                foreign_keys.put(&item.name, flag(&item, errors), errors);
                of_table.push(item.name);
            }
            other => errors.push(&item.name, unknown(other, "an enum", ON_ENUM, "a variant", ON_VARIANT)),
        }
    }
    if !table.given() {
        for name in of_table {
            errors.push(
                &name,
                format!("`{name}` is about a table of the enum's own: give it one with `table = \"...\"`"),
            );
        }
    }
    let table = table.get().map(|name: LitStr| Table {
        name,
        related: related.get().unwrap_or(true),
        foreign_keys: foreign_keys.get().unwrap_or(true),
    });
    if let (Some(log), Some(_)) = (log.value(), &table) {
        let log: &LitStr = log;
        errors.push(log, "a table of the enum's own is its log: keep one of `table` and `log`");
    }
    EnumAttr {
        subject_given: subject.given(),
        subject: subject.get(),
        actors,
        log: log.get(),
        table,
        defaults: defaults.get(),
        krate: meta::crate_path(krate.get(), errors),
    }
}

pub(super) fn of_variant(attributes: &[Attribute], errors: &mut Errors) -> VariantAttr {
    let (mut name, mut version, mut summary) = (Once::default(), Once::default(), Once::default());
    let (mut throttle, mut allow_tense) = (Once::default(), Once::default());
    let (mut aliases, mut upcasts) = (Vec::new(), Once::default());
    for item in meta::items_of(attributes, EVENT, errors) {
        match item.key().as_str() {
            NAME => name.put(&item.name, item.string(errors), errors),
            ALIAS => aliases.extend(item.string(errors)),
            VERSION => version.put(&item.name, version_of(&item, errors), errors),
            UPCAST => upcasts.put(&item.name, Upcasts::read(&item, errors), errors),
            SUMMARY => summary.put(&item.name, item.string(errors), errors),
            THROTTLE => throttle.put(&item.name, Throttle::read(&item, errors), errors),
            ALLOW => allow_tense.put(&item.name, allowed(&item, errors), errors),
            other => errors.push(&item.name, unknown(other, "a variant", ON_VARIANT, "the enum", ON_ENUM)),
        }
    }
    let upcasts = upcasts.get();
    if let Some(upcasts) = &upcasts {
        let refused = version.given() && version.value().is_none();
        upcasts.check(if refused { None } else { Some(version.value().copied().unwrap_or(1)) }, errors);
    }
    VariantAttr {
        name: name.get(),
        aliases,
        version: version.get().unwrap_or(1),
        upcasts,
        summary: summary.get(),
        throttle: throttle.get(),
        allow_tense: allow_tense.given(),
    }
}

/// Fields have no attributes of ours.
pub(super) fn of_field(attributes: &[Attribute], errors: &mut Errors) {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident(EVENT)) {
        errors.push(attribute, "a field has no `#[event(...)]`; serde's attributes say how it is stored");
    }
}

fn word(item: &Item, errors: &mut Errors) -> Option<Ident> {
    if matches!(item.value, Value::Word) {
        return Some(item.name.clone());
    }
    errors.push(&item.tokens, format!("write `{}` alone", item.key()));
    None
}

fn flag(item: &Item, errors: &mut Errors) -> Option<bool> {
    let literal: LitBool = item.assigned(errors, "false", "`true` or `false`")?;
    Some(literal.value)
}

fn version_of(item: &Item, errors: &mut Errors) -> Option<u32> {
    let literal: LitInt = item.assigned(errors, "2", "a whole number from 1")?;
    match literal.base10_parse() {
        Ok(version) if version >= 1 => Some(version),
        _ => {
            errors.push(&literal, "a version is a whole number from 1 to 4294967295");
            None
        }
    }
}

fn allowed(item: &Item, errors: &mut Errors) -> Option<()> {
    let list = item.list(errors, "allow(tense)")?;
    match syn::parse2::<Ident>(list) {
        Ok(word) if word == TENSE => Some(()),
        _ => {
            errors.push(&item.tokens, "only the past-tense rule can be set aside: write `allow(tense)`");
            None
        }
    }
}

/// The message for an unknown attribute, which may belong elsewhere.
fn unknown(name: &str, place: &str, known: &[&str], elsewhere: &str, known_elsewhere: &[&str]) -> String {
    if known_elsewhere.contains(&name) {
        return format!("`{name}` belongs on {elsewhere}; {place} has {}", suggest::list(known.iter().copied()));
    }
    if let Some(nearest) = suggest::nearest(name, known_elsewhere.iter().copied())
        && suggest::nearest(name, known.iter().copied()).is_none()
    {
        return format!(
            "{place} has no attribute `{name}`; did you mean `{nearest}`, which belongs on {elsewhere}? \
             {place} has {}",
            suggest::list(known.iter().copied())
        );
    }
    suggest::unknown(name, place, known)
}
