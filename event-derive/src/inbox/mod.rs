//! `#[inbox]`: read the function or the impl block and the attribute, check them, expand them. The user's item is emitted
//! unchanged whatever happens.

mod ast;
mod attr;
mod check;
mod expand;
mod settings;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;

use crate::errors::Errors;

pub(crate) fn inbox(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let attr = attr::read(attribute, &mut errors);
    let mut output = item.clone();
    if let Some(handler) = ast::read(item, &mut errors) {
        check::check(&handler, &attr, &mut errors);
        let whole = errors.is_empty();
        output.extend(expand::expand(&handler, &attr, whole));
    }
    output.extend(errors.into_tokens());
    output
}
