//! The settings in the attribute: `concurrency`, `timeout`, `retry(...)`, `start`, `ordered`, `pause(...)`, `batch`.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Ident, LitFloat, LitInt, LitStr};

use crate::errors::Errors;
use crate::meta::{self, Item, Once, Value};
use crate::{duration, suggest};

pub(super) const CONCURRENCY: &str = "concurrency";
pub(super) const TIMEOUT: &str = "timeout";
pub(super) const RETRY: &str = "retry";
pub(super) const START: &str = "start";
pub(super) const ORDERED: &str = "ordered";
pub(super) const PAUSE: &str = "pause";
pub(super) const BATCH: &str = "batch";

const NEVER: &str = "never";
const MAX_ATTEMPTS: &str = "max_attempts";
const BACKOFF: &str = "backoff";
const BASE: &str = "base";
const MAX_WAIT: &str = "max_wait";
const JITTER: &str = "jitter";
const IN_RETRY: &[&str] = &[MAX_ATTEMPTS, BACKOFF, BASE, MAX_WAIT, JITTER, NEVER];

const AFTER: &str = "after";
const IN_PAUSE: &[&str] = &[AFTER, NEVER];

/// The values of words, as written and as the enum's variant is called.
const BACKOFFS: &[(&str, &str)] = &[("exponential", "Exponential"), ("polynomial", "Polynomial")];
const STARTS: &[(&str, &str)] = &[("beginning", "Beginning"), ("now", "Now")];

/// What differs from `Settings::DEFAULT`.
#[derive(Default)]
pub(super) struct Settings {
    concurrency: Once<u64>,
    timeout: Once<Duration>,
    retry: Once<Retry>,
    start: Once<Ident>,
    ordered: Once<()>,
    pause: Once<Pause>,
    batch: Once<Batch>,
}

struct Batch {
    /// The word itself.
    name: Ident,
    most: u64,
}

enum Pause {
    Never,
    After(u64),
}

#[derive(Default)]
struct Retry {
    max_attempts: Option<u64>,
    backoff: Option<Ident>,
    base: Option<Duration>,
    max_wait: Option<Duration>,
    jitter: Option<f64>,
}

impl Settings {
    /// Takes the item if it is a setting.
    pub(super) fn take(&mut self, item: &Item, errors: &mut Errors) -> bool {
        match item.key().as_str() {
            CONCURRENCY => {
                let value = whole(item, "8", errors);
                self.concurrency.put(&item.name, value, errors);
            }
            TIMEOUT => {
                let value = duration(item, "30s", errors);
                self.timeout.put(&item.name, value, errors);
            }
            RETRY => {
                let value = retry(item, errors);
                self.retry.put(&item.name, value, errors);
            }
            START => {
                let value = word(item, STARTS, errors);
                self.start.put(&item.name, value, errors);
            }
            ORDERED => {
                if !matches!(item.value, Value::Word) {
                    errors.push(&item.tokens, "write `ordered` alone; without it an inbox is unordered");
                }
                self.ordered.put(&item.name, Some(()), errors);
            }
            PAUSE => {
                let value = pause(item, errors);
                self.pause.put(&item.name, value, errors);
            }
            BATCH => {
                let value = whole(item, "500", errors).map(|most| Batch { name: item.name.clone(), most });
                self.batch.put(&item.name, value, errors);
            }
            _ => return false,
        }
        true
    }

    /// Where `batch` is written, if it is.
    pub(super) fn batch(&self) -> Option<&Ident> {
        self.batch.value().map(|batch| &batch.name)
    }

    /// A constant expression of type `Settings`: its struct is non-exhaustive, so fields are set one by one.
    pub(super) fn expand(&self, krate: &TokenStream) -> TokenStream {
        let mut changes = Vec::new();
        if let Some(concurrency) = self.concurrency.value() {
            let concurrency = proc_macro2::Literal::u64_unsuffixed(*concurrency);
            changes.push(quote!(__settings.concurrency = #concurrency;));
        }
        if let Some(timeout) = self.timeout.value() {
            let timeout = milliseconds(*timeout);
            changes.push(quote!(__settings.timeout = #timeout;));
        }
        if let Some(start) = self.start.value() {
            changes.push(quote!(__settings.start = #krate::Start::#start;));
        }
        if self.ordered.given() {
            changes.push(quote!(__settings.ordered = true;));
        }
        if let Some(pause) = self.pause.value() {
            changes.push(pause.expand());
        }
        if let Some(batch) = self.batch.value() {
            let batch = proc_macro2::Literal::u64_unsuffixed(batch.most);
            changes.push(quote!(__settings.batch = ::core::option::Option::Some(#batch);));
        }
        if let Some(retry) = self.retry.value() {
            changes.extend(retry.expand(krate));
        }
        if changes.is_empty() {
            return quote!(#krate::Settings::DEFAULT);
        }
        quote! {{
            let mut __settings = #krate::Settings::DEFAULT;
            #(#changes)*
            __settings
        }}
    }
}

impl Retry {
    fn expand(&self, krate: &TokenStream) -> Vec<TokenStream> {
        let mut changes = Vec::new();
        if let Some(attempts) = self.max_attempts {
            let attempts = proc_macro2::Literal::u64_unsuffixed(attempts);
            changes.push(quote!(__settings.retry.max_attempts = #attempts;));
        }
        if let Some(backoff) = &self.backoff {
            changes.push(quote!(__settings.retry.backoff = #krate::Backoff::#backoff;));
        }
        if let Some(base) = self.base {
            let base = milliseconds(base);
            changes.push(quote!(__settings.retry.base = #base;));
        }
        if let Some(max_wait) = self.max_wait {
            let max_wait = milliseconds(max_wait);
            changes.push(quote!(__settings.retry.max_wait = #max_wait;));
        }
        if let Some(jitter) = self.jitter {
            changes.push(quote!(__settings.retry.jitter = #jitter;));
        }
        changes
    }
}

impl Pause {
    fn expand(&self) -> TokenStream {
        match self {
            Self::Never => quote!(__settings.pause_after = ::core::option::Option::None;),
            Self::After(failures) => {
                let failures = proc_macro2::Literal::u64_unsuffixed(*failures);
                quote!(__settings.pause_after = ::core::option::Option::Some(#failures);)
            }
        }
    }
}

fn pause(item: &Item, errors: &mut Errors) -> Option<Pause> {
    let list = item.list(errors, "pause(after = 10)")?;
    let items = meta::items(list, errors);
    if items.is_empty() {
        errors.push(&item.tokens, "`pause` says when: `pause(after = 10)`, or `pause(never)`");
        return None;
    }
    let (mut after, mut never) = (Once::default(), Once::default());
    for item in &items {
        match item.key().as_str() {
            AFTER => after.put(&item.name, countable(item, "10", "failures", errors), errors),
            NEVER => {
                if items.len() > 1 || !matches!(item.value, Value::Word) {
                    errors
                        .push(&item.tokens, "`never` means that it goes on whatever fails; write `pause(never)` alone");
                }
                never.put(&item.name, Some(()), errors);
            }
            other => errors.push(&item.name, suggest::unknown(other, "`pause`", IN_PAUSE)),
        }
    }
    if never.given() { Some(Pause::Never) } else { after.get().map(Pause::After) }
}

fn retry(item: &Item, errors: &mut Errors) -> Option<Retry> {
    let list = item.list(errors, "retry(max_attempts = 8, backoff = exponential)")?;
    let items = meta::items(list, errors);
    if items.is_empty() {
        errors.push(&item.tokens, format!("`retry` sets one or more of {}", suggest::list(IN_RETRY.iter().copied())));
        return None;
    }
    let (mut max_attempts, mut backoff, mut base) = (Once::default(), Once::default(), Once::default());
    let (mut max_wait, mut jitter, mut never) = (Once::default(), Once::default(), Once::default());
    for item in &items {
        match item.key().as_str() {
            MAX_ATTEMPTS => max_attempts.put(&item.name, countable(item, "8", "attempts", errors), errors),
            BACKOFF => backoff.put(&item.name, word(item, BACKOFFS, errors), errors),
            BASE => base.put(&item.name, duration(item, "1s", errors), errors),
            MAX_WAIT => max_wait.put(&item.name, duration(item, "1h", errors), errors),
            JITTER => jitter.put(&item.name, share(item, errors), errors),
            NEVER => {
                if items.len() > 1 || !matches!(item.value, Value::Word) {
                    errors.push(&item.tokens, "`never` means one attempt and no other; write `retry(never)` alone");
                }
                never.put(&item.name, Some(()), errors);
            }
            other => errors.push(&item.name, suggest::unknown(other, "`retry`", IN_RETRY)),
        }
    }
    let (base, max_wait) = (base.get(), max_wait.get());
    if let (Some(base), Some(max_wait)) = (base, max_wait)
        && max_wait < base
    {
        errors.push(&item.tokens, "`max_wait` is shorter than `base`, the first wait; make it longer");
    }
    let max_attempts = if never.given() { Some(1) } else { max_attempts.get() };
    Some(Retry { max_attempts, backoff: backoff.get(), base, max_wait, jitter: jitter.get() })
}

/// A whole number from 1 that a `u32` can hold.
fn countable(item: &Item, example: &str, what: &str, errors: &mut Errors) -> Option<u64> {
    let number = whole(item, example, errors)?;
    if number > u64::from(u32::MAX) {
        errors.push(&item.tokens, format!("so many {what} can't be counted; the most is 4294967295"));
        return None;
    }
    Some(number)
}

/// A whole number from 1.
fn whole(item: &Item, example: &str, errors: &mut Errors) -> Option<u64> {
    let literal: LitInt = item.assigned(errors, example, "a whole number from 1")?;
    match literal.base10_parse::<u64>() {
        Ok(number) if number >= 1 => Some(number),
        _ => {
            errors.push(&literal, format!("`{}` is at least 1", item.key()));
            None
        }
    }
}

/// A number from 0 to 1.
fn share(item: &Item, errors: &mut Errors) -> Option<f64> {
    let literal: LitFloat = item.assigned(errors, "0.2", "a number from 0.0 to 1.0")?;
    match literal.base10_parse::<f64>() {
        Ok(number) if (0.0..=1.0).contains(&number) => Some(number),
        _ => {
            errors.push(&literal, format!("`{}` is from 0.0 to 1.0", item.key()));
            None
        }
    }
}

fn duration(item: &Item, example: &str, errors: &mut Errors) -> Option<Duration> {
    let literal: LitStr = item.assigned(errors, &format!("\"{example}\""), "a duration")?;
    match duration::parse(&literal.value()) {
        Ok(duration) => Some(duration),
        Err(problem) => {
            errors.push(&literal, problem);
            None
        }
    }
}

/// One of some words, as the variant it stands for.
fn word(item: &Item, words: &[(&str, &str)], errors: &mut Errors) -> Option<Ident> {
    let known = || words.iter().map(|(word, _)| *word);
    let example = known().collect::<Vec<_>>().join(" | ");
    let given: Ident = item.assigned(errors, &example, "a word without quotes")?;
    match words.iter().find(|(word, _)| given == *word) {
        Some((_, variant)) => Some(Ident::new(variant, given.span())),
        None => {
            let hint = suggest::did_you_mean(&given.to_string(), known());
            let message = format!("`{}` can't be `{given}`; {hint}there are {}", item.key(), suggest::list(known()));
            errors.push(&given, message);
            None
        }
    }
}

fn milliseconds(duration: Duration) -> TokenStream {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let milliseconds = proc_macro2::Literal::u64_unsuffixed(milliseconds);
    quote!(::core::time::Duration::from_millis(#milliseconds))
}
