//! Inboxes: what the `#[inbox]` macro describes, what a handler is given, and what it says at the end.

mod delivery;
mod descriptor;
mod outcome;
mod state;

pub(crate) use delivery::LoadedEvent;
pub use delivery::{
    AnyEvent, Attempt, Delivery, Event, EventArgument, FromDelivery, Needs, OptionalFromDelivery, TakenEvents,
};
#[doc(hidden)]
pub use descriptor::InboxParts;
pub use descriptor::{ActionRef, Backoff, Inbox, InboxDescriptor, RetryPolicy, Settings, Start};
pub(crate) use outcome::ErrorKind;
pub use outcome::{InboxError, InboxResult, Outcome, Retry, RetryExt, discarded, handled, skipped, snoozed};
pub use state::{State, States};
