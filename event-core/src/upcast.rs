//! Upcasts: metadata that was stored under an older version of its action, brought to the current one step by step.

use std::borrow::Cow;
use std::fmt;

use crate::event::ActionDescriptor;
use crate::metadata::{self, DecodeError, Metadata};

/// One step: from a version to the next.
///
/// Made by the derive; its face changes with it.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Upcast {
    from: u32,
    run: fn(Metadata) -> Result<Metadata, String>,
}

impl Upcast {
    #[doc(hidden)]
    pub const fn new(from: u32, run: fn(Metadata) -> Result<Metadata, String>) -> Self {
        Self { from, run }
    }

    pub(crate) fn from(&self) -> u32 {
        self.from
    }
}

impl fmt::Debug for Upcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.from, u64::from(self.from) + 1)
    }
}

/// What an upcast gives: the metadata of the next version, or the reason why there is none.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "an upcast gives the metadata of the next version, and this one gives `{Self}`",
    label = "not an upcast",
    note = "write `fn(Metadata) -> Metadata`, or `fn(Metadata) -> Result<Metadata, E>` with an error that is `Display`"
)]
pub trait Upcasted {
    /// The reason is without values: it ends in logs and failure rows.
    fn into_result(self) -> Result<Metadata, String>;
}

impl Upcasted for Metadata {
    fn into_result(self) -> Result<Metadata, String> {
        Ok(self)
    }
}

impl<E: fmt::Display> Upcasted for Result<Metadata, E> {
    fn into_result(self) -> Result<Metadata, String> {
        self.map_err(|error| {
            metadata::redact_known(&error.to_string())
                .unwrap_or_else(|| "it refused (its message is left out, since it may quote a value)".to_owned())
        })
    }
}

impl ActionDescriptor {
    /// Whether metadata of that version is as the current one has it.
    pub(crate) fn is_current(&self, version: u32) -> bool {
        self.upcasts().iter().all(|step| step.from < version)
    }

    /// Metadata that was stored under `version`, as the current version has it: every step from there on, in order. What has no
    /// step is taken as it is.
    pub(crate) fn upcast<'m>(
        &self,
        event: &'static str,
        version: u32,
        metadata: &'m Metadata,
    ) -> Result<Cow<'m, Metadata>, DecodeError> {
        let mut metadata = Cow::Borrowed(metadata);
        for step in self.upcasts().iter().filter(|step| step.from >= version) {
            let failed = |reason| DecodeError::Upcast {
                event,
                action: self.name().to_owned(),
                version,
                from: step.from,
                reason,
            };
            metadata = Cow::Owned((step.run)(metadata.into_owned()).map_err(failed)?);
        }
        Ok(metadata)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    static ACTION: ActionDescriptor =
        ActionDescriptor::new("moved", "Moved", 4, None, None, |_| schemars::Schema::default()).with_upcasts(&[
            Upcast::new(1, |mut metadata| {
                metadata.insert("one".into(), true.into());
                Ok(metadata)
            }),
            Upcast::new(3, |mut metadata| {
                if metadata.remove("broken").is_some() {
                    return Err::<Metadata, _>("Ada is broken").into_result();
                }
                let order = metadata.len();
                metadata.insert("three".into(), order.into());
                Ok(metadata)
            }),
        ]);

    fn object(value: Value) -> Metadata {
        match value {
            Value::Object(map) => map,
            other => panic!("no object: {other}"),
        }
    }

    fn upcast(version: u32, value: Value) -> Result<Value, DecodeError> {
        let value = object(value);
        ACTION.upcast("Order", version, &value).map(|metadata| Value::Object(metadata.into_owned()))
    }

    #[test]
    fn every_step_from_the_stored_version_on_runs_in_order() {
        assert_eq!(upcast(1, json!({})).unwrap(), json!({"one": true, "three": 1}));
        for version in [2, 3] {
            assert_eq!(upcast(version, json!({})).unwrap(), json!({"three": 0}), "{version}");
        }
        assert_eq!(upcast(4, json!({"x": 1})).unwrap(), json!({"x": 1}));
    }

    #[test]
    fn a_step_that_fails_is_named_and_its_message_left_out() {
        let error = upcast(1, json!({"broken": "Ada"})).unwrap_err();
        assert!(matches!(&error, DecodeError::Upcast { event: "Order", version: 1, from: 3, .. }), "{error:?}");
        assert_eq!(
            error.to_string(),
            "metadata of `Order`, action `moved`, stored as version 1: the upcast from version 3 to the next: \
             it refused (its message is left out, since it may quote a value)"
        );
    }

    #[test]
    fn what_serde_says_is_kept_without_the_value() {
        let refused = serde_json::from_value::<i64>(json!("Ada")).map(|_| Metadata::new());
        assert_eq!(refused.into_result().unwrap_err(), "invalid type: string, expected i64");
    }
}
