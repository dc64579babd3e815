//! Tables of an enum's own (`table = "issue_events"`): logs whose subject and actor are foreign keys.
//!
//! To all else such a table is a log like any other. What differs is said here once: which columns it has, how a key is
//! bound and read, and how a feed asks for a subject or an actor.

mod key;
mod rows;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use event_core::{ActorRef, SubjectRef, registry};

use crate::backend::{Dialect, Sql};
pub(crate) use key::Target;
pub use key::{ColumnOf, KeyColumn, OwnKey, Refers, key_text};
pub use rows::{RowParts, event};

/// What the storage has to know of a table; made by the derive.
#[derive(Debug)]
pub struct OwnTable {
    pub(crate) subject: OwnKey,
    /// The one kind of actor. Where the enum has none or several, the table holds kind and id as a shared log does.
    pub(crate) actor: Option<OwnKey>,
    pub(crate) foreign_keys: bool,
}

impl OwnTable {
    #[doc(hidden)]
    pub const fn new(subject: OwnKey, actor: Option<OwnKey>, foreign_keys: bool) -> Self {
        Self { subject, actor, foreign_keys }
    }

    /// The foreign keys that are text, each with its column.
    #[cfg_attr(not(feature = "mysql"), allow(dead_code, reason = "MariaDB's and MySQL's alone"))]
    pub(crate) fn text_keys(&self) -> impl Iterator<Item = (&'static str, Target)> {
        let keys = [("subject_id", Some(&self.subject)), ("actor_id", self.actor.as_ref())];
        let keys = keys.into_iter().filter(|_| self.foreign_keys);
        keys.filter_map(|(column, key)| Some((column, key.filter(|key| key.is_text())?.target())))
    }

    /// Pushes the condition that a row is about this subject; false, with nothing pushed, where none can be.
    pub(crate) fn is_of(&self, sql: &mut Sql<'_>, subject: &SubjectRef) -> bool {
        self.subject.is(sql, "subject_id", &subject.kind, &subject.id)
    }

    /// The same of an actor, in the words of the column, which may be kept from choosing the index.
    pub(crate) fn is_by(&self, sql: &mut Sql<'_>, column: &str, actor: &ActorRef) -> Option<bool> {
        self.actor.as_ref().map(|key| key.is(sql, column, &actor.kind, &actor.id))
    }
}

/// The log's table, if it is one of an enum's own.
pub(crate) fn of(log: &str) -> Option<&'static OwnTable> {
    static TABLES: LazyLock<HashMap<&'static str, &'static OwnTable>> = LazyLock::new(|| {
        let tables = registry::events().iter().filter_map(|event| {
            let table = event.own_table()?.downcast_ref::<OwnTable>()?;
            Some((event.log(), table))
        });
        tables.collect()
    });
    if TABLES.is_empty() { None } else { TABLES.get(log).copied() }
}

const SHARED: &str = "subject_type, subject_id, actor_type, actor_id";

/// The columns of a log in a SELECT, at the places where [`stored_event`](crate::row::stored_event) reads them.
pub(crate) fn columns(dialect: &dyn Dialect, table: Option<&OwnTable>) -> Cow<'static, str> {
    let columns = dialect.columns();
    let Some(table) = table else { return Cow::Borrowed(columns) };
    let own = match table.actor {
        Some(_) => "NULL AS subject_type, subject_id, NULL AS actor_type, actor_id",
        None => "NULL AS subject_type, subject_id, actor_type, actor_id",
    };
    Cow::Owned(columns.replacen(SHARED, own, 1))
}
