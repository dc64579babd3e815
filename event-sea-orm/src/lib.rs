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
mod inbox;
mod key;
pub mod migration;
pub mod prelude;
mod record;
mod row;
mod storage;
mod transact;
mod wake;

pub use event_core;

pub use backend::UnsupportedBackend;
pub use feed::{
    ActorEntities, AnyEntry, AnyFeed, BadToken, Entry, EventFeed, Feed, FeedError, PAGE_DEFAULT, PAGE_MAX, Page,
    PageToken, any_feed,
};
pub use inbox::{Actor, Db, Subject, Txn};
pub use key::{KeyOf, TextKey};
pub use migration::migrate;
pub use record::{ModelEvents, RecordError, SaveRecording, actor_of, record_many, subject_of};
pub use row::RowError;
pub use storage::SeaStorage;
pub use transact::Transact;

/// The dispatcher over SeaORM: `Dispatcher::builder(&db)`.
///
/// ```
/// # async fn example(db: sea_orm::DatabaseConnection) -> Result<(), Box<dyn std::error::Error>> {
/// use event_sea_orm::prelude::*;
/// let report = Dispatcher::builder(&db).build()?.drain().await?;
/// println!("{} handled", report.total().handled);
/// # Ok(()) }
/// ```
pub type Dispatcher = event_core::Dispatcher<SeaStorage>;

/// The test kit over SeaORM: `TestKit::new(&db, |dispatcher| dispatcher)`.
pub type TestKit = event_core::testing::TestKit<SeaStorage>;
