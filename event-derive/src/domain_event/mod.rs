//! `#[derive(DomainEvent)]`: read the enum, check it, expand it. Every error is reported, and the implementations are
//! emitted all the same, so that no second wave of errors hides the first.

mod ast;
mod attr;
mod check;
mod entity;
mod expand;
mod rename;
mod schema;
mod serde_attr;
mod summary;
mod table;
#[cfg(test)]
mod tests;
mod throttle;
mod upcast;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::errors::Errors;

pub(crate) fn derive(input: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let Some(input) = errors.absorb(syn::parse2::<DeriveInput>(input)) else {
        return errors.into_tokens();
    };
    let event = ast::read(&input, &mut errors);
    check::check(&input, &event, &mut errors);
    let whole = errors.is_empty();
    let mut output = expand::expand(&event, whole);
    output.extend(errors.into_tokens());
    output
}
