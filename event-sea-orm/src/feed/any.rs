//! The feed of any events, over several logs.

use std::collections::BTreeSet;

use event_core::{ActorRef, DomainEvent, LogName, SHARED_LOG, SubjectRef, registry};
use sea_orm::{ConnectionTrait, EntityTrait};

use super::labels::{self, ActorEntities, LabelSource};
use super::page::{AnyEntry, Page};
use super::query::Query;
use super::{FeedError, PageToken};
use crate::key::{KeyOf, TextKey};

/// Events of any enum, newest first, merged over several logs: made by [`any_feed`], ended by [`page`](Self::page).
#[derive(Clone)]
#[must_use = "nothing is read until `.page(...)` is awaited"]
pub struct AnyFeed {
    query: Query,
    sources: Vec<LabelSource>,
}

/// The feed of everything: the logs of all linked enums.
///
/// ```
/// # use event_sea_orm::prelude::*;
/// # async fn example(db: &sea_orm::DatabaseConnection) -> Result<(), FeedError> {
/// for entry in &any_feed().by_ref(ActorRef::new("user", 3)).page(db).await? {
///     println!("{} {}", entry.occurred_at, entry.summary());
/// }
/// # Ok(())
/// # }
/// ```
pub fn any_feed() -> AnyFeed {
    let mut logs: BTreeSet<_> = registry::events().iter().map(|event| LogName::from_static(event.log())).collect();
    if logs.is_empty() {
        logs.insert(LogName::from_static(SHARED_LOG));
    }
    AnyFeed { query: Query::of_logs(logs), sources: Vec::new() }
}

impl AnyFeed {
    /// Only these logs.
    pub fn logs(mut self, logs: impl IntoIterator<Item = impl Into<LogName>>) -> Self {
        self.query.logs = logs.into_iter().map(Into::into).collect();
        self
    }

    /// Only events of this subject; call it again for further ones. See [`subject_of`](crate::subject_of).
    pub fn of_ref(self, subject: SubjectRef) -> Self {
        self.of_refs([subject])
    }

    /// Only events of these subjects; of none, if there are none.
    pub fn of_refs(mut self, subjects: impl IntoIterator<Item = SubjectRef>) -> Self {
        self.query.subjects.get_or_insert_default().extend(subjects);
        self
    }

    /// Only events that this actor made happen; call it again for further ones. See [`actor_of`](crate::actor_of).
    pub fn by_ref(self, actor: ActorRef) -> Self {
        self.by_refs([actor])
    }

    /// Only events that these actors made happen; none, if there are none.
    pub fn by_refs(mut self, actors: impl IntoIterator<Item = ActorRef>) -> Self {
        self.query.actors.get_or_insert_default().extend(actors);
        self
    }

    /// Only events recorded in these batches; of none, if there are none. See [`Batch::and_nested`](crate::Batch::and_nested).
    pub fn in_batches(mut self, ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.query.batches.get_or_insert_default().extend(ids.into_iter().map(Into::into));
        self
    }

    /// Only actions of these stored names. One that a linked enum has is found under all of its names, the aliases too.
    pub fn actions(mut self, actions: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let actions: Vec<String> = actions.into_iter().map(Into::into).collect();
        for event in registry::events() {
            let asked = event.actions().iter().filter(|action| actions.iter().any(|name| action.is_called(name)));
            let names =
                asked.flat_map(|action| action.names()).filter(|name| !actions.iter().any(|asked| asked == name));
            self.query.aliases.extend(names.map(|name| (event.log(), event.subject(), name)));
        }
        self.query.actions.get_or_insert_default().extend(actions);
        self
    }

    /// Loads the labels of this enum's subjects and actors too; call it for each enum.
    pub fn with<E>(mut self) -> Self
    where
        E: DomainEvent<Subject: EntityTrait, Actors: ActorEntities<E>>,
        KeyOf<E::Subject>: TextKey,
    {
        self.sources.extend(labels::sources::<E>());
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

    /// Reads the page: one query for the events (one more for each further hundred of subjects or actors), one for each
    /// table of labels.
    ///
    /// # Errors
    /// A bad limit, a missing table, a label that is no column, or what the database says.
    pub async fn page<C: ConnectionTrait>(self, conn: &C) -> Result<Page<AnyEntry>, FeedError> {
        let found = self.query.run(conn).await?;
        let labels = labels::load(conn, &self.sources, &found.events).await?;
        let entries = found.events.into_iter().zip(labels).map(|(stored, labels)| AnyEntry::new(stored, labels));
        Ok(Page { entries: entries.collect(), next: found.next })
    }
}

impl std::fmt::Debug for AnyFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnyFeed").field("query", &self.query).finish_non_exhaustive()
    }
}
