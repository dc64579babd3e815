//! Where a user's item stands in the source, as an expression.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

/// `file!()` and `line!()` speak of the place that their own tokens have: the user's, not the attribute's.
pub(crate) fn of(span: Span, v1: &TokenStream) -> TokenStream {
    quote_spanned!(span=> #v1::Location { file: ::core::file!(), line: ::core::line!() })
}
