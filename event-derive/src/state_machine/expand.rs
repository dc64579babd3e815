//! The derive's output. Takes whatever was read, also where there were errors, and can't fail.
//!
//! Where there were errors (`whole` is false) the transitions and the model's methods are declared all the same, so that code which
//! uses them brings no errors of its own; guards and events are left out, since they are never asked.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::Path;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;

use super::ast::{Machine, Transition};
use super::attr::Event;
use crate::location::{local, local_at};
use crate::names;

/// The enum of transitions and the trait of the model's methods beside the user's enum, and everything else in a `const` block.
pub(super) fn expand(machine: &Machine, whole: bool) -> TokenStream {
    if machine.generic || machine.states.is_empty() {
        // Nothing that stands for it could be right, and half of it would only add errors.
        return TokenStream::new();
    }
    let names = names(machine);
    // Without its model, its column or its event nothing of it can be made, nor where a state is no value.
    let of = match (&machine.attr.entity, &machine.attr.column, machine.any_event()) {
        (Some(entity), Some(column), Some(event)) if machine.fieldless => Some(Of { entity, column, event }),
        _ => None,
    };
    let Some(of) = of else { return names };
    let (methods, impls) =
        (methods(machine), [state_machine(machine, &of, whole), transition(machine), of_model(machine, &of)]);
    quote! {
        #names
        #methods
        #[allow(unused_variables)]
        const _: () = { #(#impls)* };
    }
}

/// What the machine is of.
struct Of<'m> {
    entity: &'m Path,
    column: &'m Ident,
    event: &'m Event,
}

fn v1(machine: &Machine) -> TokenStream {
    let krate = &machine.krate;
    quote!(#krate::__private::v1)
}

/// ```text
/// pub enum StatusTransition { Start, Close, Reopen }
/// ```
fn names(machine: &Machine) -> TokenStream {
    let Machine { vis, ident, names, .. } = machine;
    let doc = format!(" The transitions of [`{ident}`].");
    let variants = distinct(machine).map(|Transition { text, variant, .. }| {
        let doc = format!(" The transition `{text}`.");
        quote!(#[doc = #doc] #variant)
    });
    // A machine without transitions was refused; an empty enum would make code that uses it unreachable.
    let placeholder = machine.transitions.is_empty().then(|| {
        quote!(
            #[doc(hidden)]
            __Nothing
        )
    });
    quote_spanned! {ident.span()=>
        #[doc = #doc]
        #[derive(
            ::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug, ::core::cmp::PartialEq, ::core::cmp::Eq,
            ::core::cmp::PartialOrd, ::core::cmp::Ord, ::core::hash::Hash
        )]
        #[allow(dead_code, non_camel_case_types, unreachable_pub, clippy::all, clippy::pedantic)]
        #vis enum #names { #(#variants,)* #placeholder }
    }
}

/// The transitions without those whose names or methods are there already, which were refused.
fn distinct(machine: &Machine) -> impl Iterator<Item = &Transition> {
    machine.transitions.iter().enumerate().filter_map(|(at, transition)| {
        let clashes = |earlier: &Transition| {
            earlier.variant == transition.variant
                || earlier.name == transition.name
                || earlier.can() == transition.name
                || transition.can() == earlier.name
        };
        (!machine.transitions[..at].iter().any(clashes)).then_some(transition)
    })
}

/// ```text
/// pub trait StatusTransitions {
///     fn start<'c, C>(&self, conn: &'c C) -> Transitioning<'c, C, Status>;
///     fn can_start(&self) -> bool;
///     ...
///     fn transition<'c, C>(&self, transition: StatusTransition, conn: &'c C) -> Transitioning<'c, C, Status>;
///     fn can(&self, transition: StatusTransition) -> bool;
///     fn allowed(&self) -> Vec<StatusTransition>;
/// }
/// ```
fn methods(machine: &Machine) -> TokenStream {
    let Machine { vis, ident, names, methods, .. } = machine;
    let doc = format!(" What a model can do whose states are [`{ident}`].");
    let functions = distinct(machine).map(|transition| {
        let Transition { name, text, attr, .. } = transition;
        let (can, to) = (transition.can(), attr.to.as_ref().map(ToString::to_string).unwrap_or_default());
        let from: Vec<_> = attr.from.iter().map(ToString::to_string).collect();
        let doc = format!(
            " The transition `{text}`, from {} to {to}: awaited, it changes the row and records the event.",
            from.join(" or ")
        );
        let can_doc = format!(" Whether `{text}` can be made on the model as it was loaded.");
        let function = function(machine, name, &TokenStream::new());
        quote! {
            #[doc = #doc]
            #function;

            #[doc = #can_doc]
            fn #can(&self) -> bool;
        }
    });
    let transition = function(machine, &local("transition"), &quote!(transition: #names,));
    quote! {
        #[doc = #doc]
        #[allow(dead_code, unreachable_pub, private_interfaces, private_bounds, clippy::all, clippy::pedantic)]
        #vis trait #methods {
            #(#functions)*

            /// The transition of that name: awaited, it changes the row and records the event.
            #transition;

            /// Whether it can be made on the model as it was loaded.
            fn can(&self, transition: #names) -> bool;

            /// The transitions that can be made on the model as it was loaded: from its state, and past their guards.
            fn allowed(&self) -> ::std::vec::Vec<#names>;
        }
    }
}

/// A transition's method, without a body.
fn function(machine: &Machine, name: &Ident, argument: &TokenStream) -> TokenStream {
    let Machine { ident, krate, .. } = machine;
    quote! {
        fn #name<'c, C>(&self, #argument conn: &'c C) -> #krate::Transitioning<'c, C, #ident>
        where
            C: #krate::RecordConnection
    }
}

/// ```text
/// impl StateMachine for Status { ... }
/// ```
fn state_machine(machine: &Machine, of: &Of<'_>, whole: bool) -> TokenStream {
    let Machine { ident, names, krate, .. } = machine;
    let v1 = v1(machine);
    let (entity, event) = (of.entity, &of.event.ty);
    // At the user's paths: there the error is, if one of them is no entity, no event of it, or less visible than the enum.
    let entity = quote_spanned!(entity.span()=> type Entity = #entity;);
    let event = quote_spanned!(event.span()=> type Event = #event;);
    let name = ident.unraw().to_string();
    let states = machine.states.iter().map(|state| {
        let (state, name) = (&state.ident, state.ident.unraw().to_string());
        quote!((#ident::#state, #name))
    });
    let initial = initial(machine);
    let [column, state] = column(machine, of);
    let transitions = distinct(machine).map(|transition| parts(machine, transition, whole));
    quote! {
        #[automatically_derived]
        impl #krate::StateMachine for #ident {
            #entity
            #event
            type Transition = #names;

            fn machine() -> &'static #v1::Machine<Self> {
                static __MACHINE: #v1::Machine<#ident> = #v1::Machine::from_parts(#v1::MachineParts {
                    name: #name,
                    states: &[#(#states),*],
                    initial: #initial,
                    column: #column,
                    state: #state,
                    transitions: &[#(#transitions),*],
                });
                &__MACHINE
            }
        }
    }
}

fn initial(machine: &Machine) -> TokenStream {
    let (ident, initial) = (&machine.ident, machine.initial().map(|state| &state.ident));
    quote!(#ident::#initial)
}

/// The functions that name the column and read the model's state, at the user's column: where it does not exist, or has another
/// type, the error is there.
fn column(machine: &Machine, of: &Of<'_>) -> [TokenStream; 2] {
    let (v1, ident, entity, column) = (v1(machine), &machine.ident, of.entity, of.column);
    // A column that gives no variant was refused by the parser already.
    let variant = names::column_variant(column);
    let model = local_at("__model", column.span());
    [
        quote_spanned!(column.span()=> || <<#entity as #v1::sea_orm::EntityTrait>::Column>::#variant),
        quote_spanned!(column.span()=> |#model| #v1::StateColumn::<#ident>::state(&#model.#column)),
    ]
}

/// ```text
/// TransitionParts { name: "close", from: &[Status::Open], to: Status::Closed, guards: &[...], event: |model, from, to| ... }
/// ```
fn parts(machine: &Machine, transition: &Transition, whole: bool) -> TokenStream {
    let (v1, ident) = (v1(machine), &machine.ident);
    let Transition { text, attr, .. } = transition;
    let from = attr.from.iter().filter(|state| machine.state(state).is_some()).map(|state| quote!(#ident::#state));
    let to = match attr.to.as_ref().filter(|state| machine.state(state).is_some()) {
        Some(to) => quote!(#ident::#to),
        None => initial(machine),
    };
    let guards = attr.guards.iter().filter(|_| whole).map(|guard| {
        let (name, model) = (name_of(guard), local_at("__model", guard.span()));
        let answer = quote_spanned!(guard.span()=> #v1::GuardAnswer::answer(#guard(#model)));
        quote!(#v1::Guard { name: #name, answer: |#model| #answer })
    });
    let event = match machine.event(transition).filter(|_| whole) {
        Some(event) => event_of(event),
        None => quote!(|_, _, _| ::core::unreachable!()),
    };
    quote! {
        #v1::TransitionParts {
            name: #text,
            from: &[#(#from),*],
            to: #to,
            guards: &[#(#guards),*],
            event: #event,
        }
    }
}

/// A function's name without the way to it: in a diagram, `::` would end the label.
fn name_of(path: &Path) -> String {
    path.segments.last().map(|last| last.ident.unraw().to_string()).unwrap_or_default()
}

/// The event, in which `model`, `from` and `to` are names that the user's tokens can see.
fn event_of(event: &Event) -> TokenStream {
    let expr = &event.expr;
    // Where a `macro_rules!` passed the expression on, its own tokens see other names than the macro's.
    let span = event.ty.segments.first().map_or_else(|| expr.span(), |first| first.ident.span());
    let [model, from, to] = ["model", "from", "to"].map(|name| Ident::new(name, span));
    quote!(|#model, #from, #to| #expr)
}

/// ```text
/// impl StateTransition for StatusTransition { ... }
/// impl Display for StatusTransition { ... }
/// ```
fn transition(machine: &Machine) -> TokenStream {
    let Machine { ident, names, krate, .. } = machine;
    let v1 = v1(machine);
    let variants = distinct(machine).map(|transition| &transition.variant);
    quote! {
        #[automatically_derived]
        impl #krate::StateTransition for #names {
            type State = #ident;

            const ALL: &'static [Self] = &[#(Self::#variants),*];

            fn parts(self) -> &'static #v1::TransitionParts<#ident> {
                #v1::transition::<#ident>(self as usize)
            }
        }

        #[automatically_derived]
        impl ::core::fmt::Display for #names {
            fn fmt(&self, __formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                __formatter.pad(#krate::StateTransition::name(*self))
            }
        }
    }
}

/// ```text
/// impl StatusTransitions for issue::Model { ... }
/// ```
fn of_model(machine: &Machine, of: &Of<'_>) -> TokenStream {
    let Machine { ident, names, methods, .. } = machine;
    let (v1, entity) = (v1(machine), of.entity);
    let functions = distinct(machine).map(|transition| {
        let (variant, can) = (&transition.variant, transition.can());
        let function = function(machine, &transition.name, &TokenStream::new());
        quote! {
            #function
            {
                #v1::transitioning::<C, #ident>(self, #names::#variant, conn)
            }

            fn #can(&self) -> bool {
                #v1::can::<#ident>(self, #names::#variant)
            }
        }
    });
    let transition = function(machine, &local("transition"), &quote!(transition: #names,));
    quote! {
        #[automatically_derived]
        impl #methods for <#entity as #v1::sea_orm::EntityTrait>::Model {
            #(#functions)*

            #transition
            {
                #v1::transitioning::<C, #ident>(self, transition, conn)
            }

            fn can(&self, transition: #names) -> bool {
                #v1::can::<#ident>(self, transition)
            }

            fn allowed(&self) -> ::std::vec::Vec<#names> {
                #v1::allowed::<#ident>(self)
            }
        }
    }
}
