//! `subject(...)` and `actor(...)`: a type, its stored name and the column that names it in sentences.

use heck::ToSnakeCase as _;
use proc_macro2::{Span, TokenStream};
use quote::ToTokens as _;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Ident, Path, Type};

use crate::errors::Errors;
use crate::meta::{self, Item, Once};
use crate::{names, suggest};

/// The type that SeaORM gives every entity; its module's name says more.
const ENTITY: &str = "Entity";
/// The enum of columns beside it.
const COLUMN: &str = "Column";

const NAME: &str = "name";
const LABEL: &str = "label";
const EXCEPT: &str = "except";
const OF_SUBJECT: &[&str] = &[NAME, LABEL, EXCEPT];
const OF_ACTOR: &[&str] = &[NAME, LABEL];

/// What was written in `subject(...)` or `actor(...)`.
pub(super) struct Entity {
    pub(super) path: Path,
    pub(super) name: String,
    pub(super) name_span: Span,
    pub(super) label: Option<Ident>,
    /// The columns that never come into an event.
    pub(super) except: Vec<Ident>,
}

impl Entity {
    /// Reads the list; `None` where no type could be read.
    pub(super) fn read(item: &Item, errors: &mut Errors) -> Option<Self> {
        let kind = item.key();
        let example = format!("{kind}(module::Entity, name = \"...\", label = column)");
        let mut pieces = meta::split(item.list(errors, &example)?).into_iter();
        let Some(ty) = pieces.next() else {
            errors.push(&item.tokens, format!("`{kind}` wants a type first: `{example}`"));
            return None;
        };
        let path = match syn::parse2(ty.clone()).map(ungrouped) {
            Ok(Type::Path(path)) if path.qself.is_none() => path.path,
            _ => {
                errors.push(ty, format!("`{kind}` wants the path of a type first: `{example}`"));
                return None;
            }
        };
        let (mut name, mut label, mut except) = (Once::default(), Once::default(), Once::default());
        let place = format!("`{kind}`");
        let known = if kind == "subject" { OF_SUBJECT } else { OF_ACTOR };
        for piece in pieces {
            let Some(item) = errors.absorb(syn::parse2::<Item>(piece)) else { continue };
            match item.key().as_str() {
                NAME => name.put(&item.name, item.string(errors), errors),
                LABEL => {
                    let column: Option<Ident> = item.assigned(errors, "column", "a column's name, without quotes");
                    label.put(&item.name, column, errors);
                }
                EXCEPT if known.contains(&EXCEPT) => except.put(&item.name, columns(&item, errors), errors),
                other => errors.push(&item.name, suggest::unknown(other, &place, known)),
            }
        }
        let name_given = name.given();
        let (name, name_span) = match name.get() {
            Some(literal) => (literal.value(), literal.span()),
            None if name_given => (kind, path.span()),
            None => match default_name(&path) {
                Some(name) => (name, path.span()),
                None => {
                    errors.push(
                        &path,
                        format!("`{ENTITY}` alone gives no name to store; write `{kind}({ENTITY}, name = \"...\")`"),
                    );
                    (kind, path.span())
                }
            },
        };
        if let Some(problem) = names::problem("the name", &name) {
            errors.at(name_span, problem);
        }
        let label = label.get();
        if let Some(label) = &label {
            let text = label.unraw().to_string();
            if text != text.to_snake_case() {
                errors.push(
                    label,
                    format!("a label is a column: write it as the field, `label = {}`", text.to_snake_case()),
                );
            }
        }
        let except: Vec<Ident> = except.get().unwrap_or_default();
        if let Some(label) = label.as_ref().filter(|label| except.contains(label)) {
            errors.push(
                label,
                format!("`{label}` is left out by `except(...)`, and a label is shown wherever the event is"),
            );
        }
        Some(Self { path, name, name_span, label, except })
    }

    /// The columns left out, as their fields are written.
    pub(super) fn except_texts(&self) -> impl Iterator<Item = String> {
        self.except.iter().map(|column| column.unraw().to_string())
    }

    /// The columns left out, as variants of the entity's enum of columns, each at its own place in the source.
    pub(super) fn except_variants(&self) -> impl Iterator<Item = Ident> {
        self.except.iter().filter_map(names::column_variant)
    }

    /// The label's column, as the entity's: naming it checks that it exists.
    pub(super) fn label_column(&self) -> Option<TokenStream> {
        self.column(self.label.as_ref()?)
    }

    /// The label as it is stored.
    pub(super) fn label_text(&self) -> Option<String> {
        self.label.as_ref().map(|label| label.unraw().to_string())
    }

    /// A column (`issue::Column::Title`), where the type is a SeaORM entity.
    fn column(&self, label: &Ident) -> Option<TokenStream> {
        let mut path = self.path.clone();
        let last = path.segments.last_mut()?;
        if last.ident != ENTITY {
            return None;
        }
        last.ident = Ident::new(COLUMN, label.span());
        path.segments.push(names::column_variant(label)?.into());
        Some(path.into_token_stream())
    }

    pub(super) fn is_same_type(&self, other: &Self) -> bool {
        self.path.to_token_stream().to_string() == other.path.to_token_stream().to_string()
    }
}

/// `except(password, body)`
fn columns(item: &Item, errors: &mut Errors) -> Option<Vec<Ident>> {
    let pieces = meta::split(item.list(errors, "except(password, body)")?);
    if pieces.is_empty() {
        errors.push(&item.tokens, "`except` wants at least one column: `except(password, body)`");
    }
    let mut columns = Vec::new();
    for piece in pieces {
        match syn::parse2::<Ident>(piece.clone()) {
            Ok(column) if column.unraw() == column.unraw().to_string().to_snake_case() => columns.push(column),
            _ => errors.push(
                piece,
                "`except` wants the names of columns, as the fields are written: `except(password, body)`",
            ),
        }
    }
    Some(columns)
}

/// A type that a `macro_rules!` passed on stands in an invisible group.
fn ungrouped(ty: Type) -> Type {
    match ty {
        Type::Group(group) => ungrouped(*group.elem),
        other => other,
    }
}

/// `issue::Entity` → `issue`, `Issue` → `issue`; nothing for a bare `Entity`.
fn default_name(path: &Path) -> Option<String> {
    let mut segments = path.segments.iter().rev().map(|segment| segment.ident.unraw().to_string());
    let last = segments.next()?;
    if last != ENTITY {
        return Some(last.to_snake_case());
    }
    segments
        .next()
        .filter(|module| !matches!(module.as_str(), "crate" | "self" | "super"))
        .map(|module| module.to_snake_case())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_comes_from_the_module_or_the_type() {
        for (path, name) in [
            ("issue::Entity", Some("issue")),
            ("a::pull_request::Entity", Some("pull_request")),
            ("Issue", Some("issue")),
            ("a::PullRequest", Some("pull_request")),
            ("Entity", None),
            ("super::Entity", None),
        ] {
            let path = syn::parse_str::<Path>(path).ok();
            assert_eq!(path.and_then(|path| default_name(&path)).as_deref(), name);
        }
    }
}
