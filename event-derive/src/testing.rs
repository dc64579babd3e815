//! Expansions as formatted source, for snapshots.

use proc_macro2::TokenStream;

/// The expansion as rustfmt would show it.
pub(crate) fn pretty(expansion: TokenStream) -> String {
    match syn::parse2(expansion.clone()) {
        Ok(file) => prettyplease::unparse(&file),
        Err(error) => panic!("{error}\n{expansion}"),
    }
}
