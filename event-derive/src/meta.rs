//! The items between an attribute's parentheses: `word`, `name = value`, `name(list)`.
//!
//! Not syn's `parse_nested_meta`: that ends at the first error, and the items behind it would go unseen.

use proc_macro2::{Delimiter, Spacing, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream, Parser as _};
use syn::{Attribute, Ident, LitStr, Meta, Token, token};

use crate::errors::Errors;

/// One item of an attribute.
pub(crate) struct Item {
    pub(crate) name: Ident,
    pub(crate) value: Value,
    /// All of its tokens, for errors about the whole.
    pub(crate) tokens: TokenStream,
}

/// What follows an item's name.
pub(crate) enum Value {
    /// Nothing: `ordered`.
    Word,
    /// `= ...`
    Assigned(TokenStream),
    /// `(...)`
    List(TokenStream),
}

impl Item {
    /// The name as text, also for `crate` and other keywords.
    pub(crate) fn key(&self) -> String {
        self.name.unraw().to_string()
    }

    /// The value of `name = "..."`.
    pub(crate) fn string(&self, errors: &mut Errors) -> Option<LitStr> {
        self.assigned(errors, "\"...\"", "a string literal")
    }

    /// The value of `name = value`, for values that syn can read.
    pub(crate) fn assigned<T: Parse>(&self, errors: &mut Errors, example: &str, what: &str) -> Option<T> {
        let name = self.key();
        match &self.value {
            Value::Assigned(tokens) => match syn::parse2(tokens.clone()) {
                Ok(value) => return Some(value),
                Err(_) if !tokens.is_empty() => {
                    errors.push(tokens, format!("`{name}` wants {what}: `{name} = {example}`"));
                }
                Err(_) => errors.push(&self.tokens, format!("`{name}` wants {what}: `{name} = {example}`")),
            },
            Value::Word | Value::List(_) => {
                errors.push(&self.tokens, format!("write `{name} = {example}`"));
            }
        }
        None
    }

    /// The tokens of `name(...)`, without the parentheses.
    pub(crate) fn list(&self, errors: &mut Errors, example: &str) -> Option<TokenStream> {
        match &self.value {
            Value::List(tokens) => Some(tokens.clone()),
            Value::Word | Value::Assigned(_) => {
                errors.push(&self.tokens, format!("write `{example}`"));
                None
            }
        }
    }
}

impl Parse for Item {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let tokens = input.fork().parse()?;
        let name = input.call(Ident::parse_any)?;
        let value = if input.is_empty() {
            Value::Word
        } else if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            Value::Assigned(input.parse()?)
        } else if input.peek(token::Paren) {
            let content;
            syn::parenthesized!(content in input);
            let list = content.parse()?;
            if !input.is_empty() {
                return Err(input.error("expected a comma between the items"));
            }
            Value::List(list)
        } else {
            return Err(input.error("expected `name`, `name = value` or `name(...)`"));
        };
        Ok(Self { name, value, tokens })
    }
}

/// The items of every attribute of that name, as `#[name(...)]`.
pub(crate) fn items_of(attributes: &[Attribute], name: &str, errors: &mut Errors) -> Vec<Item> {
    let mut items = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident(name)) {
        match &attribute.meta {
            Meta::List(list) => items.extend(self::items(list.tokens.clone(), errors)),
            other => errors.push(other, format!("write `#[{name}(...)]`")),
        }
    }
    items
}

/// The items between parentheses.
pub(crate) fn items(tokens: TokenStream, errors: &mut Errors) -> Vec<Item> {
    split(tokens).into_iter().filter_map(|piece| errors.absorb(syn::parse2(piece))).collect()
}

/// What stands between the commas, those inside `<...>` left alone.
pub(crate) fn split(tokens: TokenStream) -> Vec<TokenStream> {
    let mut pieces = vec![];
    let mut piece = TokenStream::new();
    let mut depth = 0_usize;
    let mut arrow = false;
    for token in tokens {
        let mut comma = false;
        let mut begins_arrow = false;
        if let TokenTree::Punct(punct) = &token {
            match punct.as_char() {
                '<' => depth += 1,
                '>' if !arrow => depth = depth.saturating_sub(1),
                ',' => comma = depth == 0,
                _ => {}
            }
            begins_arrow = matches!(punct.as_char(), '-' | '=') && punct.spacing() == Spacing::Joint;
        }
        arrow = begins_arrow;
        if comma {
            pieces.push(std::mem::take(&mut piece));
        } else {
            piece.extend([token]);
        }
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// A value that an attribute may give once.
pub(crate) struct Once<T> {
    given: bool,
    value: Option<T>,
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self { given: false, value: None }
    }
}

impl<T> Once<T> {
    /// Keeps the first value; a second one is an error at its name.
    pub(crate) fn put(&mut self, name: &Ident, value: Option<T>, errors: &mut Errors) {
        if self.given {
            errors.push(name, format!("`{}` is given twice; keep one", name.unraw()));
        } else {
            self.given = true;
            self.value = value;
        }
    }

    /// Whether it was given, even with an error in it.
    pub(crate) fn given(&self) -> bool {
        self.given
    }

    pub(crate) fn value(&self) -> Option<&T> {
        self.value.as_ref()
    }

    pub(crate) fn get(self) -> Option<T> {
        self.value
    }
}

/// The path of event-core in `crate = "..."`, or the usual one.
pub(crate) fn crate_path(given: Option<LitStr>, errors: &mut Errors) -> TokenStream {
    path_of(given, "event_core", errors)
}

/// The path of this crate in `crate = "..."`, or the usual one.
pub(crate) fn path_of(given: Option<LitStr>, krate: &str, errors: &mut Errors) -> TokenStream {
    let usual = || {
        let krate = Ident::new(krate, Span::call_site());
        quote::quote!(::#krate)
    };
    let Some(literal) = given else { return usual() };
    match syn::Path::parse_mod_style.parse_str(&literal.value()) {
        Ok(path) => respanned(path.to_token_stream(), literal.span()),
        Err(_) => {
            let name = krate.replace('_', "-");
            errors.push(&literal, format!("`crate` wants the path of {name}: `crate = \"::my_crate::{krate}\"`"));
            usual()
        }
    }
}

/// The same tokens, placed at `span`.
pub(crate) fn respanned(tokens: TokenStream, span: Span) -> TokenStream {
    tokens
        .into_iter()
        .map(|mut token| {
            token.set_span(span);
            token
        })
        .collect()
}

/// The same tokens, with `Self` replaced.
pub(crate) fn without_self(tokens: TokenStream, instead: &TokenStream) -> TokenStream {
    tokens
        .into_iter()
        .flat_map(|token| match token {
            TokenTree::Ident(ident) if ident == "Self" => respanned(instead.clone(), ident.span()),
            TokenTree::Group(group) if group.delimiter() != Delimiter::None || !group.stream().is_empty() => {
                let mut inner = proc_macro2::Group::new(group.delimiter(), without_self(group.stream(), instead));
                inner.set_span(group.span());
                TokenTree::Group(inner).into()
            }
            other => other.into(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[test]
    fn commas_inside_angle_brackets_do_not_split() {
        let pieces = split(quote!(a::B<C, D>, f(x, y), g = h, fn(A) -> B, z,));
        assert_eq!(pieces.len(), 5);
    }

    #[test]
    fn an_item_with_an_error_hides_none_behind_it() {
        let mut errors = Errors::default();
        let items = items(quote!(one = "1", 2, three(a b), four five, six), &mut errors);
        let names: Vec<_> = items.iter().map(Item::key).collect();
        assert_eq!(names, ["one", "three", "six"]);
        assert_eq!(errors.messages().len(), 2);
    }

    #[test]
    fn self_is_replaced_at_any_depth() {
        let replaced = without_self(quote!(Self::f(Self, [Self])), &quote!(a::B));
        assert_eq!(replaced.to_string(), quote!(a::B::f(a::B, [a::B])).to_string());
    }
}
