//! Everything that declaring, recording, reading and handling events needs: `use event_sea_orm::prelude::*;`.

pub use event_core::{
    Action, ActorOf, ActorRef, AnyEvent, AttachmentId, Attempt, Backoff, DecodeError, Delivery, DomainEvent, Draft,
    EncodeError, Event, EventContext, EventDefaults, EventOf, EventRef, FromDelivery, Inbox, InboxError, InboxResult,
    Labels, LogName, Metadata, Needs, Outcome, RecordOn, Recorded, Recording, RecordingError, Retry, RetryExt,
    RetryPolicy, Saved, Settings, Start, State, States, StoredEvent, SubjectRef, Throttle, discarded, handled, inbox,
    skipped, snoozed, with_context,
};

pub use crate::{
    Actor, AnyEntry, AnyFeed, Batch, Db, Dispatcher, EntityEvents, Entry, EventFeed, EventTree, Feed, FeedError, KeyOf,
    ModelEvents, Page, PageToken, RecordChanges, RecordConnection, RecordError, Retention, SaveDraft, SaveRecording,
    StateMachine, StateTransition, Subject, TextKey, Transact, TransitionError, Txn, actor_of, any_feed, migrate,
    record_many, subject_of,
};
#[cfg(feature = "attachments")]
pub use crate::{Attachment, AttachmentError, Attachments};
