//! What a handler says at its end: handled, skipped, snoozed, discarded, or an error and whether it is worth a retry.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

/// What an inbox returns. Any error type converts into [`InboxError`] by `?`.
pub type InboxResult = Result<Outcome, InboxError>;

/// How a handler ended without an error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The side effect happened.
    Handled,
    /// The event does not concern this inbox, and why.
    Skipped(Cow<'static, str>),
    /// Not now: it is delivered again at that time, and no attempt is counted. A second from now at the earliest, in a hundred
    /// years at the latest.
    Snoozed(DateTime<Utc>),
    /// Given up for good without a dead letter, and why.
    Discarded(Cow<'static, str>),
}

/// The side effect happened.
///
/// # Errors
/// None; the type is that of a handler.
pub fn handled() -> InboxResult {
    Ok(Outcome::Handled)
}

/// The event does not concern this inbox.
///
/// # Errors
/// None; the type is that of a handler.
pub fn skipped(why: impl Into<Cow<'static, str>>) -> InboxResult {
    Ok(Outcome::Skipped(why.into()))
}

/// Deliver it again at that time, without counting an attempt.
///
/// # Errors
/// None; the type is that of a handler.
pub fn snoozed(until: DateTime<Utc>) -> InboxResult {
    Ok(Outcome::Snoozed(until))
}

/// Give it up for good, without a dead letter.
///
/// # Errors
/// None; the type is that of a handler.
pub fn discarded(why: impl Into<Cow<'static, str>>) -> InboxResult {
    Ok(Outcome::Discarded(why.into()))
}

/// Whether and when a failed delivery is tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// By the inbox's retry policy.
    #[default]
    Policy,
    /// Never: it becomes a dead letter at once.
    Never,
    /// After this long, whatever the policy's backoff says; the policy's maximum of attempts still holds.
    After(Duration),
}

/// Where a failure came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    Handler,
    Decode,
    Panic,
    TimedOut,
}

impl ErrorKind {
    /// The word that failure rows and events of `tracing` use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Handler => "error",
            Self::Decode => "undecodable",
            Self::Panic => "panic",
            Self::TimedOut => "timeout",
        }
    }
}

/// Why a delivery failed. Made from any error by `?`, or from a message.
///
/// Like `anyhow::Error` it is no `std::error::Error` itself, so that every error can become one.
///
/// ```
/// use event_core::{InboxError, Retry};
/// let error = InboxError::new("the mail server said no").no_retry();
/// assert_eq!(error.retry(), Retry::Never);
/// ```
pub struct InboxError {
    message: String,
    kind: ErrorKind,
    retry: Retry,
}

impl InboxError {
    /// An error with this message, retried by the inbox's policy.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), kind: ErrorKind::Handler, retry: Retry::Policy }
    }

    pub(crate) fn of_kind(kind: ErrorKind, message: impl Into<String>) -> Self {
        // What can't be decoded will not decode better by waiting.
        let retry = if kind == ErrorKind::Decode { Retry::Never } else { Retry::Policy };
        Self { message: message.into(), kind, retry }
    }

    /// The same error, not worth a retry: a dead letter at once.
    #[must_use]
    pub fn no_retry(mut self) -> Self {
        self.retry = Retry::Never;
        self
    }

    /// The same error, to be tried again after this long.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry = Retry::After(delay);
        self
    }

    /// Whether and when it is tried again.
    pub fn retry(&self) -> Retry {
        self.retry
    }

    /// The message, with those of the errors below it.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// How errors of a storage crate's own kinds are told without the values that they quote.
#[doc(hidden)]
pub struct ErrorText(pub fn(&(dyn Error + 'static)) -> Option<String>);

inventory::collect!(ErrorText);

impl ErrorText {
    fn of(error: &(dyn Error + 'static)) -> Option<String> {
        inventory::iter::<Self>.into_iter().find_map(|text| (text.0)(error))
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for InboxError {
    fn from(error: E) -> Self {
        let mut message = String::new();
        let mut next: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(cause) = next {
            let told = ErrorText::of(cause);
            // What is below an error that was told in other words quotes what those leave out.
            next = if told.is_some() { None } else { cause.source() };
            let text = told.unwrap_or_else(|| cause.to_string());
            if message.is_empty() {
                message = text;
                continue;
            }
            // Many errors print their source themselves.
            if !message.ends_with(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
        }
        Self::new(message)
    }
}

impl fmt::Display for InboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for InboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxError")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("retry", &self.retry)
            .finish()
    }
}

/// Says of an error, on its way through `?`, whether it is worth a retry.
///
/// ```
/// use event_core::{InboxResult, RetryExt, handled};
/// fn parse(text: &str) -> InboxResult {
///     let _number: u32 = text.parse().no_retry()?;
///     handled()
/// }
/// assert!(parse("x").is_err());
/// ```
pub trait RetryExt<T> {
    /// Not worth a retry: a dead letter at once.
    ///
    /// # Errors
    /// The error that was there.
    fn no_retry(self) -> Result<T, InboxError>;

    /// To be tried again after this long.
    ///
    /// # Errors
    /// The error that was there.
    fn retry_after(self, delay: Duration) -> Result<T, InboxError>;
}

impl<T, E: Into<InboxError>> RetryExt<T> for Result<T, E> {
    fn no_retry(self) -> Result<T, InboxError> {
        self.map_err(|error| error.into().no_retry())
    }

    fn retry_after(self, delay: Duration) -> Result<T, InboxError> {
        self.map_err(|error| error.into().retry_after(delay))
    }
}
