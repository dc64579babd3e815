//! Typed domain events, inboxes found at link time, and the dispatcher between them.
//!
//! This crate knows no database: storage is one trait ([`storage::Storage`]), implemented by an in-memory log here and by
//! `event-sea-orm` for SQLite, PostgreSQL and MariaDB. Most users depend on both and write
//! `use event_sea_orm::prelude::*;`.

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod clock;
pub mod context;
pub mod cursor;
pub mod dispatch;
mod event;
pub mod inbox;
mod limits;
pub mod lock;
pub mod memory;
mod metadata;
mod names;
mod recorded;
mod recording;
pub mod registry;
mod schema;
pub mod storage;
mod summary;
pub mod testing;
mod throttle;
mod upcast;
pub mod wake;

pub use clock::Clock;
pub use context::{EventContext, EventDefaults, with_context};
pub use dispatch::Dispatcher;
pub use event::{Action, ActionDescriptor, ActorDescriptor, ActorOf, DomainEvent, EventDescriptor, EventOf};
#[doc(no_inline)]
pub use inbox::{
    ActionRef, AnyEvent, Attempt, Backoff, Delivery, Event, EventArgument, FromDelivery, Inbox, InboxDescriptor,
    InboxError, InboxResult, Needs, OptionalFromDelivery, Outcome, Retry, RetryExt, RetryPolicy, Settings, Start,
    State, States, discarded, handled, skipped, snoozed,
};
pub use limits::{EVENT_BYTES_DEFAULT, event_bytes_max, set_event_bytes_max};
pub use metadata::{DecodeError, EncodeError, Metadata, StoredMetadata};
pub use names::{
    ActionName, ActorRef, AttachmentId, EventRef, ID_MAX, KEY_MAX, KeyText, Location, LogName, NAME_MAX, SHARED_LOG,
    SubjectRef,
};
pub use recorded::{Recorded, StoredEvent};
pub use recording::{ATTACHMENTS_MAX, Draft, NewEvent, RecordOn, Recording, RecordingError, Saved};
pub use summary::Labels;
#[doc(hidden)]
pub use throttle::ThrottleState;
pub use throttle::{Throttle, ThrottleGate};

#[cfg(feature = "derive")]
pub use event_derive::{DomainEvent, inbox};
