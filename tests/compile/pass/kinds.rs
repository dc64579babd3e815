//! Every kind of variant, attribute and place an enum may have, without a warning.
#![deny(warnings)]
#![deny(missing_docs)]

pub mod issue {
    //! A model.
    /// The entity.
    pub struct Entity;
    /// Its columns.
    pub enum Column {
        /// A title.
        Title,
        /// A kind.
        Type,
    }
}

mod user {
    pub struct Entity;
    #[allow(dead_code)]
    pub enum Column {
        Name,
    }
}

struct ApiKey;

mod events {
    use event_core::DomainEvent;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    pub struct Line {
        pub price: i64,
    }

    #[derive(Serialize, Deserialize)]
    pub struct NoSchema;

    /// Events.
    #[derive(Serialize, Deserialize, DomainEvent)]
    #[event(subject(super::issue::Entity, label = r#type), log = "other_events")]
    #[event(actor(super::user::Entity, label = name), actor(crate::ApiKey))]
    #[serde(rename_all = "kebab-case", rename_all_fields = "camelCase")]
    pub(crate) enum IssueEvent {
        #[event(summary = "{actor} opened {subject} {{really}}")]
        Created,
        #[event(summary = "{subject}: {price} and {line.price}")]
        LineAdded(Line),
        #[event(version = 3, summary = "{actor} set {type} of {subject} from {old_value} to {inner.deep.name}")]
        Changed {
            r#type: i64,
            old_value: Option<Option<Vec<NoSchema>>>,
            #[serde(default)]
            inner: Vec<Line>,
            #[serde(flatten)]
            more: std::collections::BTreeMap<String, i64>,
            #[serde(skip)]
            skipped: NoDefaultSchema,
        },
        #[event(allow(tense), name = "heartbeat")]
        #[deprecated]
        Beat {},
        #[event(allow(tense))]
        NeededOrNotClosed,
    }

    #[derive(Default)]
    pub struct NoDefaultSchema;
}

fn function_local() {
    use event_core::{Action as _, DomainEvent, Event, InboxResult, handled, inbox};
    use serde::{Deserialize, Serialize};

    struct Local;

    #[derive(Serialize, Deserialize, DomainEvent)]
    #[event(subject(Local), actor(ApiKey))]
    enum LocalEvent {
        Created,
    }

    #[inbox(on(Created))]
    async fn local(_event: Event<LocalEvent>) -> InboxResult {
        handled()
    }

    assert_eq!(LocalEvent::Created.action(), LocalEventAction::Created);
    assert_eq!(LocalEventAction::from(&LocalEvent::Created).name(), "created");
}

/// Paths that a macro passes on, and a type of another crate.
mod through_a_macro {
    use event_core::DomainEvent;
    use serde::{Deserialize, Serialize};

    macro_rules! events {
        ($name:ident, $subject:path, $actor:ty, $field:ty) => {
            #[derive(Serialize, Deserialize, DomainEvent)]
            #[event(subject($subject, label = title), actor($actor))]
            pub(crate) enum $name {
                Opened { field: $field },
                LinkAdded(#[serde(skip)] super::events::NoDefaultSchema),
            }
        };
    }
    events!(MacroEvent, super::issue::Entity, std::string::String, Option<Vec<i64>>);
}

/// A name that the prelude has is no trouble.
mod shadowed {
    #![allow(dead_code, non_camel_case_types)]
    use event_core::DomainEvent;
    use serde::{Deserialize, Serialize};

    struct Some;
    struct Option;
    struct Result;
    struct Vec;
    struct Box;
    struct String;

    struct Thing;

    #[derive(Serialize, Deserialize, DomainEvent)]
    #[event(subject(Thing, label = title))]
    enum ThingEvent {
        #[event(name = "oked")]
        Ok,
        #[event(name = "noned")]
        None { seen: bool },
    }
}

fn main() {
    use event_core::Action;
    let opened = through_a_macro::MacroEventAction::Opened.descriptor();
    assert_eq!(opened.schema().get("required"), None);
    let _ = (through_a_macro::MacroEventAction::ALL, events::IssueEventAction::ALL);
    function_local();
}
