//! Labels: the names of a page's subjects and actors, by one query per table.

use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::str::FromStr;
use std::sync::Arc;

use event_core::{ActorOf, DomainEvent, Labels, StoredEvent};
use sea_orm::sea_query::{Alias, Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, Iterable, PrimaryKeyToColumn, QueryFilter,
    QueryResult, QuerySelect, QueryTrait, Statement,
};

use super::FeedError;
use crate::backend::{Dialect, dialect};
use crate::key::{KeyOf, TextKey};

/// The actors of an enum as SeaORM entities: the tuple that the derive makes of `actor(...)`.
#[diagnostic::on_unimplemented(
    message = "the actors of `{E}` are no SeaORM entities with single-column keys",
    note = "name entities in the enum's attribute, as in `#[event(actor(user::Entity, label = name))]`"
)]
pub trait ActorEntities<E: DomainEvent> {
    #[doc(hidden)]
    fn sources(into: &mut Vec<LabelSource>);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Subject,
    Actor,
}

type Ask = fn(&dyn Dialect, DbBackend, &'static str, &BTreeSet<&str>) -> Result<Option<Statement>, FeedError>;

/// A key and its label.
type Read = fn(&QueryResult) -> Result<(String, Option<String>), DbErr>;

/// Where the labels of one kind of subject or actor come from, without the entity's type.
#[doc(hidden)]
#[derive(Clone)]
pub struct LabelSource {
    role: Role,
    log: &'static str,
    /// The stable name.
    kind: &'static str,
    entity: TypeId,
    column: &'static str,
    ask: Ask,
    read: Read,
}

impl LabelSource {
    fn new<En>(role: Role, log: &'static str, kind: &'static str, column: &'static str) -> Self
    where
        En: EntityTrait,
        KeyOf<En>: TextKey,
    {
        Self { role, log, kind, entity: TypeId::of::<En>(), column, ask: ask::<En>, read: read::<En> }
    }

    fn table(&self) -> (TypeId, &'static str) {
        (self.entity, self.column)
    }
}

/// The sources of an enum's labels.
pub(super) fn sources<E>() -> Vec<LabelSource>
where
    E: DomainEvent<Subject: EntityTrait, Actors: ActorEntities<E>>,
    KeyOf<E::Subject>: TextKey,
{
    let event = E::descriptor();
    let mut sources = Vec::new();
    if let Some(column) = event.label() {
        sources.push(LabelSource::new::<E::Subject>(Role::Subject, event.log(), event.subject(), column));
    }
    E::Actors::sources(&mut sources);
    sources
}

macro_rules! actor_entities {
    ($($actor:ident)*) => {
        impl<E: DomainEvent, $($actor),*> ActorEntities<E> for ($($actor,)*)
        where
            $($actor: EntityTrait + ActorOf<E>, KeyOf<$actor>: TextKey,)*
        {
            fn sources(into: &mut Vec<LabelSource>) {
                let _ = &into;
                $(
                    if let Some(column) = <$actor as ActorOf<E>>::LABEL {
                        let (log, kind) = (E::descriptor().log(), <$actor as ActorOf<E>>::NAME);
                        into.push(LabelSource::new::<$actor>(Role::Actor, log, kind, column));
                    }
                )*
            }
        }
    };
}
actor_entities!();
actor_entities!(A1);
actor_entities!(A1 A2);
actor_entities!(A1 A2 A3);
actor_entities!(A1 A2 A3 A4);
actor_entities!(A1 A2 A3 A4 A5);
actor_entities!(A1 A2 A3 A4 A5 A6);
actor_entities!(A1 A2 A3 A4 A5 A6 A7);
actor_entities!(A1 A2 A3 A4 A5 A6 A7 A8);

/// The column of that field: by the variant that the derive checked. SeaORM's own `from_str` takes the field's name and the database's
/// alike, and where one column is called in the database as another one's field, that may be the wrong one.
fn column<En: EntityTrait>(field: &str) -> Option<En::Column> {
    let upper = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    let variant: String = field.split('_').map(upper).collect();
    let by_variant = En::Column::iter().find(|column| format!("{column:?}") == variant);
    by_variant.or_else(|| En::Column::from_str(field).ok())
}

/// `SELECT key, label FROM table WHERE key IN (...)`; none when no id is a key of that table.
fn ask<En>(
    dialect: &dyn Dialect,
    backend: DbBackend,
    label: &'static str,
    ids: &BTreeSet<&str>,
) -> Result<Option<Statement>, FeedError>
where
    En: EntityTrait,
    KeyOf<En>: TextKey,
{
    let unknown =
        || FeedError::UnknownLabelColumn { table: En::default().table_name().to_owned(), column: label.to_owned() };
    let column = column::<En>(label).ok_or_else(unknown)?;
    let key = En::PrimaryKey::iter().next().map(PrimaryKeyToColumn::into_column).ok_or_else(unknown)?;
    let keys: Vec<_> = ids.iter().filter_map(|id| <KeyOf<En> as TextKey>::from_text(id)).collect();
    if keys.is_empty() {
        return Ok(None);
    }
    // As text, so that a label can be of any type.
    let label = Expr::col((En::default(), column)).cast_as(Alias::new(dialect.text_type()));
    let select = En::find().select_only().column_as(key, "event_key").column_as(label, "event_label");
    Ok(Some(select.filter(key.is_in(keys)).build(backend)))
}

fn read<En>(row: &QueryResult) -> Result<(String, Option<String>), DbErr>
where
    En: EntityTrait,
    KeyOf<En>: TextKey,
{
    let key: KeyOf<En> = row.try_get("", "event_key")?;
    Ok((key.to_text(), row.try_get("", "event_label")?))
}

/// The labels of these events, in their order; what has no source, or no row any more, has no label.
pub(super) async fn load<C: ConnectionTrait>(
    conn: &C,
    sources: &[LabelSource],
    events: &[Arc<StoredEvent>],
) -> Result<Vec<Labels>, FeedError> {
    let backend = conn.get_database_backend();
    let dialect = dialect(backend)?;
    let source = |role: Role, event: &StoredEvent, kind: &str| {
        let found =
            |source: &&LabelSource| source.role == role && source.kind == kind && source.log == event.at.log.as_str();
        sources.iter().find(found)
    };
    let subject_source = |event: &StoredEvent| source(Role::Subject, event, &event.subject.kind);
    let actor_source =
        |event: &StoredEvent| event.actor.as_ref().and_then(|actor| source(Role::Actor, event, &actor.kind));

    // By table and column, since a table may be both subject and actor, or serve several enums.
    let mut wanted: BTreeMap<(TypeId, &str), (&LabelSource, BTreeSet<&str>)> = BTreeMap::new();
    for event in events {
        let subject = subject_source(event).map(|source| (source, event.subject.id.as_str()));
        let actor = actor_source(event).zip(event.actor.as_ref().map(|actor| actor.id.as_str()));
        for (source, id) in subject.into_iter().chain(actor) {
            wanted.entry(source.table()).or_insert_with(|| (source, BTreeSet::new())).1.insert(id);
        }
    }
    let mut names: HashMap<(TypeId, &str), HashMap<String, String>> = HashMap::new();
    for (table, (source, ids)) in &wanted {
        let Some(statement) = (source.ask)(dialect, backend, source.column, ids)? else { continue };
        let found = names.entry(*table).or_default();
        for row in conn.query_all_raw(statement).await? {
            if let (key, Some(label)) = (source.read)(&row)? {
                found.insert(key, label);
            }
        }
    }
    let name = |source: Option<&LabelSource>, id: &str| {
        source.and_then(|source| names.get(&source.table())).and_then(|names| names.get(id)).cloned()
    };
    let labels = events.iter().map(|event| Labels {
        subject: name(subject_source(event), &event.subject.id),
        actor: event.actor.as_ref().and_then(|actor| name(actor_source(event), &actor.id)),
    });
    Ok(labels.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(unreachable_pub, reason = "SeaORM's entities are written so")]
    mod issue {
        use sea_orm::entity::prelude::*;

        #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
        #[sea_orm(table_name = "issues")]
        pub struct Model {
            #[sea_orm(primary_key)]
            pub id: i64,
            pub title: String,
        }

        #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
        pub enum Relation {}

        impl ActiveModelBehavior for ActiveModel {}
    }

    fn asked(label: &'static str, ids: &[&str]) -> Result<Option<String>, FeedError> {
        let backend = DbBackend::Sqlite;
        let ids = ids.iter().copied().collect();
        Ok(ask::<issue::Entity>(dialect(backend)?, backend, label, &ids)?.map(|statement| statement.to_string()))
    }

    #[test]
    fn one_query_asks_for_all_labels_of_a_table() {
        let sql = asked("title", &["1", "no key", "2"]).unwrap().unwrap();
        assert_eq!(
            sql,
            r#"SELECT "issues"."id" AS "event_key", CAST("issues"."title" AS text) AS "event_label" FROM "issues" WHERE "issues"."id" IN (1, 2)"#
        );
        assert_eq!(asked("title", &["no key"]).unwrap(), None);
    }

    #[test]
    fn a_label_that_is_no_column_is_named() {
        let error = asked("tittle", &["1"]).unwrap_err();
        assert!(error.to_string().contains("`label = tittle`: the table `issues` has no such column"), "{error}");
    }
}
