//! Inboxes: what the `#[inbox]` macro describes, what a handler is given, and what it says at the end.

mod arguments;
mod delivery;
mod descriptor;
mod loaded;
mod needs;
pub(crate) mod outcome;
mod state;

pub use arguments::{AnyEvent, Event, EventArgument};
pub(crate) use delivery::Place;
pub use delivery::{Attempt, Delivery, FromDelivery, OptionalFromDelivery};
#[doc(hidden)]
pub use descriptor::InboxParts;
pub use descriptor::{ActionRef, Backoff, Inbox, InboxDescriptor, RetryPolicy, Settings, Start};
pub(crate) use loaded::LoadedEvent;
pub use needs::{Needs, TakenEvents};
pub(crate) use outcome::ErrorKind;
pub use outcome::{InboxError, InboxResult, Outcome, Retry, RetryExt, discarded, handled, skipped, snoozed};
pub use state::{State, States};
