//! The small names that events are found by: logs, subjects, actors, event references, places in the source.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// The most characters a log's, subject's, actor's, action's or inbox's name may have.
///
/// Every name is a column of an index on every database, and MySQL's index entries are short.
pub const NAME_MAX: usize = 64;

/// The most characters of a subject's or an actor's id.
pub const ID_MAX: usize = 128;

/// The most characters of an idempotency key, a correlation id and a batch id.
pub const KEY_MAX: usize = 128;

/// The name of the log that events go to when their enum names no other.
pub const SHARED_LOG: &str = "events";

/// The name of a log: the table its events are rows of.
///
/// ```
/// use event_core::LogName;
/// assert_eq!(LogName::from("events").as_str(), "events");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogName(Cow<'static, str>);

impl LogName {
    /// A name known at compile time; allocates nothing.
    pub const fn from_static(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for LogName {
    fn from(name: &'static str) -> Self {
        Self::from_static(name)
    }
}

impl From<String> for LogName {
    fn from(name: String) -> Self {
        Self(Cow::Owned(name))
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The name that an action was stored under (`status_changed`).
///
/// ```
/// use event_core::ActionName;
/// let action = ActionName::from("closed");
/// assert!(action == "closed" && action.as_str() == "closed" && action.starts_with("clo"));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActionName(Cow<'static, str>);

impl ActionName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for ActionName {
    fn from(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }
}

impl From<String> for ActionName {
    fn from(name: String) -> Self {
        Self(Cow::Owned(name))
    }
}

impl From<Cow<'static, str>> for ActionName {
    fn from(name: Cow<'static, str>) -> Self {
        Self(name)
    }
}

impl From<ActionName> for String {
    fn from(name: ActionName) -> Self {
        name.0.into_owned()
    }
}

impl Deref for ActionName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for ActionName {
    fn eq(&self, name: &str) -> bool {
        self.0 == name
    }
}

impl PartialEq<&str> for ActionName {
    fn eq(&self, name: &&str) -> bool {
        self.0 == *name
    }
}

impl PartialEq<String> for ActionName {
    fn eq(&self, name: &String) -> bool {
        self.0 == *name
    }
}

impl PartialEq<ActionName> for &str {
    fn eq(&self, name: &ActionName) -> bool {
        *self == name.0
    }
}

impl fmt::Display for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// One event, by its log and its id there. Ids of different logs say nothing about each other.
///
/// ```
/// use event_core::EventRef;
/// assert_eq!(EventRef::new("events", 7).to_string(), "events/7");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventRef {
    /// The log that holds the event.
    pub log: LogName,
    /// The event's id in that log; at least 1.
    pub id: i64,
}

impl EventRef {
    /// The event `id` of `log`.
    pub fn new(log: impl Into<LogName>, id: i64) -> Self {
        Self { log: log.into(), id }
    }
}

impl fmt::Display for EventRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.log, self.id)
    }
}

/// An attachment's id: a UUID in lower case. Attachments are kept by the storage crate; a recording only names them.
///
/// ```
/// use event_core::AttachmentId;
/// assert_eq!(AttachmentId::from("01997d3e-0000-7000-8000-000000000000").as_str().len(), 36);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttachmentId(String);

impl AttachmentId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it has the form of an id. What came from outside may be any text.
    pub fn is_valid(&self) -> bool {
        let form = |(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        };
        self.0.len() == 36 && self.0.bytes().enumerate().all(form)
    }
}

impl From<String> for AttachmentId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl From<&str> for AttachmentId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl fmt::Display for AttachmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an event happened to: the subject's stable name and its id as text.
///
/// ```
/// use event_core::SubjectRef;
/// assert_eq!(SubjectRef::new("issue", 7).to_string(), "issue 7");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SubjectRef {
    /// The subject's stable name, as the event's enum gives it (`issue`).
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// The subject's primary key as text.
    pub id: String,
}

impl SubjectRef {
    /// The subject `id` of this kind.
    pub fn new(kind: impl Into<Cow<'static, str>>, id: impl Into<KeyText>) -> Self {
        Self { kind: kind.into(), id: id.into().0 }
    }
}

impl fmt::Display for SubjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)
    }
}

/// Who made an event happen: the actor's stable name and its id as text.
///
/// ```
/// use event_core::ActorRef;
/// assert_eq!(ActorRef::new("user", 3).to_string(), "user 3");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActorRef {
    /// The actor's stable name, as the event's enum gives it (`user`).
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// The actor's primary key as text.
    pub id: String,
}

impl ActorRef {
    /// The actor `id` of this kind.
    pub fn new(kind: impl Into<Cow<'static, str>>, id: impl Into<KeyText>) -> Self {
        Self { kind: kind.into(), id: id.into().0 }
    }
}

impl fmt::Display for ActorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)
    }
}

/// A primary key as text: what a subject's or an actor's id is stored as.
///
/// Made from integers and text here; crates that know other key types (UUIDs, a database's own) give the text.
///
/// ```
/// use event_core::KeyText;
/// assert_eq!(KeyText::from(7_i64).as_str(), "7");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyText(String);

impl KeyText {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for KeyText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for KeyText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

macro_rules! key_text_from_integers {
    ($($integer:ty)*) => {$(
        impl From<$integer> for KeyText {
            fn from(key: $integer) -> Self {
                Self(key.to_string())
            }
        }
    )*};
}
key_text_from_integers!(i8 i16 i32 i64 u8 u16 u32 u64);

/// A place in the user's source, for errors that point at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The file, as the compiler names it.
    pub file: &'static str,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
