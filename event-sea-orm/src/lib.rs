//! Domain events on SeaORM: recorded in your own transaction, read as feeds, handled by inboxes.
//!
//! | task | where |
//! |---|---|
//! | make the tables | [`migrate`], or [`migration::all`] in your own migrator |
//! | record | `issue.record(event).by(&user).save(txn)` ([`ModelEvents`], [`SaveRecording`]), [`record_many`] |
//! | a transaction to record in | `db.transact(async \|txn\| ...)` ([`Transact`]) |
//! | read | `issue.feed::<IssueEvent>().page(db)`, `IssueEvent::feed()` ([`Feed`]), [`any_feed`] |
//!
//! SQLite is complete; PostgreSQL and MySQL/MariaDB come next, and are refused by [`UnsupportedBackend`] until then.

mod backend;
mod feed;
mod key;
pub mod migration;
pub mod prelude;
mod record;
mod row;
mod transact;
mod wake;

pub use event_core;

pub use backend::UnsupportedBackend;
pub use feed::{
    ActorEntities, AnyEntry, AnyFeed, BadToken, Entry, EventFeed, Feed, FeedError, PAGE_DEFAULT, PAGE_MAX, Page,
    PageToken, any_feed,
};
pub use key::{KeyOf, TextKey};
pub use migration::migrate;
pub use record::{ModelEvents, RecordError, SaveRecording, actor_of, record_many, subject_of};
pub use row::RowError;
pub use transact::Transact;
