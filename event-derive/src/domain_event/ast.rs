//! What the derive knows of an enum, read from its tokens and attributes. Holds something sensible also where there was an
//! error, so that it can always be expanded.

use heck::ToSnakeCase as _;
use proc_macro2::{Span, TokenStream};
use quote::format_ident;
use syn::ext::IdentExt as _;
use syn::{Attribute, Data, DeriveInput, Fields, Ident, LitStr, Type, Visibility};

use super::attr::{self, EnumAttr, VariantAttr};
use super::entity::Entity;
use super::serde_attr::{self, FieldSerde, Renaming};
use super::summary;
use super::table::Table;
use super::throttle::Throttle;
use super::upcast::Upcasts;
use crate::errors::Errors;

/// An enum of events.
pub(super) struct Event {
    pub(super) vis: Visibility,
    pub(super) ident: Ident,
    /// The fieldless enum of its actions.
    pub(super) companion: Ident,
    pub(super) generic: bool,
    /// The enum's `#[non_exhaustive]`, which its companion has too: a variant more is one action more.
    pub(super) non_exhaustive: Option<Attribute>,
    pub(super) subject: Option<Entity>,
    pub(super) subject_given: bool,
    pub(super) actors: Vec<Entity>,
    pub(super) log: Option<LitStr>,
    pub(super) table: Option<Table>,
    pub(super) defaults: Option<Ident>,
    pub(super) krate: TokenStream,
    pub(super) variants: Vec<Variant>,
}

/// A variant: an action.
pub(super) struct Variant {
    pub(super) ident: Ident,
    /// The stored name.
    pub(super) action: String,
    /// Where the stored name comes from: the variant, or its `name = "..."`.
    pub(super) action_span: Span,
    pub(super) renamed: bool,
    /// The names it was stored under in the past.
    pub(super) aliases: Vec<LitStr>,
    pub(super) version: u32,
    pub(super) upcasts: Option<Upcasts>,
    /// The template, with the stored names of its fields.
    pub(super) summary: Option<String>,
    pub(super) throttle: Option<Throttle>,
    pub(super) allow_tense: bool,
    pub(super) shape: Shape,
}

/// What a variant holds.
pub(super) enum Shape {
    Unit,
    Newtype(Box<Inner>),
    Struct(Vec<Field>),
    /// A tuple of another length than one; refused.
    Tuple,
}

/// What a newtype variant holds.
pub(super) struct Inner {
    pub(super) ty: Type,
    pub(super) serde: FieldSerde,
}

/// A named field.
pub(super) struct Field {
    pub(super) ident: Ident,
    /// The name as the user writes it, without `r#`.
    pub(super) name: String,
    /// The name that is stored.
    pub(super) stored: String,
    /// The name that is read; the same, or the checks complain.
    pub(super) read: String,
    pub(super) ty: Type,
    pub(super) serde: FieldSerde,
}

pub(super) fn read(input: &DeriveInput, errors: &mut Errors) -> Event {
    let EnumAttr { subject, subject_given, actors, log, table, defaults, krate } = attr::of_enum(&input.attrs, errors);
    let renaming = serde_attr::of_enum(&input.attrs, errors);
    let variants = match &input.data {
        Data::Enum(data) => data.variants.iter().map(|variant| read_variant(variant, renaming, errors)).collect(),
        Data::Struct(_) | Data::Union(_) => Vec::new(),
    };
    Event {
        vis: input.vis.clone(),
        ident: input.ident.clone(),
        companion: format_ident!("{}Action", input.ident.unraw(), span = input.ident.span()),
        non_exhaustive: input.attrs.iter().find(|attr| attr.path().is_ident("non_exhaustive")).cloned(),
        generic: !input.generics.params.is_empty() || input.generics.where_clause.is_some(),
        subject,
        subject_given,
        actors,
        log,
        table,
        defaults,
        krate,
        variants,
    }
}

fn read_variant(variant: &syn::Variant, of_enum: Renaming, errors: &mut Errors) -> Variant {
    let VariantAttr { name, aliases, version, upcasts, summary, throttle, allow_tense } =
        attr::of_variant(&variant.attrs, errors);
    let renaming = serde_attr::of_variant(&variant.attrs, errors).or(of_enum);
    let shape = read_shape(&variant.fields, renaming, errors);
    let summary = summary.map(|template| summary::stored(&template, &shape, errors));
    let (action, action_span) = match &name {
        Some(literal) => (literal.value(), literal.span()),
        None => (variant.ident.unraw().to_string().to_snake_case(), variant.ident.span()),
    };
    Variant {
        ident: variant.ident.clone(),
        action,
        action_span,
        renamed: name.is_some(),
        aliases,
        version,
        upcasts,
        summary,
        throttle,
        allow_tense,
        shape,
    }
}

fn read_shape(fields: &Fields, renaming: Renaming, errors: &mut Errors) -> Shape {
    for field in fields {
        attr::of_field(&field.attrs, errors);
    }
    match fields {
        Fields::Unit => Shape::Unit,
        Fields::Named(fields) => {
            Shape::Struct(fields.named.iter().filter_map(|field| read_field(field, renaming)).collect())
        }
        Fields::Unnamed(fields) => match fields.unnamed.first() {
            Some(field) if fields.unnamed.len() == 1 => {
                Shape::Newtype(Box::new(Inner { ty: field.ty.clone(), serde: serde_attr::of_field(&field.attrs) }))
            }
            _ => Shape::Tuple,
        },
    }
}

fn read_field(field: &syn::Field, renaming: Renaming) -> Option<Field> {
    let ident = field.ident.clone()?;
    let name = ident.unraw().to_string();
    let serde = serde_attr::of_field(&field.attrs);
    let [stored, read] = serde.names(&name, renaming);
    Some(Field { ident, name, stored, read, ty: field.ty.clone(), serde })
}
