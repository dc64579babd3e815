//! Summary templates: their placeholders checked, and rewritten from the fields' names to the stored ones.
//!
//! `event_core` renders a sentence from the stored JSON, which knows nothing of the Rust names.

use std::fmt::Write as _;

use syn::LitStr;

use super::ast::{Field, Shape};
use crate::errors::Errors;
use crate::suggest;

/// The placeholders that every action has.
pub(super) const SUBJECT: &str = "subject";
pub(super) const ACTOR: &str = "actor";

/// The template with stored names; what is wrong in it is left as it was, and an error.
pub(super) fn stored(template: &LitStr, shape: &Shape, errors: &mut Errors) -> String {
    let text = template.value();
    let mut output = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from_brace) = rest.split_at(at);
        output.push_str(before);
        if from_brace.starts_with("{{") || from_brace.starts_with("}}") {
            output.push_str(&from_brace[..2]);
            rest = &from_brace[2..];
        } else if let Some((placeholder, after)) = from_brace
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'))
            .filter(|(inner, _)| !inner.contains('{'))
        {
            match resolve(placeholder.trim(), shape) {
                Ok(path) => {
                    let _ = write!(output, "{{{path}}}");
                }
                Err(problem) => errors.push(template, problem),
            }
            rest = after;
        } else {
            let brace = &from_brace[..1];
            errors.push(template, format!("a lone `{brace}` in the summary; write `{brace}{brace}` to show one"));
            rest = &from_brace[1..];
        }
    }
    output.push_str(rest);
    output
}

/// The path in the stored JSON that a placeholder means.
fn resolve(placeholder: &str, shape: &Shape) -> Result<String, String> {
    if placeholder.is_empty() {
        return Err(format!("an empty placeholder in the summary; {}", available(shape)));
    }
    let (first, inner) = match placeholder.split_once('.') {
        Some((first, inner)) => (first, Some(inner)),
        None => (placeholder, None),
    };
    if (first == SUBJECT || first == ACTOR) && inner.is_none() {
        return Ok(first.to_owned());
    }
    if placeholder.contains(|c: char| c == ':' || c.is_whitespace()) {
        return Err(format!(
            "`{{{placeholder}}}` in the summary is no placeholder: only names, without a format; {}",
            available(shape)
        ));
    }
    if placeholder.split('.').any(str::is_empty) {
        return Err(format!("`{{{placeholder}}}` in the summary has an empty part; write `{{field.inner}}`"));
    }
    let first = match shape {
        // The inner type's fields can't be seen from here.
        Shape::Newtype(_) | Shape::Tuple => first.to_owned(),
        Shape::Unit => return Err(no_such(first, shape)),
        Shape::Struct(fields) => stored_field(first, fields)?.ok_or_else(|| no_such(first, shape))?,
    };
    Ok(match inner {
        Some(inner) => format!("{first}.{inner}"),
        None => first,
    })
}

/// The stored name of a field; `None` if there is no such field.
fn stored_field(name: &str, fields: &[Field]) -> Result<Option<String>, String> {
    let Some(field) = fields.iter().find(|field| field.name == name) else {
        // A flattened field brings names that can't be seen from here.
        return Ok(fields.iter().any(|field| field.serde.flatten).then(|| name.to_owned()));
    };
    if field.serde.skip_serializing.is_some() {
        return Err(format!("`{name}` is skipped by serde, so no summary can show it"));
    }
    if field.serde.flatten {
        return Err(format!("`{name}` is flattened: name the field inside it, as `{{inner}}`"));
    }
    if field.stored.contains(['.', '{', '}']) {
        return Err(format!("`{name}` is stored as `{}`, which no placeholder can name", field.stored));
    }
    Ok(Some(field.stored.clone()))
}

fn no_such(name: &str, shape: &Shape) -> String {
    let hint = suggest::did_you_mean(name, names(shape));
    format!("the summary names `{{{name}}}`, which this action does not have; {hint}{}", available(shape))
}

fn available(shape: &Shape) -> String {
    let names: Vec<_> = names(shape).map(|name| format!("{{{name}}}")).collect();
    format!("there are {}", suggest::list(names.iter().map(String::as_str)))
}

fn names(shape: &Shape) -> impl Iterator<Item = &str> {
    let fields = match shape {
        Shape::Struct(fields) => fields.as_slice(),
        Shape::Unit | Shape::Newtype(_) | Shape::Tuple => &[],
    };
    let shown = fields.iter().filter(|field| {
        let taken = field.name == SUBJECT || field.name == ACTOR;
        !taken && field.serde.skip_serializing.is_none() && !field.serde.flatten
    });
    [SUBJECT, ACTOR].into_iter().chain(shown.map(|field| field.name.as_str()))
}
