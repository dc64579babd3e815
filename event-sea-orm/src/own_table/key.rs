//! A subject's or an actor's key, as a column of a table of its own.

use std::marker::PhantomData;

use sea_orm::sea_query::{DynIden, IntoIden as _};
use sea_orm::{
    DbErr, EntityTrait, IdenStatic as _, Identity, IdentityOf, Iterable as _, PrimaryKeyToColumn as _, QueryResult,
    Value,
};

use crate::backend::{Dialect, Sql};
use crate::key::{KeyOf, TextKey};

/// The entity that a key belongs to, without its type.
pub struct OwnKey {
    /// The stable name of the subject or actor.
    pub(crate) kind: &'static str,
    target: fn() -> Target,
    bind: fn(&str) -> Option<Value>,
    read: fn(&QueryResult, usize) -> Result<Option<String>, DbErr>,
}

/// Where a foreign key points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) schema: Option<String>,
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
}

/// An entity that a foreign key can point to.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the subject or the actor of events in a table of their own",
    label = "no SeaORM entity with a single-column key",
    note = "the table has a foreign key to it: name an entity (`issue::Entity`) whose primary key is one column",
    note = "without one, record in a shared log: leave `table` out"
)]
pub trait Keyed: EntityTrait {}

impl<En: EntityTrait> Keyed for En where KeyOf<En>: TextKey {}

/// Names an entity, which has to be `Keyed`.
#[derive(Debug)]
pub struct Refers<En: Keyed>(PhantomData<En>);

/// The type of the column that holds a key. A composite key, which is refused, has one too: what the derive makes would bring an
/// error for each place that names it, and hide the one that says why.
pub trait KeyType {
    /// The type.
    type Column;
}

impl<K: TextKey> KeyType for K {
    type Column = K;
}

macro_rules! composite {
    ($($key:ident)*) => {
        impl<$($key),*> KeyType for ($($key,)*) {
            type Column = i64;
        }
    };
}
composite!(K1 K2);
composite!(K1 K2 K3);
composite!(K1 K2 K3 K4);
composite!(K1 K2 K3 K4 K5);
composite!(K1 K2 K3 K4 K5 K6);

/// The type of the column that refers to the entity.
pub type ColumnOf<En> = <KeyOf<En> as KeyType>::Column;

impl Target {
    /// The table, in the words of a statement.
    pub(crate) fn quoted(&self, dialect: &dyn Dialect) -> String {
        let table = dialect.quoted(self.table);
        match &self.schema {
            Some(schema) => format!("{}.{table}", dialect.quoted(schema)),
            None => table,
        }
    }
}

impl OwnKey {
    #[doc(hidden)]
    pub const fn of<En>(kind: &'static str) -> Self
    where
        En: EntityTrait,
        KeyOf<En>: TextKey,
    {
        Self { kind, target: target::<En>, bind: bind::<En>, read: read::<En> }
    }

    pub(crate) fn target(&self) -> Target {
        (self.target)()
    }

    /// The key that is stored as this text, as it is bound; `None` if it is none.
    pub(crate) fn bind(&self, text: &str) -> Option<Value> {
        (self.bind)(text)
    }

    /// Whether keys are kept as text, which a database may compare with other texts as if they were the same.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.bind("1"), Some(Value::String(_)))
    }

    /// The key in this column as text.
    pub(crate) fn read(&self, row: &QueryResult, index: usize) -> Result<Option<String>, DbErr> {
        (self.read)(row, index)
    }

    /// Pushes the condition that the column is this one's key; false, with nothing pushed, where it can't be.
    pub(super) fn is(&self, sql: &mut Sql<'_>, column: &str, kind: &str, id: &str) -> bool {
        if kind != self.kind {
            return false;
        }
        let Some(key) = self.bind(id) else { return false };
        let exact = if self.is_text() { sql.dialect().exact_text(column) } else { None };
        sql.push(column).push(" = ").bind(key.clone());
        if let Some(exact) = exact {
            // The first condition finds the index.
            sql.push(" AND ").push(&exact).push(" = ").bind(key);
        }
        true
    }
}

impl std::fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnKey").field("kind", &self.kind).finish_non_exhaustive()
    }
}

fn target<En: EntityTrait>() -> Target {
    let entity = En::default();
    // An entity without a primary key has no type for it, and does not come this far.
    let column = En::PrimaryKey::iter().next().map_or("", |key| key.into_column().as_str());
    Target { schema: entity.schema_name().map(str::to_owned), table: entity.table_name(), column }
}

fn bind<En: EntityTrait>(text: &str) -> Option<Value>
where
    KeyOf<En>: TextKey,
{
    KeyOf::<En>::from_text(text).map(Into::into)
}

fn read<En: EntityTrait>(row: &QueryResult, index: usize) -> Result<Option<String>, DbErr>
where
    KeyOf<En>: TextKey,
{
    Ok(row.try_get_by_index::<Option<KeyOf<En>>>(index)?.map(|key| key.to_text()))
}

/// A key as text.
pub fn key_text<K: TextKey>(key: &K) -> String {
    key.to_text()
}

/// The primary key's column, for a relation of an entity whose columns the derive does not know.
#[derive(Debug)]
pub struct KeyColumn<En>(PhantomData<fn() -> En>);

impl<En> KeyColumn<En> {
    /// The column.
    #[allow(clippy::new_without_default, reason = "for the derive's output alone")]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<En: EntityTrait> IdentityOf<En> for KeyColumn<En> {
    fn identity_of(self) -> Identity {
        let mut columns: Vec<DynIden> = En::PrimaryKey::iter().map(|key| key.into_column().into_iden()).collect();
        match columns.pop() {
            Some(column) if columns.is_empty() => Identity::Unary(column),
            Some(column) => {
                columns.push(column);
                Identity::Many(columns)
            }
            None => Identity::Many(columns),
        }
    }
}
