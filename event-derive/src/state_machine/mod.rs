//! `#[derive(StateMachine)]`: read the enum, check it, expand it. Every error is reported, and what can be is declared all the
//! same, so that no second wave of errors hides the first.

mod ast;
mod attr;
mod check;
mod expand;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::errors::Errors;

pub(crate) fn derive(input: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let Some(input) = errors.absorb(syn::parse2::<DeriveInput>(input)) else {
        return errors.into_tokens();
    };
    let machine = ast::read(&input, &mut errors);
    check::check(&input, &machine, &mut errors);
    let whole = errors.is_empty();
    let mut output = expand::expand(&machine, whole);
    output.extend(errors.into_tokens());
    output
}
