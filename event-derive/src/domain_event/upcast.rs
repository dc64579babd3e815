//! `upcast(1 = v1_to_v2, 2 = v2_to_v3)`: the functions that bring metadata from a version to the next.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned as _;
use syn::{ExprPath, Ident, LitInt, Token};

use crate::errors::Errors;
use crate::meta::{self, Item};

const EXAMPLE: &str = "upcast(1 = v1_to_v2)";

/// The steps of a variant, sorted by version.
pub(super) struct Upcasts {
    /// The attribute's name, for errors about the whole.
    name: Ident,
    steps: Vec<Step>,
}

/// From a version to the next.
struct Step {
    version: LitInt,
    from: u32,
    function: ExprPath,
}

impl Upcasts {
    pub(super) fn read(item: &Item, errors: &mut Errors) -> Option<Self> {
        let list = item.list(errors, EXAMPLE)?;
        let pieces = meta::split(list);
        if pieces.is_empty() {
            errors.push(&item.tokens, format!("name a function for each step: `{EXAMPLE}`"));
            return None;
        }
        let mut steps: Vec<Step> = Vec::new();
        for piece in pieces {
            let Some(step) = Step::read(piece, errors) else { continue };
            if steps.iter().any(|earlier| earlier.from == step.from) {
                let version = &step.version;
                errors.push(version, format!("there is an upcast from version {version} already; keep one"));
            } else {
                steps.push(step);
            }
        }
        steps.sort_by_key(|step| step.from);
        Some(Self { name: item.name.clone(), steps })
    }

    /// Each step leads to a version that is there. `version` is `None` where the attribute's own was refused.
    pub(super) fn check(&self, version: Option<u32>, errors: &mut Errors) {
        match version {
            None => {}
            Some(1) => errors.push(
                &self.name,
                "an upcast leads from an earlier version to a later one, and this action is at version 1: add `version = 2`, or \
                 remove it",
            ),
            Some(version) => {
                for step in self.steps.iter().filter(|step| step.from >= version) {
                    let from = step.from;
                    errors.push(
                        &step.version,
                        format!(
                            "an upcast leads from an earlier version to the next, and this action is at version {version}: \
                             raise it to `version = {}`, or remove the step",
                            u64::from(from) + 1
                        ),
                    );
                }
            }
        }
    }

    /// `&[Upcast::new(1, |metadata| upcast(v1_to_v2, metadata)), ...]`, at the user's functions.
    pub(super) fn expand(&self, event: &Ident, v1: &TokenStream) -> TokenStream {
        let steps = self.steps.iter().map(|Step { from, function, .. }| {
            let span = function.span();
            let function = meta::without_self(function.to_token_stream(), &quote!(#event));
            // All of it there: rustc shows the callee where a function gives something else.
            let v1_there = meta::respanned(v1.clone(), span);
            let call = quote_spanned!(span=> #v1_there::upcast(#function, __metadata));
            quote!(#v1::Upcast::new(#from, |__metadata: #v1::Metadata| #call))
        });
        quote!(&[#(#steps),*])
    }
}

impl Step {
    fn read(piece: TokenStream, errors: &mut Errors) -> Option<Self> {
        let Ok(Pieces { version, function }) = syn::parse2(piece.clone()) else {
            errors.push(piece, format!("a step is the version it leads from, and a function's path: `{EXAMPLE}`"));
            return None;
        };
        match version.base10_parse() {
            Ok(from) if from >= 1 => Some(Self { version, from, function }),
            _ => {
                errors.push(&version, "a version is a whole number from 1 to 4294967295");
                None
            }
        }
    }
}

/// `1 = v1_to_v2`
struct Pieces {
    version: LitInt,
    function: ExprPath,
}

impl Parse for Pieces {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let version = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok(Self { version, function: input.parse()? })
    }
}
