//! The function that makes an action's JSON Schema, as an expression.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{GenericArgument, PathArguments, Type};

use super::ast::{Field, Shape, Variant};
use super::serde_attr::FieldSerde;
use crate::location::local;

const GENERATOR: &str = "__generator";

/// `|generator| ...`, of which the expansion makes a `fn(&mut SchemaGenerator) -> Schema`.
///
/// ```text
/// |generator| {
///     use v1::{OpenSchema as _, TypedSchema as _};
///     v1::ObjectSchema::new()
///         .field("from", true, (&v1::Probe::<Status>::new()).schema(generator))
///         .field("reason", false, v1::optional((&v1::Probe::<String>::new()).schema(generator)))
///         .finish()
/// }
/// ```
pub(super) fn function(variant: &Variant, v1: &TokenStream) -> TokenStream {
    match &variant.shape {
        Shape::Unit | Shape::Tuple => quote!(|_| #v1::ObjectSchema::new().finish()),
        Shape::Newtype(inner) if inner.serde.skip_deserializing => quote!(|_| #v1::ObjectSchema::new().finish()),
        Shape::Newtype(inner) => probing(&of_value(&inner.ty, &inner.serde, v1), v1),
        Shape::Struct(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .filter(|field| !field.serde.skip_deserializing)
                .map(|field| of_field(field, v1))
                .collect();
            if fields.is_empty() {
                return quote!(|_| #v1::ObjectSchema::new().finish());
            }
            probing(&quote!(#v1::ObjectSchema::new() #(#fields)* .finish()), v1)
        }
    }
}

fn probing(schema: &TokenStream, v1: &TokenStream) -> TokenStream {
    let generator = local(GENERATOR);
    quote! {
        |#generator| {
            #[allow(unused_imports)]
            use #v1::{OpenSchema as _, TypedSchema as _};
            let _ = &#generator;
            #schema
        }
    }
}

fn of_field(field: &Field, v1: &TokenStream) -> TokenStream {
    let schema = of_value(&field.ty, &field.serde, v1);
    if field.serde.flatten {
        return quote!(.flatten(#schema));
    }
    let name = &field.read;
    // serde reads a missing `Option` as `None`, unless a function of the user's own reads it.
    let optional = field.serde.default || (argument_of("Option", &field.ty).is_some() && !field.serde.custom_read);
    let required = !optional;
    let aliases = &field.serde.aliases;
    let aliases = (!aliases.is_empty()).then(|| quote!(.aliases(#name, &[#(#aliases),*])));
    quote!(.field(#name, #required, #schema) #aliases)
}

/// The schema of a value, open where a function of the user's own reads it.
fn of_value(ty: &Type, serde: &FieldSerde, v1: &TokenStream) -> TokenStream {
    if serde.custom_read { quote!(#v1::schemars::Schema::default()) } else { of_type(ty, v1) }
}

/// The schema of a type: `Option` and `Vec` are peeled first, since an `Option` of a type without a schema has none either.
fn of_type(ty: &Type, v1: &TokenStream) -> TokenStream {
    if let Some(inner) = argument_of("Option", ty) {
        let inner = of_type(inner, v1);
        return quote!(#v1::optional(#inner));
    }
    if let Some(inner) = argument_of("Vec", ty) {
        let inner = of_type(inner, v1);
        return quote!(#v1::list(#inner));
    }
    let generator = local(GENERATOR);
    quote_spanned!(ty.span()=> (&#v1::Probe::<#ty>::new()).schema(#generator))
}

/// The `T` of `Option<T>`, however it is written (`std::option::Option<T>`).
pub(super) fn argument_of<'a>(outer: &str, ty: &'a Type) -> Option<&'a Type> {
    let Type::Path(path) = ungrouped(ty) else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == outer)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match (arguments.args.first(), arguments.args.len()) {
        (Some(GenericArgument::Type(inner)), 1) => Some(inner),
        _ => None,
    }
}

/// A type that a `macro_rules!` passed on stands in an invisible group.
fn ungrouped(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => ungrouped(&group.elem),
        Type::Paren(paren) => ungrouped(&paren.elem),
        other => other,
    }
}
