//! The feed of one enum's events.

use std::marker::PhantomData;

use event_core::{Action, ActorOf, ActorRef, DomainEvent, EventOf, KeyText, LogName, SubjectRef, registry};
use sea_orm::{ConnectionTrait, EntityTrait, ModelTrait};

use super::labels::{self, ActorEntities};
use super::page::{Entry, Page};
use super::query::Query;
use super::{FeedError, PageToken};
use crate::key::{KeyOf, TextKey, key_of};
use crate::record::actor_of;

/// The events of `E`, newest first: made by [`IssueEvent::feed()`](EventFeed::feed) or
/// [`issue.feed::<IssueEvent>()`](crate::ModelEvents::feed), ended by [`page`](Self::page).
///
/// Filters of one kind widen each other (`.of(&a).of(&b)` is both), filters of several kinds narrow.
#[derive(Debug)]
#[must_use = "nothing is read until `.page(...)` is awaited"]
pub struct Feed<E> {
    query: Query,
    event: PhantomData<fn() -> E>,
}

impl<E> Clone for Feed<E> {
    fn clone(&self) -> Self {
        Self { query: self.query.clone(), event: PhantomData }
    }
}

/// `IssueEvent::feed()`.
pub trait EventFeed: DomainEvent {
    /// The feed of all events of this enum.
    ///
    /// ```
    /// # use event_sea_orm::prelude::*;
    /// # fn example<E: DomainEvent>() -> Feed<E> {
    /// E::feed().of_id(7).limit(50)
    /// # }
    /// ```
    fn feed() -> Feed<Self> {
        Feed::new()
    }
}

impl<E: DomainEvent> EventFeed for E {}

impl<E: DomainEvent> Feed<E> {
    pub(crate) fn new() -> Self {
        let event = E::descriptor();
        // Two enums may share a subject; what neither knows is shown, as an entry that can't be decoded.
        let beside =
            registry::events().iter().filter(|other| other.log() == event.log() && other.subject() == event.subject());
        let others = beside.flat_map(|other| other.actions()).flat_map(|action| action.names());
        let but = others.filter(|action| event.action(action).is_none()).collect();
        let query = Query { kind: Some(event.subject()), but, ..Query::of_logs([LogName::from_static(event.log())]) };
        Self { query, event: PhantomData }
    }

    /// Only events of this subject; call it again for further ones.
    pub fn of<M>(self, subject: &M) -> Self
    where
        M: ModelTrait,
        E: EventOf<M::Entity>,
        KeyOf<M::Entity>: TextKey,
    {
        self.of_id(key_of(subject))
    }

    /// Only events of the subject with this id.
    pub fn of_id(self, id: impl Into<KeyText>) -> Self {
        self.of_ids([id])
    }

    /// Only events of the subjects with these ids; of none, if there are none.
    pub fn of_ids(mut self, ids: impl IntoIterator<Item = impl Into<KeyText>>) -> Self {
        let kind = E::descriptor().subject();
        self.query.subjects.get_or_insert_default().extend(ids.into_iter().map(|id| SubjectRef::new(kind, id)));
        self
    }

    /// Only events that this actor made happen; call it again for further ones.
    pub fn by<U>(self, actor: &U) -> Self
    where
        U: ModelTrait,
        U::Entity: ActorOf<E>,
        KeyOf<U::Entity>: TextKey,
    {
        self.by_ref(actor_of::<E, U>(actor))
    }

    /// Only events that this actor made happen.
    pub fn by_ref(self, actor: ActorRef) -> Self {
        self.by_refs([actor])
    }

    /// Only events that these actors made happen; none, if there are none.
    pub fn by_refs(mut self, actors: impl IntoIterator<Item = ActorRef>) -> Self {
        self.query.actors.get_or_insert_default().extend(actors);
        self
    }

    /// Only these actions, also where they are stored under an alias.
    pub fn actions(mut self, actions: impl IntoIterator<Item = E::Action>) -> Self {
        let names = actions.into_iter().flat_map(|action| action.descriptor().names());
        self.query.actions.get_or_insert_default().extend(names.map(str::to_owned));
        self
    }

    /// How many entries a page has: 1 to 500, 20 if nobody says.
    pub fn limit(mut self, limit: u64) -> Self {
        self.query.limit = limit;
        self
    }

    /// The page after this one's end: `page.next`; `None` is the first page.
    pub fn after(mut self, token: impl Into<Option<PageToken>>) -> Self {
        self.query.after = token.into();
        self
    }

    /// Reads the page, and the labels of its subjects and actors: one query for the events, one for each table of labels.
    ///
    /// # Errors
    /// A bad limit, a missing table, a label that is no column, or what the database says. An event that can't be decoded is
    /// no error of the page: see [`Entry`].
    pub async fn page<C>(self, conn: &C) -> Result<Page<Entry<E>>, FeedError>
    where
        C: ConnectionTrait,
        E: DomainEvent<Subject: EntityTrait, Actors: ActorEntities<E>>,
        KeyOf<E::Subject>: TextKey,
    {
        let found = self.query.run(conn).await?;
        let labels = labels::load(conn, &labels::sources::<E>(), &found.events).await?;
        let entries = found.events.into_iter().zip(labels).map(|(stored, labels)| Entry::new(stored, labels));
        Ok(Page { entries: entries.collect(), next: found.next })
    }
}
