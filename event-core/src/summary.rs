//! Sentences: an event rendered from its action's template and its stored metadata.
//!
//! Rendered from JSON, so that no field needs `Display`, and an event whose enum is not linked still reads.

use serde_json::Value;

use crate::metadata::Metadata;
use crate::recorded::StoredEvent;
use crate::registry;

/// The names that stand for the subject and the actor of a sentence; empty ones are rendered as `issue 7`, `user 3`, `system`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// The subject's name.
    pub subject: Option<String>,
    /// The actor's name.
    pub actor: Option<String>,
}

impl StoredEvent {
    /// The event as a sentence: its action's `summary`, or one made of its action's words.
    ///
    /// ```
    /// # use event_core::{StoredEvent, EventRef, SubjectRef, Labels, Metadata};
    /// # let now = chrono::Utc::now();
    /// let event = StoredEvent::new(EventRef::new("events", 1), SubjectRef::new("issue", 7), "closed", Metadata::new(), now, now);
    /// assert_eq!(event.summary(&Labels::default()), "system: closed (issue 7)");
    /// ```
    pub fn summary(&self, labels: &Labels) -> String {
        let Some((event, action)) = registry::describe(self) else {
            return self.summary_from(None, &self.action, &self.metadata, labels);
        };
        // A template names the fields of today; what can't be brought there is shown as far as it goes.
        match action.upcast(event.name(), self.version, &self.metadata) {
            Ok(metadata) => self.summary_from(action.summary(), action.name(), &metadata, labels),
            Err(_) => self.summary_from(action.summary(), action.name(), &self.metadata, labels),
        }
    }

    fn summary_from(&self, template: Option<&str>, action: &str, metadata: &Metadata, labels: &Labels) -> String {
        let subject = || labels.subject.clone().unwrap_or_else(|| self.subject.to_string());
        let actor = || match (&labels.actor, &self.actor) {
            (Some(label), _) => label.clone(),
            (None, Some(actor)) => actor.to_string(),
            (None, None) => "system".to_owned(),
        };
        let Some(template) = template else {
            return format!("{}: {} ({})", actor(), action.replace('_', " "), subject());
        };
        let mut sentence = String::with_capacity(template.len() + 32);
        for piece in pieces(template) {
            match piece {
                Piece::Text(text) => sentence.push_str(text),
                Piece::Brace(brace) => sentence.push(brace),
                Piece::Name("subject") => sentence.push_str(&subject()),
                Piece::Name("actor") => sentence.push_str(&actor()),
                Piece::Name(path) => sentence.push_str(&shown(lookup(metadata, path))),
            }
        }
        sentence
    }
}

enum Piece<'a> {
    Text(&'a str),
    Brace(char),
    Name(&'a str),
}

/// The pieces of a template. The derive refused those with lone braces; what is malformed all the same is text.
fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        if at > 0 {
            pieces.push(Piece::Text(&rest[..at]));
        }
        let brace = if rest[at..].starts_with('{') { '{' } else { '}' };
        let after = &rest[at + 1..];
        if let Some(doubled) = after.strip_prefix(brace) {
            pieces.push(Piece::Brace(brace));
            rest = doubled;
        } else if brace == '{'
            && let Some((name, tail)) = after.split_once('}')
        {
            pieces.push(Piece::Name(name.trim()));
            rest = tail;
        } else {
            pieces.push(Piece::Brace(brace));
            rest = after;
        }
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

fn lookup<'a>(metadata: &'a Metadata, path: &str) -> Option<&'a Value> {
    let mut names = path.split('.');
    let mut value = metadata.get(names.next()?)?;
    for name in names {
        value = value.get(name)?;
    }
    Some(value)
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "nothing".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => {
            let items: Vec<_> = items.iter().map(|item| shown(Some(item))).collect();
            items.join(", ")
        }
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use serde_json::json;

    use super::*;
    use crate::names::{ActorRef, EventRef, SubjectRef};

    fn event(metadata: Value) -> StoredEvent {
        let Value::Object(metadata) = metadata else { panic!("no object") };
        let now = Utc::now();
        StoredEvent::new(EventRef::new("events", 1), SubjectRef::new("issue", 7), "status_changed", metadata, now, now)
    }

    #[test]
    fn fields_come_from_the_metadata_and_names_from_the_labels() {
        let mut event = event(json!({"from": "open", "to": null, "by": {"name": "x"}, "tags": ["a", 1]}));
        event.actor = Some(ActorRef::new("user", 3));
        let summary = |template, labels: &Labels| event.summary_from(template, &event.action, &event.metadata, labels);
        let template = Some("{actor} {{changed}} {subject}: {from} to {to}, {by.name}, {tags}");
        assert_eq!(summary(template, &Labels::default()), "user 3 {changed} issue 7: open to nothing, x, a, 1");
        let labels = Labels { subject: Some("Broken".into()), actor: Some("Ada".into()) };
        assert_eq!(summary(Some("{actor}: {subject}"), &labels), "Ada: Broken");
        assert_eq!(summary(None, &labels), "Ada: status changed (Broken)");
    }
}
