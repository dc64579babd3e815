//! One webhook payload: typed values taken from it by path, and what is said when they are not there.

use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A payload of the file.
#[derive(Clone, Debug)]
pub struct Payload {
    /// GitHub's name of the webhook: `issues`, `label`.
    pub event: String,
    /// Where it stands in the file: `[2].examples[0]`.
    pub place: String,
    /// What GitHub sent.
    pub body: Value,
}

/// A payload lacks something, or has it in another form. Never holds the payload's own texts.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("payload {place} (`{event}`): `{path}` {problem}")]
pub struct PayloadError {
    place: String,
    event: String,
    path: String,
    problem: String,
}

impl Payload {
    /// The action.
    pub fn action(&self) -> Result<&str, PayloadError> {
        match self.body.get("action") {
            Some(Value::String(action)) => Ok(action),
            Some(_) => Err(self.error("action", "is no text")),
            None => Err(self.error("action", "is missing")),
        }
    }

    /// The webhook and its action, if it has one: `issues.opened`, `fork`.
    pub fn name(&self) -> String {
        match self.body.get("action").and_then(Value::as_str) {
            Some(action) => format!("{}.{action}", self.event),
            None => self.event.clone(),
        }
    }

    /// The value at a path (`issue.title`).
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, PayloadError> {
        self.find(path)?.ok_or_else(|| self.error(self.first_missing(path), "is missing"))
    }

    /// The value at a path, if there is one; null is none.
    pub fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, PayloadError> {
        let value = path.split('.').try_fold(&self.body, |value, key| value.get(key));
        match value {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_path_to_error::deserialize(value).map(Some).map_err(|error| self.wrong(path, &error)),
        }
    }

    /// What makes recording it twice impossible: its name, and a hash of all that it says. At most 128 characters.
    pub fn key(&self) -> String {
        let mut body = self.body.clone();
        // Objects are sorted already unless some crate switches on serde_json's `preserve_order`.
        body.sort_all_objects();
        let hash = Sha256::digest(body.to_string());
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let name: String = self.name().chars().take(60).collect();
        format!("{name}:{hash}")
    }

    /// The shortest part of the path that is not there.
    fn first_missing<'p>(&self, path: &'p str) -> &'p str {
        let mut value = &self.body;
        let mut end = 0;
        for key in path.split('.') {
            end += key.len();
            match value.get(key) {
                None | Some(Value::Null) => return &path[..end],
                Some(inner) => value = inner,
            }
            end += 1;
        }
        path
    }

    fn wrong(&self, path: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> PayloadError {
        let inner = error.path().to_string();
        let mut path = if inner == "." { path.to_owned() } else { format!("{path}.{inner}") };
        let reason = error.inner().to_string();
        // serde reports a missing field at its parent; the user looks for the field itself.
        if let Some(field) = reason.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            path = format!("{path}.{field}");
            return self.error(path, "is missing");
        }
        // What was found instead is the payload's own text: only what was expected is said.
        let problem = match reason.rsplit_once("expected ") {
            Some((_, expected)) => format!("is not {expected}"),
            None => format!("can't be read: {reason}"),
        };
        self.error(path, problem)
    }

    fn error(&self, path: impl Into<String>, problem: impl Into<String>) -> PayloadError {
        PayloadError { place: self.place.clone(), event: self.name(), path: path.into(), problem: problem.into() }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Issue {
        #[serde(rename = "id")]
        _id: i64,
    }

    fn payload(body: Value) -> Payload {
        Payload { event: "issues".to_owned(), place: "[0].examples[1]".to_owned(), body }
    }

    #[test]
    fn what_is_missing_is_named_by_its_whole_path_and_nothing_of_the_payload_is_repeated() {
        let payload = payload(json!({"action": "opened", "issue": {"id": "my secret", "user": null}, "label": {}}));
        let said = |path: &str| payload.get::<Issue>(path).map(|_| ()).unwrap_err().to_string();
        assert_eq!(said("sender.id"), "payload [0].examples[1] (`issues.opened`): `sender` is missing");
        assert_eq!(said("issue.user"), "payload [0].examples[1] (`issues.opened`): `issue.user` is missing");
        assert_eq!(said("label"), "payload [0].examples[1] (`issues.opened`): `label.id` is missing");
        assert_eq!(said("issue"), "payload [0].examples[1] (`issues.opened`): `issue.id` is not i64");
    }

    #[test]
    fn the_key_stands_for_the_content_and_not_for_its_order() {
        let one = payload(serde_json::from_str(r#"{"action": "x", "a": {"b": 1, "c": [2, 3]}}"#).unwrap());
        let same = payload(serde_json::from_str(r#"{"a": {"c": [2, 3], "b": 1}, "action": "x"}"#).unwrap());
        let other = payload(serde_json::from_str(r#"{"a": {"c": [3, 2], "b": 1}, "action": "x"}"#).unwrap());
        assert_eq!(one.key(), same.key());
        assert_ne!(one.key(), other.key());
        assert!(one.key().starts_with("issues.x:") && one.key().len() == 9 + 64, "{}", one.key());
    }
}
