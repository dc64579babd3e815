//! Domain events on SeaORM: recorded in your own transaction, read as feeds, handled by inboxes.
//!
//! ```
//! use event_sea_orm::prelude::*;
//! # use sea_orm::{ActiveModelTrait, ActiveValue::Set, Database, EntityTrait};
//! # mod issue {
//! #     use sea_orm::entity::prelude::*;
//! #     #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
//! #     #[sea_orm(table_name = "issues")]
//! #     pub struct Model { #[sea_orm(primary_key)] pub id: i64, pub title: String, pub open: bool }
//! #     #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
//! #     pub enum Relation {}
//! #     impl ActiveModelBehavior for ActiveModel {}
//! # }
//! # mod user {
//! #     use sea_orm::entity::prelude::*;
//! #     #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
//! #     #[sea_orm(table_name = "users")]
//! #     pub struct Model { #[sea_orm(primary_key)] pub id: i64, pub name: String }
//! #     #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
//! #     pub enum Relation {}
//! #     impl ActiveModelBehavior for ActiveModel {}
//! # }
//!
//! #[derive(Debug, serde::Serialize, serde::Deserialize, DomainEvent)]
//! #[event(subject(issue::Entity, label = title), actor(user::Entity, label = name))]
//! enum IssueEvent {
//!     #[event(summary = "{actor} closed {subject} ({reason})")]
//!     Closed { reason: String },
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let db = Database::connect("sqlite::memory:").await?;
//! # let schema = sea_orm::Schema::new(sea_orm::DbBackend::Sqlite);
//! # use sea_orm::ConnectionTrait;
//! # db.execute(&schema.create_table_from_entity(issue::Entity)).await?;
//! # db.execute(&schema.create_table_from_entity(user::Entity)).await?;
//! # let issue = issue::ActiveModel { title: Set("Broken".into()), open: Set(true), ..Default::default() };
//! # let issue = issue.insert(&db).await?;
//! # let user = user::ActiveModel { name: Set("Ada".into()), ..Default::default() }.insert(&db).await?;
//! event_sea_orm::migrate(&db).await?;
//!
//! db.transact(async |txn| {
//!     let closed = issue::ActiveModel { id: Set(issue.id), open: Set(false), ..Default::default() };
//!     let issue = closed.update(txn).await?;
//!     issue.record(IssueEvent::Closed { reason: "done".into() }).by(&user).save(txn).await
//! })
//! .await?;
//!
//! for entry in &issue.feed::<IssueEvent>().page(&db).await? {
//!     println!("{}", entry.summary()); // Ada closed Broken (done)
//! #   assert_eq!(entry.summary(), "Ada closed Broken (done)");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! | task | where |
//! |---|---|
//! | make the tables | [`migrate`], or [`migration::all`] in your own migrator |
//! | record | `issue.record(event).by(&user).save(txn)` ([`ModelEvents`], [`SaveRecording`]), [`record_many`] |
//! | a transaction to record in | `db.transact(async \|txn\| ...)` ([`Transact`]) |
//! | change a state, with its event | `issue.start(txn).by(&user).await` ([`StateMachine`](trait@StateMachine)) |
//! | a file with an event | `Attachments` (feature `attachments`) |
//! | read | `issue.feed::<IssueEvent>().page(db)`, `IssueEvent::feed()` ([`Feed`]), [`any_feed`] |
//!
//! The databases are features: `sqlite` (default), `postgres`, `mysql` (MariaDB too); without its feature one is refused by
//! [`UnsupportedBackend`].

// A build without SQLite leaves some of what it has in common with the others without a caller.
#![cfg_attr(not(feature = "sqlite"), allow(dead_code, unused_imports, unused_variables))]

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
#[cfg(feature = "attachments")]
mod attachments;
mod backend;
mod db_error;
mod exact;
mod feed;
mod inbox;
mod key;
pub mod migration;
mod names;
mod only_connection;
mod own_table;
pub mod prelude;
mod record;
mod row;
mod storage;
#[cfg(feature = "tower")]
pub mod tower;
mod transact;
mod transition;
mod wake;
mod watch;

pub use event_core;
pub use event_derive::StateMachine;
#[cfg(feature = "attachments")]
pub use object_store;

#[cfg(feature = "attachments")]
pub use attachments::{Attachment, AttachmentError, Attachments, Stray, Swept};
pub use backend::UnsupportedBackend;
pub use db_error::DatabaseError;
pub use feed::{
    ActorEntities, AnyEntry, AnyFeed, BadToken, Entry, EventFeed, EventNode, EventTree, Feed, FeedError, PAGE_DEFAULT,
    PAGE_MAX, Page, PageToken, any_feed,
};
pub use inbox::{Actor, Db, Subject, Txn, TxnPart};
pub use key::{KeyOf, TextKey};
pub use migration::migrate;
pub use record::{
    AtomicBlock, AttachmentRefusal, Batch, Changed, DeleteAll, EntityEvents, ModelEvents, RecordChanges,
    RecordConnection, RecordError, SaveDraft, SaveRecording, UpdateAll, actor_of, record_many, subject_of,
};
pub use row::RowError;
pub use storage::{
    Held, InboxTransaction, LogRetention, Proof, Retention, RetentionError, RetentionReport, SeaStorage,
};
pub use transact::Transact;
pub use transition::{StateMachine, StateTransition, TransitionError, Transitioned, Transitioning};
pub use watch::{Unrecorded, Watch, WatchError, Watching};

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

/// The README's snippet, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The chapters' snippets, compiled.
#[cfg(doctest)]
mod chapters {
    #[doc = include_str!("../../docs/typed-tables.md")]
    struct TypedTables;

    #[doc = include_str!("../../docs/recording.md")]
    struct Recording;

    #[doc = include_str!("../../docs/set-based.md")]
    struct SetBased;

    #[doc = include_str!("../../docs/retention.md")]
    struct Retention;

    #[doc = include_str!("../../docs/evolution.md")]
    struct Evolution;

    #[doc = include_str!("../../docs/state-machines.md")]
    struct StateMachines;

    #[cfg(feature = "attachments")]
    #[doc = include_str!("../../docs/attachments.md")]
    struct Attachments;
}
