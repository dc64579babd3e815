//! The rules of an event enum, each a small function with its own errors.

use heck::ToUpperCamelCase as _;
use syn::ext::IdentExt as _;
use syn::{Data, DeriveInput, LitStr};

use super::ast::{Event, Field, Shape, Variant};
use super::summary;
use crate::errors::Errors;
use crate::{names, tense};

pub(super) fn check(input: &DeriveInput, event: &Event, errors: &mut Errors) {
    check_is_enum(input, errors);
    check_generics(input, errors);
    check_subject(event, errors);
    check_actors(event, errors);
    check_log(event, errors);
    check_table(event, errors);
    check_action_names(event, errors);
    check_aliases(event, errors);
    for variant in &event.variants {
        check_tense(variant, errors);
    }
    check_shapes(input, errors);
    for field in event.variants.iter().filter_map(fields).flatten() {
        check_field_name(field, errors);
        check_field_is_read_back(field, errors);
    }
}

fn fields(variant: &Variant) -> Option<&[Field]> {
    match &variant.shape {
        Shape::Struct(fields) => Some(fields),
        Shape::Unit | Shape::Newtype(_) | Shape::Tuple => None,
    }
}

fn check_is_enum(input: &DeriveInput, errors: &mut Errors) {
    const HOW: &str = "the events of a model are an enum, each variant an action: `enum IssueEvent { Created, ... }`";
    match &input.data {
        Data::Struct(data) => errors.at(data.struct_token.span, HOW),
        Data::Union(data) => errors.at(data.union_token.span, HOW),
        Data::Enum(data) if data.variants.is_empty() => {
            errors.push(&input.ident, "an event enum has at least one action: add a variant such as `Created`");
        }
        Data::Enum(_) => {}
    }
}

fn check_generics(input: &DeriveInput, errors: &mut Errors) {
    const WHY: &str = "an event enum can't be generic: what is stored is read back by one type, \
                       and the registry holds types, not families; write one enum per type";
    if !input.generics.params.is_empty() {
        errors.push(&input.generics, WHY);
    } else if let Some(clause) = &input.generics.where_clause {
        errors.push(clause, WHY);
    }
}

fn check_subject(event: &Event, errors: &mut Errors) {
    if !event.subject_given {
        errors
            .push(&event.ident, "what do these events happen to? write `#[event(subject(issue::Entity))]` on the enum");
    }
}

fn check_actors(event: &Event, errors: &mut Errors) {
    for (at, actor) in event.actors.iter().enumerate() {
        for earlier in &event.actors[..at] {
            if earlier.is_same_type(actor) {
                errors.push(&actor.path, "this type is an actor already; keep one");
            } else if earlier.name == actor.name {
                errors.at(
                    actor.name_span,
                    format!("two actors are stored as `{}`; give one another `name = \"...\"`", actor.name),
                );
            }
        }
    }
}

fn check_log(event: &Event, errors: &mut Errors) {
    if let Some(log) = &event.log
        && let Some(problem) = names::problem("the log", &log.value())
    {
        errors.push(log, problem.replace("`name = ", "`log = "));
    }
}

/// Names of indexes and triggers are the table's name and a suffix, and PostgreSQL cuts names at 63 characters.
const TABLE_NAME_MAX: usize = 55;

fn check_table(event: &Event, errors: &mut Errors) {
    let Some(table) = &event.table else { return };
    let name = table.name.value();
    if let Some(problem) = names::problem("the table", &name) {
        errors.push(&table.name, problem.replace("`name = ", "`table = "));
    } else if name.len() > TABLE_NAME_MAX {
        errors.push(
            &table.name,
            format!("the table `{name}` has {} characters and may have {TABLE_NAME_MAX}", name.len()),
        );
    }
}

fn check_action_names(event: &Event, errors: &mut Errors) {
    for (at, variant) in event.variants.iter().enumerate() {
        if let Some(problem) = names::problem("the action", &variant.action) {
            errors.at(variant.action_span, problem);
        }
        if let Some(earlier) = event.variants[..at].iter().find(|earlier| earlier.action == variant.action) {
            errors.at(
                variant.action_span,
                format!(
                    "`{}` is stored as `{}` already; give one of the two another `#[event(name = \"...\")]`",
                    earlier.ident, variant.action
                ),
            );
        }
    }
}

/// Whatever is stored under a name is read as one action.
fn check_aliases(event: &Event, errors: &mut Errors) {
    for (at, variant) in event.variants.iter().enumerate() {
        for (nth, alias) in variant.aliases.iter().enumerate() {
            let name = alias.value();
            if let Some(problem) = names::problem("the alias", &name) {
                errors.push(alias, problem.replace("`name = ", "`alias = "));
            }
            let is_alias = |alias: &LitStr| alias.value() == name;
            let mut earlier = event.variants[..at].iter();
            if name == variant.action || variant.aliases[..nth].iter().any(is_alias) {
                errors.push(alias, format!("`{name}` is a name of this action already; remove the alias"));
            } else if let Some(other) = event.variants.iter().find(|other| other.action == name) {
                errors.push(
                    alias,
                    format!(
                        "`{name}` is the name that `{}` is stored under: an alias is a name that no other action has; remove one",
                        other.ident
                    ),
                );
            } else if let Some(other) = earlier.find(|other| other.aliases.iter().any(is_alias)) {
                errors.push(alias, format!("`{name}` is an alias of `{}` already; keep one", other.ident));
            }
        }
    }
}

fn check_tense(variant: &Variant, errors: &mut Errors) {
    // An `allow(tense)` that is not needed is no error: a verb that the lists learn later must not break anyone's build.
    if variant.allow_tense || tense::is_past(&variant.action) {
        return;
    }
    let suggestion = tense::suggestion(&variant.action);
    let (written, better) = if variant.renamed {
        (variant.action.clone(), suggestion)
    } else {
        (variant.ident.unraw().to_string(), suggestion.to_upper_camel_case())
    };
    errors.at(
        variant.action_span,
        format!(
            "`{written}` does not say what happened: an action is a fact in the past tense, such as `{better}`; \
             `#[event(allow(tense))]` on the variant keeps the name as it is"
        ),
    );
}

fn check_shapes(input: &DeriveInput, errors: &mut Errors) {
    let Data::Enum(data) = &input.data else { return };
    for variant in &data.variants {
        if let syn::Fields::Unnamed(fields) = &variant.fields
            && fields.unnamed.len() != 1
        {
            errors.push(
                fields,
                format!(
                    "metadata is a JSON object, whose fields have names: write `{0} {{ field: Type, ... }}`, \
                     or `{0}` alone for none",
                    variant.ident
                ),
            );
        }
    }
}

fn check_field_name(field: &Field, errors: &mut Errors) {
    if field.name == summary::SUBJECT || field.name == summary::ACTOR {
        errors.push(
            &field.ident,
            format!(
                "a field can't be named `{0}`: `{{{0}}}` in a summary is the event's own {0}; \
                 name it after what it is, as `{0}_id`",
                field.name
            ),
        );
    }
}

/// What is stored must be readable again: serde alone would let it be written, and fail when it is read.
fn check_field_is_read_back(field: &Field, errors: &mut Errors) {
    let serde = &field.serde;
    if serde.flatten || serde.skip_deserializing {
        return;
    }
    if field.stored != field.read && !serde.aliases.contains(&field.stored) {
        errors.push(
            &field.ident,
            format!(
                "`{}` is stored as `{}` and read as `{}`, so no event could be read back; \
                 use one name for both, or add `#[serde(alias = \"{1}\")]`",
                field.name, field.stored, field.read
            ),
        );
    }
    let missing_is_fine =
        serde.default || (super::schema::argument_of("Option", &field.ty).is_some() && !serde.custom_read);
    if let Some(skip) = serde.skip_serializing.as_ref().or(serde.skip_serializing_if.as_ref())
        && !missing_is_fine
    {
        errors.push(
            skip,
            format!(
                "`{}` is left out when it is stored, so the event could not be read back; \
                 add `#[serde(default)]` to the field",
                field.name
            ),
        );
    }
}
