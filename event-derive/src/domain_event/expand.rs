//! The derive's output. Takes whatever was read, also where there were errors, and can't fail.
//!
//! Where there were errors (`whole` is false) everything is declared all the same, so that code which uses the enum brings
//! no errors of its own; only serde is left out, which may have refused the enum too.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::Ident;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;

use super::ast::{Event, Variant};
use super::entity::Entity;
use super::{schema, table};
use crate::location;

/// The companion enum beside the user's, and everything else in a `const` block that leaks no name.
pub(super) fn expand(event: &Event, whole: bool) -> TokenStream {
    if event.generic {
        // Nothing that stands for a generic enum could be right, and half of it would only add errors.
        return TokenStream::new();
    }
    let companion = companion(event);
    let impls = [action(event), domain_event(event, whole), relations(event), label_checks(event), registration(event)];
    // Beside an error it would bring errors of its own: nothing of it can be checked without the entities.
    let entity = event.table.as_ref().filter(|_| whole).map(|table| table::entity(event, table));
    quote! {
        #companion
        #entity
        const _: () = { #(#impls)* };
    }
}

/// ```text
/// pub enum IssueEventAction { Created, StatusChanged }
/// ```
fn companion(event: &Event) -> TokenStream {
    let Event { vis, ident, companion, non_exhaustive, .. } = event;
    let doc = format!(" The actions of [`{ident}`]: its variants without their fields.");
    let variants = event.variants.iter().map(|Variant { ident, action, .. }| {
        let doc = format!(" Stored as `{action}`.");
        quote!(#[doc = #doc] #ident)
    });
    let placeholder = event.variants.is_empty().then(|| {
        let placeholder = placeholder();
        quote!(#[doc(hidden)] #placeholder)
    });
    // At the enum's name: rustc shows it where an action does not exist.
    quote_spanned! {ident.span()=>
        #[doc = #doc]
        #[derive(
            ::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug, ::core::cmp::PartialEq, ::core::cmp::Eq,
            ::core::cmp::PartialOrd, ::core::cmp::Ord, ::core::hash::Hash
        )]
        #[allow(dead_code, unreachable_pub, clippy::all, clippy::pedantic)]
        #non_exhaustive
        #vis enum #companion { #(#variants,)* #placeholder }
    }
}

/// The only action of an enum without variants, which was refused: an empty companion would make code that uses it
/// unreachable, and rustc say so.
fn placeholder() -> TokenStream {
    quote!(__Nothing)
}

/// ```text
/// impl Action for IssueEventAction { ... }
/// impl Display for IssueEventAction { ... }
/// impl From<&IssueEvent> for IssueEventAction { ... }
/// ```
fn action(event: &Event) -> TokenStream {
    let Event { ident, companion, krate, .. } = event;
    let variants: Vec<_> = event.variants.iter().map(|variant| &variant.ident).collect();
    let names = event.variants.iter().map(|variant| &variant.action);
    let names = exhaustive(quote!(#(Self::#variants => #names),*), &quote!(""), event);
    let positions = 0..event.variants.len();
    let position = exhaustive(quote!(#(Self::#variants => #positions),*), &quote!(0), event);
    quote! {
        #[automatically_derived]
        impl #krate::Action for #companion {
            type Event = #ident;

            const ALL: &'static [Self] = &[#(Self::#variants),*];

            fn name(self) -> &'static str {
                match self { #names }
            }

            fn descriptor(self) -> &'static #krate::ActionDescriptor {
                let __position: usize = match self { #position };
                &<#ident as #krate::DomainEvent>::descriptor().actions()[__position]
            }
        }

        #[automatically_derived]
        impl ::core::fmt::Display for #companion {
            fn fmt(&self, __formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                __formatter.pad(#krate::Action::name(*self))
            }
        }

        #[automatically_derived]
        impl ::core::convert::From<&#ident> for #companion {
            fn from(__event: &#ident) -> Self {
                #krate::DomainEvent::action(__event)
            }
        }
    }
}

/// The arms, or one for all where an error left no variants.
fn exhaustive(arms: TokenStream, otherwise: &TokenStream, event: &Event) -> TokenStream {
    if event.variants.is_empty() { quote!(_ => #otherwise) } else { arms }
}

/// ```text
/// impl DomainEvent for IssueEvent { ... }
/// ```
fn domain_event(event: &Event, whole: bool) -> TokenStream {
    let Event { ident, companion, krate, .. } = event;
    let subject = subject_type(event);
    let actors = event.actors.iter().map(|actor| &actor.path);
    let variants = event.variants.iter().map(|variant| &variant.ident);
    let placeholder = placeholder();
    let otherwise = quote!(#companion::#placeholder);
    let actions = exhaustive(quote!(#(#ident::#variants { .. } => #companion::#variants),*), &otherwise, event);
    let descriptor = descriptor(event, whole);
    let defaults = event.defaults.as_ref().filter(|_| whole).map(|word| defaults(event, word));
    let (encode, decode) = if whole { through_serde(event) } else { without_serde(event) };
    quote! {
        #[automatically_derived]
        #[allow(deprecated)]
        impl #krate::DomainEvent for #ident {
            type Action = #companion;
            type Subject = #subject;
            type Actors = (#(#actors,)*);

            fn descriptor() -> &'static #krate::EventDescriptor {
                #descriptor
            }

            fn action(&self) -> #companion {
                match self { #actions }
            }

            fn encode(&self) -> ::core::result::Result<#krate::Metadata, #krate::EncodeError> {
                #encode
            }

            #defaults

            fn decode(
                __action: &str,
                __version: u32,
                __metadata: &#krate::StoredMetadata,
            ) -> ::core::result::Result<Self, #krate::DecodeError> {
                #decode
            }
        }
    }
}

/// `fn defaults(subject: &dyn Any)`, at the user's word: a model without [`EventDefaults`] is an error there.
fn defaults(event: &Event, word: &Ident) -> TokenStream {
    let (subject, krate) = (subject_type(event), &event.krate);
    quote_spanned! {word.span()=>
        fn defaults(
            __subject: &dyn #krate::__private::v1::Any,
        ) -> ::core::option::Option<#krate::Metadata> {
            type __Model = <#subject as ::event_sea_orm::__private::v1::sea_orm::EntityTrait>::Model;
            __subject.downcast_ref::<__Model>().map(<__Model as #krate::EventDefaults>::event_defaults)
        }
    }
}

/// The bodies of `encode` and `decode`, at the enum's name: a missing `Serialize` or `Deserialize` is an error there.
fn through_serde(event: &Event) -> (TokenStream, TokenStream) {
    let Event { ident, krate, .. } = event;
    let (encode, decode) = (quote!((self)), quote!((__action, __version, __metadata)));
    (
        quote_spanned!(ident.span()=> #krate::__private::v1::encode::<#ident> #encode),
        quote_spanned!(ident.span()=> #krate::__private::v1::decode::<#ident> #decode),
    )
}

/// Bodies that compile beside an error, and never run.
fn without_serde(event: &Event) -> (TokenStream, TokenStream) {
    let krate = &event.krate;
    (
        quote!(::core::result::Result::Ok(#krate::Metadata::new())),
        quote!({
            let _ = (__action, __version, __metadata);
            ::core::unreachable!()
        }),
    )
}

/// ```text
/// static DESCRIPTOR: EventDescriptor = EventDescriptor::from_parts(EventParts { ... });
/// &DESCRIPTOR
/// ```
fn descriptor(event: &Event, whole: bool) -> TokenStream {
    let Event { ident, krate, .. } = event;
    let v1 = quote!(#krate::__private::v1);
    let name = ident.unraw().to_string();
    let log = match event.table.as_ref().map(|table| &table.name).or(event.log.as_ref()) {
        Some(log) => quote!(#log),
        None => quote!(#krate::SHARED_LOG),
    };
    let table = match event.table.as_ref().filter(|_| whole) {
        Some(table) => table::descriptor(event, table),
        None => quote!(::core::option::Option::None),
    };
    let subject = event.subject.as_ref().map_or("", |subject| subject.name.as_str());
    let label = option(event.subject.as_ref().and_then(Entity::label_text));
    let except = except(event, whole);
    let actors = event.actors.iter().map(|actor| {
        let (name, label, path) = (&actor.name, option(actor.label_text()), &actor.path);
        quote!(#krate::ActorDescriptor::new(#name, #label, #v1::TypeId::of::<#path>))
    });
    let actions = event.variants.iter().map(|variant| {
        let Variant { action, aliases, version, upcasts, summary, throttle, .. } = variant;
        let ident = &variant.ident;
        let (variant_name, summary) = (ident.unraw().to_string(), option(summary.clone()));
        let schema = schema::function(variant, &v1);
        let throttle = match throttle {
            Some(throttle) => throttle.expand(),
            None => quote!(::core::option::Option::None),
        };
        let aliases = (!aliases.is_empty()).then(|| quote!(.with_aliases(&[#(#aliases),*])));
        // The functions may be missing or wrong, and are looked at when the rest is right.
        let upcasts = upcasts.as_ref().filter(|_| whole).map(|upcasts| upcasts.expand(&event.ident, &v1));
        let upcasts = upcasts.map(|upcasts| quote!(.with_upcasts(#upcasts)));
        quote! {
            #krate::ActionDescriptor::new(#action, #variant_name, #version, #summary, #throttle, #schema) #aliases #upcasts
        }
    });
    let location = location::of(ident.span(), &v1);
    quote! {
        static __DESCRIPTOR: #krate::EventDescriptor = #krate::EventDescriptor::from_parts(#v1::EventParts {
            name: #name,
            log: #log,
            table: #table,
            subject: #subject,
            label: #label,
            except: #except,
            actors: &[#(#actors),*],
            actions: &[#(#actions),*],
            location: #location,
            type_id: #v1::TypeId::of::<#ident>,
            subject_type: #v1::TypeId::of::<<#ident as #krate::DomainEvent>::Subject>,
            decode: #v1::decode_erased::<#ident>,
            rewrite: #v1::rewrite::<#ident>,
        });
        &__DESCRIPTOR
    }
}

/// The columns left out, by the variants that SeaORM has for them: an unknown one is an error where it stands.
fn except(event: &Event, whole: bool) -> TokenStream {
    let Some(subject) = event.subject.as_ref().filter(|subject| whole && !subject.except.is_empty()) else {
        return quote!(::core::option::Option::None);
    };
    let krate = &event.krate;
    let v1 = quote!(#krate::__private::v1);
    let sea = quote!(::event_sea_orm::__private::v1);
    let path = &subject.path;
    let column = quote_spanned!(path.span()=> <#path as #sea::sea_orm::EntityTrait>::Column);
    let (fields, variants) = (subject.except_texts(), subject.except_variants());
    let variants: Vec<_> = variants.map(|variant| quote_spanned!(variant.span()=> __Column::#variant)).collect();
    quote! {
        ::core::option::Option::Some({
            type __Column = #column;
            #v1::Except {
                fields: &[#(#fields),*],
                is: |__column| match __column.downcast_ref::<__Column>() {
                    ::core::option::Option::Some(__column) => ::core::matches!(__column, #(#variants)|*),
                    ::core::option::Option::None => true,
                },
                names: || #sea::column_names(&[#(#variants),*]),
            }
        })
    }
}

/// ```text
/// impl EventOf<issue::Entity> for IssueEvent {}
/// impl ActorOf<IssueEvent> for user::Entity { ... }
/// ```
fn relations(event: &Event) -> TokenStream {
    let Event { ident, krate, .. } = event;
    let subject = subject_type(event);
    // A type that is named twice was refused; two implementations would be a second error about it.
    let actors = event.actors.iter().enumerate();
    let actors = actors.filter(|(at, actor)| !event.actors[..*at].iter().any(|earlier| earlier.is_same_type(actor)));
    let actors = actors.map(|(_, actor)| {
        let Entity { path, name, .. } = actor;
        let label = option(actor.label_text());
        quote! {
            #[automatically_derived]
            impl #krate::ActorOf<#ident> for #path {
                const NAME: &'static str = #name;
                const LABEL: ::core::option::Option<&'static str> = #label;
            }
        }
    });
    quote! {
        #[automatically_derived]
        impl #krate::EventOf<#subject> for #ident {}
        #(#actors)*
    }
}

/// Names the column of each label, so that a typo is an error there.
fn label_checks(event: &Event) -> TokenStream {
    event
        .subject
        .iter()
        .chain(&event.actors)
        .filter_map(Entity::label_column)
        .map(|column| quote!(const _: fn() = || { let _ = #column; };))
        .collect()
}

fn registration(event: &Event) -> TokenStream {
    let Event { ident, krate, .. } = event;
    let v1 = quote!(#krate::__private::v1);
    quote! {
        #v1::inventory::submit! { #v1::EventRegistration(<#ident as #krate::DomainEvent>::descriptor) }
    }
}

/// The subject, or `()` where an error left none.
fn subject_type(event: &Event) -> TokenStream {
    match &event.subject {
        Some(Entity { path, .. }) => quote!(#path),
        None => quote!(()),
    }
}

fn option(text: Option<String>) -> TokenStream {
    match text {
        Some(text) => quote!(::core::option::Option::Some(#text)),
        None => quote!(::core::option::Option::None),
    }
}
