//! Where generated code stands, for errors and for people: at the user's own tokens.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;

/// The place as an expression. `file!()` and `line!()` speak of the place that their own tokens have: the user's, not the attribute's.
pub(crate) fn of(span: Span, v1: &TokenStream) -> TokenStream {
    quote_spanned!(span=> #v1::Location { file: ::core::file!(), line: ::core::line!() })
}

/// A name of the macro's own among the user's spans: where a `macro_rules!` passed the user's tokens on, a name that has
/// their span would not be found.
pub(crate) fn local(name: &str) -> Ident {
    Ident::new(name, Span::call_site())
}

/// The same name, shown at the user's token: for where an error would be about it.
pub(crate) fn local_at(name: &str, span: Span) -> Ident {
    Ident::new(name, Span::call_site().located_at(span))
}
