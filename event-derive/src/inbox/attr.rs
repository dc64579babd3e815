//! The attribute's items: `on(...)`, `when`, `name`, the settings.

use proc_macro2::TokenStream;
use quote::ToTokens as _;
use syn::{LitStr, Path};

use super::settings::{self, Settings};
use crate::errors::Errors;
use crate::meta::{self, Item, Once, Value};
use crate::suggest;

const ON: &str = "on";
const WHEN: &str = "when";
const NAME: &str = "name";
const CRATE: &str = "crate";
const KNOWN: &[&str] = &[
    ON,
    WHEN,
    NAME,
    settings::CONCURRENCY,
    settings::TIMEOUT,
    settings::RETRY,
    settings::START,
    settings::ORDERED,
    settings::PAUSE,
    settings::BATCH,
    CRATE,
];

/// Known to be wanted, not there yet: refused, so that nobody relies on what does nothing.
const LATER: &[&str] = &["throttle", "priority", "enabled", "feature", "rate_limit", "quiet_hours"];

/// What the attribute says.
pub(super) struct Attr {
    /// The actions of `on(...)`; empty for all.
    pub(super) on: Vec<Path>,
    /// The filters.
    pub(super) when: Vec<Path>,
    pub(super) name: Option<LitStr>,
    pub(super) settings: Settings,
    pub(super) krate: TokenStream,
}

pub(super) fn read(attribute: TokenStream, errors: &mut Errors) -> Attr {
    let (mut on, mut when) = (Once::default(), Once::default());
    let (mut name, mut krate) = (Once::default(), Once::default());
    let mut settings = Settings::default();
    for item in meta::items(attribute, errors) {
        match item.key().as_str() {
            ON => on.put(&item.name, actions(&item, errors), errors),
            WHEN => when.put(&item.name, filters(&item, errors), errors),
            NAME => name.put(&item.name, item.string(errors), errors),
            CRATE => krate.put(&item.name, item.string(errors), errors),
            other => {
                if !settings.take(&item, errors) {
                    errors.push(&item.name, unknown(other));
                }
            }
        }
    }
    Attr {
        on: on.get().unwrap_or_default(),
        when: when.get().unwrap_or_default(),
        name: name.get(),
        settings,
        krate: meta::crate_path(krate.get(), errors),
    }
}

fn unknown(name: &str) -> String {
    if LATER.contains(&name) {
        return format!("`{name}` comes in a later version; an inbox has {}", suggest::list(KNOWN.iter().copied()));
    }
    suggest::unknown(name, "an inbox", KNOWN)
}

fn actions(item: &Item, errors: &mut Errors) -> Option<Vec<Path>> {
    let pieces = meta::split(item.list(errors, "on(Created, Closed)")?);
    if pieces.is_empty() {
        errors.push(&item.tokens, "`on()` names no action; leave it out for every action of the event");
        return None;
    }
    let mut actions: Vec<Path> = Vec::new();
    for piece in pieces {
        match syn::parse2::<Path>(piece.clone()) {
            Ok(path) if path.segments.iter().all(|segment| segment.arguments.is_none()) => actions.push(path),
            _ => errors.push(piece, "`on` wants actions by their variants' names: `on(Created, Closed)`"),
        }
    }
    Some(actions)
}

fn filters(item: &Item, errors: &mut Errors) -> Option<Vec<Path>> {
    let pieces = match &item.value {
        Value::Assigned(tokens) if !tokens.is_empty() => vec![tokens.clone()],
        Value::List(tokens) if !tokens.is_empty() => meta::split(tokens.clone()),
        Value::Word | Value::Assigned(_) | Value::List(_) => {
            errors.push(&item.tokens, "`when` wants a function `fn(&Event<...>) -> bool`: `when = is_urgent`");
            return None;
        }
    };
    let mut filters = Vec::new();
    for piece in pieces {
        match syn::parse2::<Path>(piece.clone()) {
            Ok(path) => filters.push(path),
            Err(_) => errors.push(
                piece,
                "a filter is the name of a function `fn(&Event<...>) -> bool`, so that inboxes and tests can share it",
            ),
        }
    }
    Some(filters)
}

/// The path as the user wrote it.
pub(super) fn written(path: &Path) -> String {
    path.to_token_stream().to_string().replace(' ', "")
}
