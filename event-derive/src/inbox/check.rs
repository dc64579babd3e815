//! The rules of an inbox, each a small function with its own errors.

use heck::ToSnakeCase as _;
use syn::ext::IdentExt as _;
use syn::{Path, ReturnType, Safety, Signature, Type};

use super::ast::{CFG, CFG_ATTR, Handler, Kind, Takes};
use super::attr::{Attr, written};
use crate::errors::Errors;
use crate::names;

pub(super) fn check(handler: &Handler, attr: &Attr, errors: &mut Errors) {
    check_async(&handler.sig, errors);
    check_qualifiers(&handler.sig, errors);
    check_generics(&handler.sig, errors);
    check_arguments(handler, errors);
    check_one_event(handler, errors);
    check_batch(handler, attr, errors);
    check_return_type(&handler.sig, errors);
    check_name(handler, attr, errors);
    check_bare_actions(handler, attr, errors);
    check_duplicate_actions(handler, attr, errors);
}

/// The stored name: the one that was given, else the function's or the type's.
pub(super) fn stored_name(handler: &Handler, attr: &Attr) -> String {
    if let Some(name) = &attr.name {
        return name.value();
    }
    let ident = handler.ident().unraw().to_string();
    match &handler.kind {
        Kind::Function { .. } => ident,
        Kind::Impl { .. } => ident.to_snake_case(),
    }
}

fn check_async(sig: &Signature, errors: &mut Errors) {
    if sig.asyncness.is_none() {
        errors.push(sig.fn_token, "an inbox is asynchronous: write `async fn`");
    }
}

fn check_qualifiers(sig: &Signature, errors: &mut Errors) {
    const WHY: &str = "an inbox is called by the dispatcher, as an ordinary function; remove this";
    if let Some(constness) = &sig.constness {
        errors.push(constness, WHY);
    }
    if let Safety::Unsafe(unsafety) = &sig.safety {
        errors.push(unsafety, WHY);
    }
    if let Some(abi) = &sig.abi {
        errors.push(abi, WHY);
    }
    if let Some(variadic) = &sig.variadic {
        errors.push(variadic, WHY);
    }
}

fn check_generics(sig: &Signature, errors: &mut Errors) {
    const WHY: &str = "an inbox can't be generic: one function stands for one stored name; \
                       write types out, and elide lifetimes (`Txn<'_>`)";
    if !sig.generics.params.is_empty() {
        errors.push(&sig.generics, WHY);
    }
    if let Some(clause) = &sig.generics.where_clause {
        errors.push(clause, WHY);
    }
}

fn check_arguments(handler: &Handler, errors: &mut Errors) {
    if handler.is_method() {
        errors.push(
            &handler.sig.ident,
            "an inbox is no method: put `#[inbox]` on the `impl` block, and name its function `handle`, without `self`",
        );
    } else if let Some(receiver) = handler.sig.receiver() {
        errors.push(
            receiver,
            "an inbox has no `self`: the dispatcher has no value of it; take what it needs as `State<T>`",
        );
    } else if handler.sig.inputs.is_empty() {
        errors.at(
            handler.sig.paren_token.span.join(),
            "an inbox takes the event: `event: Event<YourEvent>`, or `event: AnyEvent` for every log",
        );
    }
    for argument in &handler.arguments {
        match &argument.ty {
            Type::ImplTrait(_) => errors.push(
                &argument.ty,
                "an inbox's arguments are extractors of a known type, such as `State<Mailer>`; write the type out",
            ),
            Type::Reference(_) => {
                errors.push(&argument.ty, "an inbox's arguments are owned, and cheap to make: remove the `&`")
            }
            _ => {}
        }
        for attr in argument.attrs.iter().filter(|attr| attr.path().is_ident(CFG) || attr.path().is_ident(CFG_ATTR)) {
            errors.push(attr, "an inbox's arguments can't be conditional; put the `#[cfg]` on the inbox");
        }
    }
}

fn check_one_event(handler: &Handler, errors: &mut Errors) {
    let events = handler.arguments.iter().filter(|argument| !matches!(argument.takes, Takes::Unknown));
    for second in events.skip(1) {
        errors.push(
            &second.ty,
            "an inbox takes one event; write an inbox for each enum, or take `AnyEvent` alone and ask it for `typed`",
        );
    }
}

/// A type whose name tells nothing may be a batch: the dispatcher checks it when it is built.
fn check_batch(handler: &Handler, attr: &Attr, errors: &mut Errors) {
    let one_by_one = handler.event().is_some_and(|event| !event.is_batch() && !matches!(event.takes, Takes::Unknown));
    if let Some(batch) = attr.settings.batch().filter(|_| one_by_one) {
        errors.push(
            batch,
            "`batch` is for an inbox that takes several events at once, `events: Vec<Event<YourEvent>>`; leave it out",
        );
    }
}

fn check_return_type(sig: &Signature, errors: &mut Errors) {
    if matches!(sig.output, ReturnType::Default) {
        errors.push(&sig.ident, "an inbox says how it ended: add `-> InboxResult`, and end with `handled()`");
    }
}

fn check_name(handler: &Handler, attr: &Attr, errors: &mut Errors) {
    let span = attr.name.as_ref().map_or_else(|| handler.ident().span(), |name| name.span());
    if let Some(problem) = names::problem("the inbox", &stored_name(handler, attr)) {
        errors.at(span, problem);
    }
}

/// A bare action is looked up in the enum of `Event<E>`; without one it could be any enum's.
fn check_bare_actions(handler: &Handler, attr: &Attr, errors: &mut Errors) {
    if handler.event().is_some_and(|event| matches!(event.takes, Takes::Event(_))) {
        return;
    }
    for path in attr.on.iter().filter(|path| is_bare(path)) {
        let action = written(path);
        errors.push(
            path,
            format!(
                "which enum's `{action}`? no argument here is an `Event<YourEvent>`, so write `on(YourEvent::{action})`"
            ),
        );
    }
}

fn check_duplicate_actions(handler: &Handler, attr: &Attr, errors: &mut Errors) {
    let of_argument = handler.event().and_then(|event| match &event.takes {
        Takes::Event(ty) => match &**ty {
            Type::Path(path) => Some(written(&path.path)),
            _ => None,
        },
        Takes::AnyEvent | Takes::Unknown => None,
    });
    // `Created` of `Event<IssueEvent>` is `IssueEvent::Created`.
    let key = |path: &Path| match &of_argument {
        Some(event) if is_bare(path) => format!("{event}::{}", written(path)),
        _ => written(path),
    };
    for (at, path) in attr.on.iter().enumerate() {
        if attr.on[..at].iter().any(|earlier| key(earlier) == key(path)) {
            errors.push(path, format!("`{}` is named already; remove it", written(path)));
        }
    }
}

pub(super) fn is_bare(path: &Path) -> bool {
    path.segments.len() == 1 && path.leading_colon.is_none()
}
