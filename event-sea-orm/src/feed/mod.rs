//! Feeds: what happened to a subject, by an actor, or at all, newest first, a page at a time.

mod any;
mod error;
mod labels;
mod page;
mod query;
mod size;
mod token;
mod tree;
mod typed;

pub use any::{AnyFeed, any_feed};
pub use error::FeedError;
pub use labels::ActorEntities;
pub use page::{AnyEntry, Entry, Page};
pub use token::{BadToken, PageToken};
pub use tree::{EventNode, EventTree};
pub use typed::{EventFeed, Feed};

/// The most entries that a page can have.
pub const PAGE_MAX: u64 = 500;

/// How many entries a page has when nobody says.
pub const PAGE_DEFAULT: u64 = 20;
