//! What the derive knows of an enum of states, read from its tokens and attributes. Holds something sensible also where there
//! was an error, so that it can be expanded.

use heck::ToUpperCamelCase as _;
use proc_macro2::TokenStream;
use quote::format_ident;
use syn::ext::IdentExt as _;
use syn::{Data, DeriveInput, Fields, Ident, Visibility};

use super::attr::{self, EnumAttr, Event, TransitionAttr, VariantAttr};
use crate::errors::Errors;

/// An enum of states.
pub(super) struct Machine {
    pub(super) vis: Visibility,
    pub(super) ident: Ident,
    pub(super) generic: bool,
    pub(super) fieldless: bool,
    pub(super) attr: EnumAttr,
    pub(super) krate: TokenStream,
    pub(super) states: Vec<State>,
    pub(super) transitions: Vec<Transition>,
    /// The fieldless enum of the transitions.
    pub(super) names: Ident,
    /// The trait of the model's methods.
    pub(super) methods: Ident,
}

/// A variant: a state.
pub(super) struct State {
    pub(super) ident: Ident,
    /// `initial`, where it stands.
    pub(super) initial: Option<Ident>,
    pub(super) allow_unreachable: bool,
}

/// A `#[transition(...)]`.
pub(super) struct Transition {
    /// The method.
    pub(super) name: Ident,
    /// The name as text, without `r#`.
    pub(super) text: String,
    /// Whether the name is a word of Rust's own; `name` is another one then.
    pub(super) is_keyword: bool,
    /// Its variant in the enum of transitions.
    pub(super) variant: Ident,
    pub(super) attr: TransitionAttr,
}

impl Machine {
    pub(super) fn state(&self, name: &Ident) -> Option<&State> {
        self.states.iter().find(|state| state.ident == *name)
    }

    /// The initial state, or the first where an error left none.
    pub(super) fn initial(&self) -> Option<&State> {
        self.states.iter().find(|state| state.initial.is_some()).or_else(|| self.states.first())
    }

    /// The event that the transition records.
    pub(super) fn event<'m>(&'m self, transition: &'m Transition) -> Option<&'m Event> {
        transition.attr.event.as_ref().or(self.attr.event.as_ref())
    }

    /// Any event: that of the enum, or else a transition's. All are of one type.
    pub(super) fn any_event(&self) -> Option<&Event> {
        self.attr
            .event
            .as_ref()
            .or_else(|| self.transitions.iter().find_map(|transition| transition.attr.event.as_ref()))
    }
}

impl Transition {
    /// The method that asks whether it can be made.
    pub(super) fn can(&self) -> Ident {
        format_ident!("can_{}", self.text, span = self.name.span())
    }
}

pub(super) fn read(input: &DeriveInput, errors: &mut Errors) -> Machine {
    let attr = attr::of_enum(&input.attrs, errors);
    let transitions = attr::transitions(&input.attrs, errors).into_iter().map(read_transition).collect();
    let variants: Vec<_> = match &input.data {
        Data::Enum(data) => data.variants.iter().collect(),
        Data::Struct(_) | Data::Union(_) => Vec::new(),
    };
    let name = input.ident.unraw();
    Machine {
        vis: input.vis.clone(),
        ident: input.ident.clone(),
        generic: !input.generics.params.is_empty() || input.generics.where_clause.is_some(),
        fieldless: variants.iter().all(|variant| matches!(variant.fields, Fields::Unit)),
        krate: attr.krate.clone(),
        attr,
        states: variants.into_iter().map(|variant| read_state(variant, errors)).collect(),
        transitions,
        names: format_ident!("{name}Transition", span = input.ident.span()),
        methods: format_ident!("{name}Transitions", span = input.ident.span()),
    }
}

fn read_state(variant: &syn::Variant, errors: &mut Errors) -> State {
    let VariantAttr { initial, allow_unreachable } = attr::of_variant(&variant.attrs, errors);
    State { ident: variant.ident.clone(), initial, allow_unreachable }
}

fn read_transition((name, attr): (Ident, TransitionAttr)) -> Transition {
    let text = name.unraw().to_string();
    let is_keyword = syn::parse_str::<Ident>(&name.to_string()).is_err();
    // What was refused has another name where it is declared all the same.
    let name = if is_keyword { format_ident!("{text}_", span = name.span()) } else { name };
    let variant = syn::parse_str::<Ident>(&text.to_upper_camel_case());
    let variant = variant.unwrap_or_else(|_| format_ident!("__{text}"));
    Transition { variant: Ident::new(&variant.to_string(), name.span()), text, is_keyword, name, attr }
}
