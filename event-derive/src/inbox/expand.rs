//! The macro's output beside the user's item.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Ident, Path};

use super::ast::{Handler, Kind, Takes};
use super::attr::Attr;
use super::check::{is_bare, stored_name};
use crate::location::{self, local};
use crate::meta;

/// The marker type, and everything else in a `const` block that leaks no name. Where there were errors (`whole` is false)
/// the inbox is described and never called: what would be generated for it could only add errors.
///
/// ```text
/// pub struct email_notifications {}
/// const _: () = {
///     impl Inbox for email_notifications {
///         fn descriptor() -> &'static InboxDescriptor { ... }
///     }
///     inventory::submit! { InboxRegistration(<email_notifications as Inbox>::descriptor) }
/// };
/// ```
pub(super) fn expand(handler: &Handler, attr: &Attr, whole: bool) -> TokenStream {
    let krate = &attr.krate;
    let v1 = quote!(#krate::__private::v1);
    let (marker, cfgs) = (handler.marker(), &handler.cfgs);
    let name = stored_name(handler, attr);
    if handler.is_method() {
        // Neither a type nor a `const` block can stand inside an `impl`: they would be errors of their own.
        return TokenStream::new();
    }
    let struct_ = marker_struct(handler, &name);
    let location = location::of(handler.ident().span(), &v1);
    let parts = if whole { Parts::of(handler, attr, &v1) } else { Parts::none(krate, &v1) };
    let Parts { settings, items, needs, on, when, call } = parts;
    quote! {
        #struct_

        #(#cfgs)*
        const _: () = {
            #[automatically_derived]
            #[allow(deprecated)]
            impl #krate::Inbox for #marker {
                fn descriptor() -> &'static #krate::InboxDescriptor {
                    #items
                    static __DESCRIPTOR: #krate::InboxDescriptor = #krate::InboxDescriptor::from_parts(#v1::InboxParts {
                        name: #name,
                        location: #location,
                        settings: #settings,
                        needs: #needs,
                        on: #on,
                        when: &[#(#when),*],
                        call: #call,
                    });
                    &__DESCRIPTOR
                }
            }

            #v1::inventory::submit! { #v1::InboxRegistration(<#marker as #krate::Inbox>::descriptor) }
        };
    }
}

/// A function has no type that a trait could be implemented on; an impl block's own type is there already.
fn marker_struct(handler: &Handler, name: &str) -> TokenStream {
    let Kind::Function { vis, ident } = &handler.kind else { return TokenStream::new() };
    let cfgs = &handler.cfgs;
    let doc = format!(" The inbox `{name}`.");
    quote! {
        #(#cfgs)*
        #[doc = #doc]
        #[allow(non_camel_case_types, dead_code, unreachable_pub)]
        #vis struct #ident {}
    }
}

/// The expressions of `InboxParts`, and the items that they name.
struct Parts {
    settings: TokenStream,
    items: TokenStream,
    needs: TokenStream,
    on: TokenStream,
    when: Vec<TokenStream>,
    call: TokenStream,
}

impl Parts {
    fn of(handler: &Handler, attr: &Attr, v1: &TokenStream) -> Self {
        let krate = &attr.krate;
        let (needs, call) = (needs(handler, krate), call(handler, krate, v1));
        let on = on(handler, attr, v1);
        Self {
            settings: attr.settings.expand(krate),
            items: quote!(#needs #on #call),
            needs: quote!(__needs),
            on: quote!(__on),
            when: attr.when.iter().map(|filter| when(filter, handler, krate)).collect(),
            call: quote!(__call),
        }
    }

    fn none(krate: &TokenStream, v1: &TokenStream) -> Self {
        Self {
            settings: quote!(#krate::Settings::DEFAULT),
            items: TokenStream::new(),
            needs: quote!(|_| {}),
            on: quote!(#v1::Vec::new),
            when: Vec::new(),
            call: quote!(|_| #v1::Box::pin(async { #krate::handled() })),
        }
    }
}

/// What the arguments need of the dispatcher.
fn needs(handler: &Handler, krate: &TokenStream) -> TokenStream {
    let given = local("__needs");
    let declares = handler.arguments.iter().map(|argument| {
        let ty = handler.outside(argument.ty.to_token_stream());
        let (first, last) = ends(&argument.ty);
        let declare = quote_spanned!(first=> <#ty as #krate::FromDelivery<'_>>::declare);
        let argument = quote_spanned!(last=> (#given));
        quote!(#declare #argument;)
    });
    quote! {
        fn __needs(#given: &mut #krate::Needs) {
            #(#declares)*
        }
    }
}

/// The call of the user's function, with every argument taken from the delivery in turn.
fn call(handler: &Handler, krate: &TokenStream, v1: &TokenStream) -> TokenStream {
    let names: Vec<_> = (0..handler.arguments.len()).map(|at| local(&format!("__argument_{at}"))).collect();
    let (delivery, result) = (local("__delivery"), local("__result"));
    let takes = handler.arguments.iter().zip(&names).map(|(argument, name)| {
        let ty = handler.outside(argument.ty.to_token_stream());
        let (first, last) = ends(&argument.ty);
        let take = quote_spanned!(first=> <#ty as #krate::FromDelivery<'_>>::from_delivery);
        let argument = quote_spanned!(last=> (#delivery).await?);
        quote!(let #name = #take #argument;)
    });
    let function = handler.function();
    // At the return type, so that another one than `InboxResult` is an error there.
    let awaited = quote_spanned!(ends(&handler.sig.output).1=> .await);
    // At the function's name, so that a future that is not `Send` is an error there.
    let name = handler.sig.ident.span();
    let v1_there = meta::respanned(v1.clone(), name);
    let boxed = quote_spanned! {name=>
        #v1_there::Box::pin(async move {
            #(#takes)*
            let #result: #krate::InboxResult = #function(#(#names),*) #awaited;
            #result
        })
    };
    quote! {
        fn __call<'a>(
            #delivery: &'a #krate::Delivery<'a>,
        ) -> #v1::Pin<#v1::Box<dyn #v1::Future<Output = #krate::InboxResult> + ::core::marker::Send + 'a>> {
            #boxed
        }
    }
}

/// A filter, given the event that it asks about.
fn when(filter: &Path, handler: &Handler, krate: &TokenStream) -> TokenStream {
    let Some(event) = handler.event() else { return TokenStream::new() };
    let (delivery, asked_event, wanted) = (local("__delivery"), local("__event"), local("__wanted"));
    let filter_tokens = handler.outside(filter.to_token_stream());
    let ty = handler.outside(event.one_event().to_token_stream());
    let (first, last) = ends(event.one_event());
    let take = quote_spanned!(first=> <#ty as #krate::EventArgument>::take);
    let argument = quote_spanned!(last=> (#delivery)?);
    let (first, last) = ends(filter);
    let event_there = location::local_at("__event", last);
    let asked = quote_spanned!(last=> (&#event_there));
    let ask = quote_spanned!(first=> let #wanted: bool = #filter_tokens #asked;);
    quote! {
        |#delivery| {
            let #asked_event = #take #argument;
            #ask
            ::core::result::Result::Ok(#wanted)
        }
    }
}

/// The spans of the first and the last of the user's tokens. An expression that begins at one and ends at the other is
/// underlined as those tokens are; joining two spans oneself is not stable.
fn ends(tokens: impl ToTokens) -> (Span, Span) {
    let mut spans = tokens.into_token_stream().into_iter().map(|token| token.span());
    let first = spans.next().unwrap_or_else(Span::call_site);
    (first, spans.last().unwrap_or(first))
}

/// The actions of `on(...)`.
///
/// ```text
/// fn __on() -> Vec<ActionRef> {
///     Vec::from([
///         { type Action = <IssueEvent as DomainEvent>::Action; ActionRef::new(Action::Assigned) },
///     ])
/// }
/// ```
fn on(handler: &Handler, attr: &Attr, v1: &TokenStream) -> TokenStream {
    let krate = &attr.krate;
    let actions = attr.on.iter().map(|path| action(path, handler, krate, v1));
    quote! {
        fn __on() -> #v1::Vec<#krate::ActionRef> {
            #v1::Vec::from([#(#actions),*])
        }
    }
}

fn action(path: &Path, handler: &Handler, krate: &TokenStream, v1: &TokenStream) -> TokenStream {
    let Some(variant) = path.segments.last().map(|last| last.ident.clone()) else { return TokenStream::new() };
    let argument = handler.event().and_then(|event| match &event.takes {
        Takes::Event(event) => Some(handler.outside(event.to_token_stream())),
        Takes::AnyEvent | Takes::Unknown => None,
    });
    let named = (!is_bare(path)).then(|| handler.outside(enum_of(path)));
    let check = match (&named, &argument) {
        // Both are there: they have to be the same, and the error is at the path.
        (Some(named), Some(argument)) => {
            quote_spanned!(path.span()=> const _: fn() = <#named as #v1::SameEvent<#argument>>::check;)
        }
        _ => TokenStream::new(),
    };
    let event = named.or(argument).unwrap_or_default();
    let span = variant.span();
    let alias = Ident::new("__Action", span);
    let actions = quote_spanned!(ends(&event).0=> <#event as #krate::DomainEvent>::Action);
    let at_variant = quote_spanned!(span=> #alias::#variant);
    quote! {{
        #check
        type #alias = #actions;
        #krate::ActionRef::new(#at_variant)
    }}
}

/// `IssueEvent` of `IssueEvent::Created`.
fn enum_of(path: &Path) -> TokenStream {
    let mut path = path.clone();
    path.segments.pop();
    path.segments.pop_punct();
    path.into_token_stream()
}
