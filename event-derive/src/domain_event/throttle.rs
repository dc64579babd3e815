//! `throttle = "5m"`, or `throttle("5m", per_actor)`.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Ident, LitStr};

use crate::duration;
use crate::errors::Errors;
use crate::meta::{self, Item, Value};

const PER_SUBJECT: &str = "per_subject";
const PER_ACTOR: &str = "per_actor";
const HOW: &str =
    "write `throttle = \"5m\"` for once per subject, or `throttle(\"5m\", per_actor)` for once per subject and actor";

/// How often an action is recorded at most.
pub(super) struct Throttle {
    every: Duration,
    per_actor: bool,
}

impl Throttle {
    pub(super) fn read(item: &Item, errors: &mut Errors) -> Option<Self> {
        let (every, scope) = match &item.value {
            Value::Assigned(every) => (every.clone(), None),
            Value::List(list) => {
                let mut pieces = meta::split(list.clone()).into_iter();
                let (Some(every), scope, None) = (pieces.next(), pieces.next(), pieces.next()) else {
                    errors.push(&item.tokens, HOW);
                    return None;
                };
                (every, scope)
            }
            Value::Word => {
                errors.push(&item.tokens, HOW);
                return None;
            }
        };
        let per_actor = match scope.map(|scope| (scope.clone(), syn::parse2::<Ident>(scope))) {
            None => false,
            Some((_, Ok(word))) if word == PER_SUBJECT => false,
            Some((_, Ok(word))) if word == PER_ACTOR => true,
            Some((scope, _)) => {
                errors.push(scope, format!("a throttle is `{PER_SUBJECT}` or `{PER_ACTOR}`; a key of your own is given where it is recorded, `.throttle(Throttle::per_key(...))`"));
                return None;
            }
        };
        let Ok(literal) = syn::parse2::<LitStr>(every.clone()) else {
            if every.is_empty() {
                errors.push(&item.tokens, HOW);
            } else {
                errors.push(every, HOW);
            }
            return None;
        };
        match duration::parse(&literal.value()) {
            Ok(every) => Some(Self { every, per_actor }),
            Err(problem) => {
                errors.push(&literal, problem);
                None
            }
        }
    }

    /// The arguments of the action's description.
    pub(super) fn expand(&self) -> TokenStream {
        let per_actor = self.per_actor;
        let milliseconds = u64::try_from(self.every.as_millis()).unwrap_or(u64::MAX);
        quote!(::core::option::Option::Some((::core::time::Duration::from_millis(#milliseconds), #per_actor)))
    }
}
