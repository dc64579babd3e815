//! The rules for names that are stored: every one is a column of an index on every database.

use heck::ToUpperCamelCase as _;
use proc_macro2::Ident;
use syn::ext::IdentExt as _;

/// The most characters of a stored name; `event_core::NAME_MAX`, which a macro can't depend on.
pub(crate) const NAME_MAX: usize = 64;

/// What is wrong with a stored name, and what to write.
pub(crate) fn problem(what: &str, name: &str) -> Option<String> {
    let length = name.chars().count();
    if length > NAME_MAX {
        return Some(format!(
            "{what} `{name}` has {length} characters and may have {NAME_MAX}; \
             give a shorter one with `name = \"...\"`"
        ));
    }
    let first_is_fine = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    if first_is_fine && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
        return None;
    }
    Some(format!(
        "{what} `{name}` is not in snake case; it is stored, so write it with the characters a-z, 0-9 and _, \
         and begin with a letter"
    ))
}

/// The variant of SeaORM's `Column` that stands for a field; `None` for a name that gives none, such as `__`.
pub(crate) fn column_variant(field: &Ident) -> Option<Ident> {
    let variant = syn::parse_str::<Ident>(&field.unraw().to_string().to_upper_camel_case()).ok()?;
    Some(Ident::new(&variant.to_string(), field.span()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_names_are_short_and_in_snake_case() {
        for name in ["issue", "status_changed", "_x", "a1", &"a".repeat(64)] {
            assert_eq!(problem("the name", name), None, "{name}");
        }
        for name in ["", "Issue", "1a", "a-b", "a b", "é", &"a".repeat(65)] {
            assert!(problem("the name", name).is_some(), "{name}");
        }
    }
}
