//! Recording: from a loaded model and an event to one row of a log, in the caller's own transaction.

mod all;
pub(crate) mod atomic;
pub(crate) mod attach;
mod batch;
pub(crate) mod changes;
mod counted;
mod error;
pub(crate) mod insert;
mod many;
pub(crate) mod one;
mod throttle;

use event_core::{ActorOf, ActorRef, DomainEvent, Draft, EventOf, Recording, Saved, SubjectRef};
use sea_orm::{ConnectionTrait, ModelTrait};

pub use all::{Changed, DeleteAll, EntityEvents, UpdateAll};
pub use atomic::{AtomicBlock, RecordConnection};
pub use batch::Batch;
pub use changes::{RecordChanges, column_names};
pub use error::{AttachmentRefusal, RecordError};
pub use many::record_many;

use crate::feed::Feed;
use crate::key::{KeyOf, TextKey, key_of};

/// What every SeaORM model can do with the events of its entity.
pub trait ModelEvents: ModelTrait {
    /// Starts a recording of `event` on this model.
    ///
    /// Only events of this model compile; this does not, and compiles as soon as it is recorded on a `project::Model`:
    ///
    /// ```compile_fail,E0277
    /// # use event_sea_orm::prelude::*;
    /// # mod issue {
    /// #     use sea_orm::entity::prelude::*;
    /// #     #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    /// #     #[sea_orm(table_name = "issues")]
    /// #     pub struct Model { #[sea_orm(primary_key)] pub id: i64 }
    /// #     #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    /// #     pub enum Relation {}
    /// #     impl ActiveModelBehavior for ActiveModel {}
    /// # }
    /// # mod project {
    /// #     use sea_orm::entity::prelude::*;
    /// #     #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    /// #     #[sea_orm(table_name = "projects")]
    /// #     pub struct Model { #[sea_orm(primary_key)] pub id: i64 }
    /// #     #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    /// #     pub enum Relation {}
    /// #     impl ActiveModelBehavior for ActiveModel {}
    /// # }
    /// #[derive(serde::Serialize, serde::Deserialize, DomainEvent)]
    /// #[event(subject(project::Entity))]
    /// enum ProjectEvent {
    ///     Archived,
    /// }
    /// fn wrong(issue: &issue::Model) {
    ///     let _ = issue.record(ProjectEvent::Archived); // error: `ProjectEvent` is not an event of `issue::Entity`
    /// }
    /// ```
    ///
    /// ```
    /// # use event_sea_orm::prelude::*;
    /// # mod issue {
    /// #     use sea_orm::entity::prelude::*;
    /// #     #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    /// #     #[sea_orm(table_name = "issues")]
    /// #     pub struct Model { #[sea_orm(primary_key)] pub id: i64 }
    /// #     #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    /// #     pub enum Relation {}
    /// #     impl ActiveModelBehavior for ActiveModel {}
    /// # }
    /// # mod project {
    /// #     use sea_orm::entity::prelude::*;
    /// #     #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    /// #     #[sea_orm(table_name = "projects")]
    /// #     pub struct Model { #[sea_orm(primary_key)] pub id: i64 }
    /// #     #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    /// #     pub enum Relation {}
    /// #     impl ActiveModelBehavior for ActiveModel {}
    /// # }
    /// # #[derive(serde::Serialize, serde::Deserialize, DomainEvent)]
    /// # #[event(subject(project::Entity))]
    /// # enum ProjectEvent {
    /// #     Archived,
    /// # }
    /// fn right(project: &project::Model) -> Recording<ProjectEvent> {
    ///     project.record(ProjectEvent::Archived)
    /// }
    /// ```
    fn record<E>(&self, event: E) -> Recording<E>
    where
        E: EventOf<Self::Entity>,
        KeyOf<Self::Entity>: TextKey,
        Self: 'static,
    {
        Recording::of_model(event, key_of(self), self)
    }

    /// The feed of this model's events, newest first.
    fn feed<E>(&self) -> Feed<E>
    where
        E: EventOf<Self::Entity>,
        KeyOf<Self::Entity>: TextKey,
    {
        Feed::new().of(self)
    }
}

impl<M: ModelTrait> ModelEvents for M {}

/// The subject that events of `E` name when they are recorded on this model: `subject_of::<IssueEvent, _>(&issue)`.
pub fn subject_of<E, M>(model: &M) -> SubjectRef
where
    M: ModelTrait,
    E: EventOf<M::Entity>,
    KeyOf<M::Entity>: TextKey,
{
    SubjectRef::new(E::descriptor().subject(), key_of(model))
}

/// The actor that events of `E` name when this model did them: `actor_of::<IssueEvent, _>(&user)`.
pub fn actor_of<E, U>(user: &U) -> ActorRef
where
    E: DomainEvent,
    U: ModelTrait,
    U::Entity: ActorOf<E>,
    KeyOf<U::Entity>: TextKey,
{
    ActorRef::new(<U::Entity as ActorOf<E>>::NAME, key_of(user))
}

/// How a [`Recording`] learns who did it, and ends.
pub trait SaveRecording<E: DomainEvent>: Sized {
    /// The actor: a loaded model of a kind that the enum names in `actor(...)`.
    #[must_use = "nothing is recorded until `.save(...)` is awaited"]
    fn by<U>(self, user: &U) -> Recording<E>
    where
        U: ModelTrait,
        U::Entity: ActorOf<E>,
        KeyOf<U::Entity>: TextKey;

    /// Writes the event: one statement, a second one only when its idempotency key exists already. One with a throttle or
    /// with attachments is written in an atomic block with them: a transaction, or within a transaction a savepoint.
    ///
    /// On a transaction it is part of it; on a connection it is committed at once.
    ///
    /// # Errors
    /// Returns what is wrong with the recording before anything is written (`Invalid`, `BadKey`), a `KeyConflict`, an `Attachment` that
    /// can't be attached: a transaction that this is part of can go on after those. Any other error is the database's own, and on
    /// PostgreSQL ends the transaction that this is part of, with a throttle or without. `record_many` undoes itself there.
    fn save<C>(self, conn: &C) -> impl Future<Output = Result<Saved, RecordError>> + Send
    where
        C: RecordConnection;

    /// Writes the event in one statement, on whatever executes statements: for code that is given a `C: ConnectionTrait`, as SeaORM's
    /// `ActiveModelBehavior::after_save` is. Elsewhere use [`save`](Self::save).
    ///
    /// On a pool it is committed at once, apart from the row that the hook is called for: save the model in a transaction.
    ///
    /// # Errors
    /// Returns `NeedsBlock` for a recording with a throttle or attachments, which need several statements; else as [`save`](Self::save).
    ///
    /// # Examples
    /// The chapter on recording has the hook.
    ///
    /// ```
    /// # use event_sea_orm::prelude::*;
    /// # use sea_orm::ConnectionTrait;
    /// async fn audit<C: ConnectionTrait, E: DomainEvent>(conn: &C, event: E) -> Result<Saved, RecordError> {
    ///     event.on(7_i64).by_system().save_on(conn).await
    /// }
    /// ```
    fn save_on<C>(self, conn: &C) -> impl Future<Output = Result<Saved, RecordError>> + Send
    where
        C: ConnectionTrait;
}

/// How a [`Draft`] ends: as a [`Recording`], of whatever enum.
pub trait SaveDraft: Sized {
    /// As [`SaveRecording::save`].
    ///
    /// # Errors
    /// What is wrong with the recording, before anything is written; else what the database says.
    fn save<C>(self, conn: &C) -> impl Future<Output = Result<Saved, RecordError>> + Send
    where
        C: RecordConnection;

    /// As [`SaveRecording::save_on`].
    ///
    /// # Errors
    /// As [`SaveRecording::save_on`].
    fn save_on<C>(self, conn: &C) -> impl Future<Output = Result<Saved, RecordError>> + Send
    where
        C: ConnectionTrait;
}

impl SaveDraft for Draft {
    async fn save_on<C>(self, conn: &C) -> Result<Saved, RecordError>
    where
        C: ConnectionTrait,
    {
        one::save_on(self, conn).await
    }

    async fn save<C>(self, conn: &C) -> Result<Saved, RecordError>
    where
        C: RecordConnection,
    {
        one::save(self, conn).await
    }
}

impl<E: DomainEvent> SaveRecording<E> for Recording<E> {
    fn by<U>(self, user: &U) -> Recording<E>
    where
        U: ModelTrait,
        U::Entity: ActorOf<E>,
        KeyOf<U::Entity>: TextKey,
    {
        self.by_ref(actor_of::<E, U>(user))
    }

    async fn save<C>(self, conn: &C) -> Result<Saved, RecordError>
    where
        C: RecordConnection,
    {
        one::save(self.into(), conn).await
    }

    async fn save_on<C>(self, conn: &C) -> Result<Saved, RecordError>
    where
        C: ConnectionTrait,
    {
        one::save_on(self.into(), conn).await
    }
}
