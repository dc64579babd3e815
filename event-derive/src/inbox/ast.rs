//! What the macro knows of the item under it: a function, or an impl block with a `handle`.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use syn::{
    Attribute, FnArg, GenericArgument, Ident, ImplItem, Item, ItemFn, ItemImpl, Meta, PathArguments, PathSegment,
    Signature, Type, Visibility,
};

use crate::errors::Errors;
use crate::meta;

/// The function that an impl block's inbox calls.
pub(super) const HANDLE: &str = "handle";
pub(super) const CFG: &str = "cfg";
pub(super) const CFG_ATTR: &str = "cfg_attr";
const EVENT: &str = "Event";
const ANY_EVENT: &str = "AnyEvent";
const VEC: &str = "Vec";

/// What handles the events.
pub(super) struct Handler {
    pub(super) kind: Kind,
    /// The function's signature, or that of `handle`.
    pub(super) sig: Signature,
    /// The `#[cfg]`s that decide whether the item exists: what is generated exists with it.
    pub(super) cfgs: Vec<Attribute>,
    pub(super) arguments: Vec<Argument>,
    /// Which argument is the event.
    event: usize,
}

pub(super) enum Kind {
    Function { vis: Visibility, ident: Ident },
    Impl { ty: TokenStream, ident: Ident },
}

/// An argument of the handler; only its type matters.
pub(super) struct Argument {
    pub(super) ty: Type,
    pub(super) takes: Takes,
    /// The type of one event, where the argument is a batch of them.
    element: Option<Type>,
    pub(super) attrs: Vec<Attribute>,
}

/// Which event an argument takes, as far as its type's name tells.
pub(super) enum Takes {
    Event(Box<Type>),
    AnyEvent,
    Unknown,
}

impl Argument {
    /// Whether it is visibly a batch: an alias is not.
    pub(super) fn is_batch(&self) -> bool {
        self.element.is_some()
    }

    /// What filters are asked about.
    pub(super) fn one_event(&self) -> &Type {
        self.element.as_ref().unwrap_or(&self.ty)
    }
}

impl Handler {
    pub(super) fn ident(&self) -> &Ident {
        match &self.kind {
            Kind::Function { ident, .. } | Kind::Impl { ident, .. } => ident,
        }
    }

    /// The type that stands for the inbox.
    pub(super) fn marker(&self) -> TokenStream {
        match &self.kind {
            Kind::Function { ident, .. } => ident.to_token_stream(),
            Kind::Impl { ty, .. } => ty.clone(),
        }
    }

    /// The function to call.
    pub(super) fn function(&self) -> TokenStream {
        match &self.kind {
            Kind::Function { ident, .. } => ident.to_token_stream(),
            Kind::Impl { ty, .. } => {
                let handle = &self.sig.ident;
                quote!(<#ty>::#handle)
            }
        }
    }

    /// Whether this is a function inside an `impl` block, where the macro can't stand.
    pub(super) fn is_method(&self) -> bool {
        matches!(self.kind, Kind::Function { .. }) && self.sig.receiver().is_some()
    }

    /// The argument that `on` and `when` are about.
    pub(super) fn event(&self) -> Option<&Argument> {
        self.arguments.get(self.event)
    }

    /// The tokens as they read outside the impl block.
    pub(super) fn outside(&self, tokens: TokenStream) -> TokenStream {
        match &self.kind {
            Kind::Function { .. } => tokens,
            Kind::Impl { ty, .. } => meta::without_self(tokens, ty),
        }
    }
}

/// Reads the item; `None` where it is nothing that could be an inbox.
pub(super) fn read(item: TokenStream, errors: &mut Errors) -> Option<Handler> {
    // What syn can't read, rustc refuses in better words.
    match syn::parse2::<Item>(item.clone()).ok()? {
        Item::Fn(ItemFn { attrs, vis, sig, .. }) => {
            let kind = Kind::Function { vis, ident: sig.ident.clone() };
            Some(handler(kind, attrs, sig))
        }
        Item::Impl(block) => read_impl(block, errors),
        _ => {
            errors.push(item, "`#[inbox]` stands on an `async fn`, or on an `impl` block with an `async fn handle`");
            None
        }
    }
}

fn read_impl(block: ItemImpl, errors: &mut Errors) -> Option<Handler> {
    if let Some((path, _)) = &block.trait_ {
        errors.push(path, "`#[inbox]` stands on an `impl` block of a type's own, not on that of a trait");
        return None;
    }
    if let Some(unsafety) = &block.unsafety {
        errors.push(unsafety, "an inbox is called by the dispatcher, which can promise nothing; remove `unsafe`");
    }
    if !block.generics.params.is_empty() || block.generics.where_clause.is_some() {
        errors.push(&block.self_ty, "an inbox can't be generic: one function stands for one stored name");
        return None;
    }
    let ident = match &*block.self_ty {
        Type::Path(path)
            if path.qself.is_none() && path.path.segments.iter().all(|segment| segment.arguments.is_none()) =>
        {
            path.path.segments.last().map(|last| last.ident.clone())
        }
        _ => None,
    };
    let Some(ident) = ident else {
        errors.push(&block.self_ty, "`#[inbox]` stands on the `impl` block of a plain type, without generic arguments");
        return None;
    };
    let handle = block.items.into_iter().find_map(|item| match item {
        ImplItem::Fn(function) if function.sig.ident == HANDLE => Some(function),
        _ => None,
    });
    let Some(handle) = handle else {
        errors.push(
            &block.self_ty,
            "this `impl` block has no `handle`: add `async fn handle(event: Event<...>) -> InboxResult`",
        );
        return None;
    };
    Some(handler(Kind::Impl { ty: block.self_ty.to_token_stream(), ident }, block.attrs, handle.sig))
}

fn handler(kind: Kind, attrs: Vec<Attribute>, sig: Signature) -> Handler {
    let cfgs = attrs.iter().filter_map(cfg).collect();
    let arguments: Vec<_> = sig.inputs.iter().filter_map(argument).collect();
    let event = arguments.iter().position(|argument| !matches!(argument.takes, Takes::Unknown)).unwrap_or(0);
    Handler { kind, sig, cfgs, arguments, event }
}

/// The attribute as far as it decides whether the item exists. Of a `cfg_attr` only the `cfg`s are kept: what else it holds
/// (another macro, say) is meant for the item alone.
fn cfg(attribute: &Attribute) -> Option<Attribute> {
    if attribute.path().is_ident(CFG) {
        return Some(attribute.clone());
    }
    let Meta::List(list) = &attribute.meta else { return None };
    if !attribute.path().is_ident(CFG_ATTR) {
        return None;
    }
    let mut pieces = meta::split(list.tokens.clone()).into_iter();
    let condition = pieces.next()?;
    let is_cfg = |piece: &TokenStream| piece.clone().into_iter().next().is_some_and(|first| first.to_string() == CFG);
    let cfgs: Vec<_> = pieces.filter(is_cfg).collect();
    if cfgs.is_empty() {
        return None;
    }
    let mut list = list.clone();
    list.tokens = quote!(#condition, #(#cfgs),*);
    Some(Attribute { meta: Meta::List(list), ..attribute.clone() })
}

fn argument(argument: &FnArg) -> Option<Argument> {
    let FnArg::Typed(typed) = argument else { return None };
    let element = generic(&typed.ty, VEC).filter(|element| !matches!(takes(element), Takes::Unknown)).cloned();
    let takes = takes(element.as_ref().unwrap_or(&typed.ty));
    Some(Argument { ty: (*typed.ty).clone(), takes, element, attrs: typed.attrs.clone() })
}

fn takes(ty: &Type) -> Takes {
    if last_segment(ty).is_some_and(|last| last.ident == ANY_EVENT) {
        return Takes::AnyEvent;
    }
    generic(ty, EVENT).map_or(Takes::Unknown, |event| Takes::Event(Box::new(event.clone())))
}

/// `T` of `name<T>`.
fn generic<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    let last = last_segment(ty).filter(|last| last.ident == name)?;
    match &last.arguments {
        PathArguments::AngleBracketed(arguments) if arguments.args.len() == 1 => match arguments.args.first() {
            Some(GenericArgument::Type(ty)) => Some(ty),
            _ => None,
        },
        _ => None,
    }
}

fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Group(group) => last_segment(&group.elem),
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}
