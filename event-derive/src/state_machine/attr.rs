//! The attributes: `#[state_machine(...)]` and `#[transition(...)]` on the enum, `#[state(...)]` on its variants.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens as _;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, Expr, Ident, Meta, Path};

use crate::errors::Errors;
use crate::meta::{self, Item, Once, Value};
use crate::{names, suggest};

/// On the enum: what the machine is of.
pub(super) const MACHINE: &str = "state_machine";
/// On the enum: a transition.
pub(super) const TRANSITION: &str = "transition";
/// On a variant.
pub(super) const STATE: &str = "state";

const COLUMN: &str = "column";
const EVENT: &str = "event";
const CRATE: &str = "crate";
const ON_MACHINE: &[&str] = &[COLUMN, EVENT, CRATE];

const FROM: &str = "from";
const TO: &str = "to";
const GUARD: &str = "guard";
const ON_TRANSITION: &[&str] = &[FROM, TO, GUARD, EVENT];

const INITIAL: &str = "initial";
const ALLOW: &str = "allow";
const UNREACHABLE: &str = "unreachable";
const ON_STATE: &[&str] = &[INITIAL, ALLOW];

pub(super) const MACHINE_EXAMPLE: &str =
    "#[state_machine(issue::Entity, column = status, event = IssueEvent::StatusChanged { from, to })]";
pub(super) const TRANSITION_EXAMPLE: &str = "#[transition(start, from(Open), to = InProgress)]";

/// What `#[state_machine(...)]` says.
pub(super) struct EnumAttr {
    /// The attribute, where it stands.
    pub(super) span: Option<Span>,
    pub(super) entity: Option<Path>,
    pub(super) column: Option<Ident>,
    pub(super) column_given: bool,
    pub(super) event: Option<Event>,
    pub(super) event_given: bool,
    pub(super) krate: TokenStream,
}

/// What a `#[transition(...)]` says behind the name.
pub(super) struct TransitionAttr {
    pub(super) from: Vec<Ident>,
    pub(super) from_given: bool,
    pub(super) to: Option<Ident>,
    pub(super) to_given: bool,
    pub(super) guards: Vec<Path>,
    pub(super) event: Option<Event>,
    pub(super) event_given: bool,
}

/// What `#[state(...)]` says.
pub(super) struct VariantAttr {
    pub(super) initial: Option<Ident>,
    pub(super) allow_unreachable: bool,
}

/// An event as it is written, and its type.
pub(super) struct Event {
    pub(super) expr: Expr,
    pub(super) ty: Path,
}

pub(super) fn of_enum(attributes: &[Attribute], errors: &mut Errors) -> EnumAttr {
    let (mut column, mut event, mut krate) = (Once::default(), Once::default(), Once::default());
    let (mut span, mut entity, mut is_read) = (None, None, true);
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident(MACHINE)) {
        if span.is_some() {
            errors.push(attribute.path(), format!("a machine has one `#[{MACHINE}(...)]`; put both into one"));
            continue;
        }
        span = Some(attribute.path().span());
        let Meta::List(list) = &attribute.meta else {
            errors.push(attribute.path(), format!("write `{MACHINE_EXAMPLE}`"));
            is_read = false;
            continue;
        };
        let mut pieces = meta::split(list.tokens.clone());
        match pieces.first().map(|first| syn::parse2::<Path>(first.clone())) {
            Some(Ok(path)) => {
                entity = entity_of(path, errors);
                pieces.remove(0);
            }
            _ => errors.push(attribute.path(), format!("the model's entity comes first: `{MACHINE_EXAMPLE}`")),
        }
        for item in pieces.into_iter().filter_map(|piece| errors.absorb(syn::parse2::<Item>(piece))).collect::<Vec<_>>()
        {
            match item.key().as_str() {
                COLUMN => column.put(&item.name, column_of(&item, errors), errors),
                EVENT => event.put(&item.name, event_of(&item, errors), errors),
                CRATE => krate.put(&item.name, item.string(errors), errors),
                other => errors.push(&item.name, suggest::unknown(other, "a state machine", ON_MACHINE)),
            }
        }
    }
    EnumAttr {
        span,
        entity,
        // Where nothing could be read, nothing is said to be missing.
        column_given: column.given() || !is_read,
        column: column.get(),
        event_given: event.given() || !is_read,
        event: event.get(),
        krate: meta::path_of(krate.get(), "event_sea_orm", errors),
    }
}

/// The path, if it is not that of the model: the one slip that the compiler has no short words for.
fn entity_of(mut path: Path, errors: &mut Errors) -> Option<Path> {
    let last = path.segments.last_mut().filter(|last| last.ident == "Model");
    let Some(last) = last else { return Some(path) };
    last.ident = Ident::new("Entity", last.ident.span());
    errors.push(&path, format!("name the entity, which stands beside the model: `{}`", written(&path)));
    None
}

/// Every transition whose name could be read.
pub(super) fn transitions(attributes: &[Attribute], errors: &mut Errors) -> Vec<(Ident, TransitionAttr)> {
    let mut transitions = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident(TRANSITION)) {
        let Meta::List(list) = &attribute.meta else {
            errors.push(attribute.path(), format!("write `{TRANSITION_EXAMPLE}`"));
            continue;
        };
        let mut pieces = meta::split(list.tokens.clone()).into_iter();
        let mut nameless = |place| {
            errors.push(place, format!("a transition's name comes first: `{TRANSITION_EXAMPLE}`"));
            None
        };
        let mut unnamed = None;
        let name = match pieces.next() {
            None => nameless(attribute.path().to_token_stream()),
            Some(first) => match syn::parse2::<Item>(first.clone()) {
                Ok(Item { name, value: Value::Word, .. }) => Some(name),
                Ok(_) => {
                    unnamed = Some(first.clone());
                    nameless(first)
                }
                Err(_) => nameless(first),
            },
        };
        let attr = transition(unnamed.into_iter().chain(pieces), errors);
        transitions.extend(name.map(|name| (name, attr)));
    }
    transitions
}

fn transition(pieces: impl Iterator<Item = TokenStream>, errors: &mut Errors) -> TransitionAttr {
    let (mut from, mut to) = (Once::default(), Once::default());
    let (mut guards, mut event) = (Once::default(), Once::default());
    // What was probably meant by what is unknown: that it is missing would be a second error about the same.
    let mut meant = Vec::new();
    for item in pieces.filter_map(|piece| errors.absorb(syn::parse2::<Item>(piece))).collect::<Vec<_>>() {
        match item.key().as_str() {
            FROM => from.put(&item.name, sources(&item, errors), errors),
            TO => to.put(&item.name, target(&item, errors), errors),
            GUARD => guards.put(&item.name, guards_of(&item, errors), errors),
            EVENT => event.put(&item.name, event_of(&item, errors), errors),
            other => {
                errors.push(&item.name, suggest::unknown(other, "a transition", ON_TRANSITION));
                meant.extend(suggest::nearest(other, ON_TRANSITION.iter().copied()));
            }
        }
    }
    TransitionAttr {
        from_given: from.given() || meant.contains(&FROM),
        from: from.get().unwrap_or_default(),
        to_given: to.given() || meant.contains(&TO),
        to: to.get(),
        guards: guards.get().unwrap_or_default(),
        event_given: event.given() || meant.contains(&EVENT),
        event: event.get(),
    }
}

pub(super) fn of_variant(attributes: &[Attribute], errors: &mut Errors) -> VariantAttr {
    let (mut initial, mut allow) = (Once::default(), Once::default());
    for attribute in attributes {
        for other in [MACHINE, TRANSITION].into_iter().filter(|other| attribute.path().is_ident(other)) {
            errors.push(attribute.path(), format!("`#[{other}(...)]` belongs on the enum, and names states there"));
        }
    }
    for item in meta::items_of(attributes, STATE, errors) {
        match item.key().as_str() {
            INITIAL => initial.put(&item.name, word(&item, errors), errors),
            ALLOW => allow.put(&item.name, allowed(&item, errors), errors),
            other => errors.push(&item.name, suggest::unknown(other, "a state", ON_STATE)),
        }
    }
    VariantAttr { initial: initial.get(), allow_unreachable: allow.given() }
}

fn word(item: &Item, errors: &mut Errors) -> Option<Ident> {
    if matches!(item.value, Value::Word) {
        return Some(item.name.clone());
    }
    errors.push(&item.tokens, format!("write `{}` alone", item.key()));
    None
}

fn allowed(item: &Item, errors: &mut Errors) -> Option<()> {
    let list = item.list(errors, "allow(unreachable)")?;
    match syn::parse2::<Ident>(list) {
        Ok(word) if word == UNREACHABLE => Some(()),
        _ => {
            errors.push(&item.tokens, "only reachability can be set aside: write `allow(unreachable)`");
            None
        }
    }
}

fn column_of(item: &Item, errors: &mut Errors) -> Option<Ident> {
    let column: Ident = item.assigned(errors, "status", "the name of the model's field, without quotes")?;
    if names::column_variant(&column).is_none() {
        errors.push(&column, "a column is named as the model's field: `column = status`");
        return None;
    }
    Some(column)
}

/// `from(Open, Reopened)`, `from = Open`
fn sources(item: &Item, errors: &mut Errors) -> Option<Vec<Ident>> {
    let pieces = match &item.value {
        Value::Assigned(tokens) if !tokens.is_empty() => vec![tokens.clone()],
        Value::List(tokens) if !tokens.is_empty() => meta::split(tokens.clone()),
        Value::Word | Value::Assigned(_) | Value::List(_) => {
            errors.push(&item.tokens, "`from` wants the states that it goes from: `from(Open, Reopened)`");
            return None;
        }
    };
    Some(pieces.into_iter().filter_map(|piece| state(piece, "from(Open, Reopened)", errors)).collect())
}

fn target(item: &Item, errors: &mut Errors) -> Option<Ident> {
    match &item.value {
        Value::Assigned(tokens) if !tokens.is_empty() => state(tokens.clone(), "to = InProgress", errors),
        Value::Word | Value::Assigned(_) | Value::List(_) => {
            errors.push(&item.tokens, "`to` wants the one state that it leads to: `to = InProgress`");
            None
        }
    }
}

/// A state, by its variant's name.
fn state(piece: TokenStream, example: &str, errors: &mut Errors) -> Option<Ident> {
    match syn::parse2::<Ident>(piece.clone()) {
        Ok(state) => Some(state),
        Err(_) => {
            errors.push(piece, format!("write a state as its variant's name alone: `{example}`"));
            None
        }
    }
}

fn guards_of(item: &Item, errors: &mut Errors) -> Option<Vec<Path>> {
    let pieces = match &item.value {
        Value::Assigned(tokens) if !tokens.is_empty() => vec![tokens.clone()],
        Value::List(tokens) if !tokens.is_empty() => meta::split(tokens.clone()),
        Value::Word | Value::Assigned(_) | Value::List(_) => {
            errors.push(&item.tokens, "`guard` wants a function `fn(&Model) -> bool`: `guard = may_close`");
            return None;
        }
    };
    let mut guards = Vec::new();
    for piece in pieces {
        match syn::parse2::<Path>(piece.clone()) {
            Ok(path) => guards.push(path),
            Err(_) => errors.push(
                piece,
                "a guard is the name of a function `fn(&Model) -> bool`, or `fn(&Model) -> Result<(), E>` with the reason: \
                 errors and the diagram show its name",
            ),
        }
    }
    Some(guards)
}

fn event_of(item: &Item, errors: &mut Errors) -> Option<Event> {
    const EXAMPLE: &str = "IssueEvent::StatusChanged { from, to }";
    let expr: Expr = item.assigned(errors, EXAMPLE, "the event that is recorded")?;
    let path = match ungrouped(&expr) {
        Expr::Path(path) if path.qself.is_none() => Some(&path.path),
        Expr::Struct(body) if body.qself.is_none() => Some(&body.path),
        Expr::Call(call) => match ungrouped(&call.func) {
            Expr::Path(path) if path.qself.is_none() => Some(&path.path),
            _ => None,
        },
        _ => None,
    };
    let ty = path.and_then(|path| {
        let mut ty = path.clone();
        ty.segments.pop()?;
        // Without the `::` in front of what was taken off.
        ty.segments.pop_punct();
        (!ty.segments.is_empty()).then_some(ty)
    });
    match ty {
        Some(ty) => Some(Event { expr, ty }),
        None => {
            errors.push(
                &expr,
                format!("write the event with its enum before it, which says what type it is: `event = {EXAMPLE}`"),
            );
            None
        }
    }
}

/// An expression that a `macro_rules!` passed on stands in an invisible group.
fn ungrouped(expr: &Expr) -> &Expr {
    match expr {
        Expr::Group(group) => ungrouped(&group.expr),
        Expr::Paren(paren) => ungrouped(&paren.expr),
        other => other,
    }
}

/// The path as the user wrote it.
fn written(path: &Path) -> String {
    let segments = path.segments.iter().map(|segment| segment.ident.unraw().to_string());
    segments.collect::<Vec<_>>().join("::")
}
