//! What is watched: a user's table and its key, and the logs that have its events.

use event_core::EventDescriptor;
use sea_orm::{ColumnTrait as _, ColumnType, EntityTrait, IdenStatic as _, Iterable as _, PrimaryKeyToColumn as _};

use crate::backend::Dialect;
use crate::own_table;

/// A column that names a row.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) column: String,
    /// Kept as sixteen bytes where the database has no type for it.
    pub(super) is_uuid: bool,
}

/// A watched table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// Where it is, if not where names without a schema are looked up: on MySQL and MariaDB another database.
    pub(super) schema: Option<String>,
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) key: Key,
    /// The columns whose changes are to be on record.
    pub(super) columns: Vec<String>,
}

impl Table {
    pub(super) fn of<T: EntityTrait>(kind: &'static str, except: impl IntoIterator<Item = T::Column>) -> Self {
        let except: Vec<_> = except.into_iter().map(|column| column.as_str().to_owned()).collect();
        let columns = T::Column::iter().map(|column| column.as_str().to_owned());
        // An event's subject has a key of one column.
        let key = T::PrimaryKey::iter().map(|key| key.into_column()).next();
        let is_uuid = key.is_some_and(|key| matches!(key.def().get_column_type(), ColumnType::Uuid));
        Self {
            schema: T::default().schema_name().map(str::to_owned),
            name: T::default().table_name().to_owned(),
            kind,
            key: Key { column: key.map_or("id", |key| key.as_str()).to_owned(), is_uuid },
            columns: columns.filter(|column| !except.contains(column)).collect(),
        }
    }

    /// Its name, with its schema if it has one: what tells it from every other table.
    #[cfg_attr(not(any(feature = "postgres", feature = "mysql")), allow(dead_code, reason = "SQLite has no schemas"))]
    pub(super) fn path(&self) -> String {
        self.schema.iter().chain([&self.name]).map(String::as_str).collect::<Vec<_>>().join(".")
    }

    /// A name beside it, quoted: of the table, or of one of its triggers.
    #[cfg_attr(not(any(feature = "postgres", feature = "mysql")), allow(dead_code, reason = "SQLite has no schemas"))]
    pub(super) fn quoted(&self, dialect: &dyn Dialect, name: &str) -> String {
        self.schema
            .iter()
            .map(String::as_str)
            .chain([name])
            .map(|part| dialect.quoted(part))
            .collect::<Vec<_>>()
            .join(".")
    }
}

/// A log with their events.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Log {
    pub(super) name: &'static str,
    /// The kind of all of its subjects, where it is a table of an enum's own.
    pub(super) kind: Option<&'static str>,
    /// Whether it names them by sixteen bytes, where the database has no type for UUIDs.
    pub(super) is_uuid: bool,
}

impl Log {
    /// Of the events of a table's rows.
    pub(super) fn of(event: &EventDescriptor, table: &Table) -> Self {
        let kind = own_table::of(event.log()).map(|_| event.subject());
        Self { name: event.log(), kind, is_uuid: kind.is_some() && table.key.is_uuid }
    }
}

/// A name as a text in SQL; values are bound instead.
pub(super) fn literal(name: &str) -> String {
    format!("'{}'", name.replace('\'', "''"))
}

/// The name of what watches a table: the same each time, by whatever compiler, and short enough for every database. FNV-1a:
/// <http://www.isthe.com/chongo/tech/comp/fnv/>.
pub(super) fn watcher(path: &str) -> String {
    let hash = path
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("event_watch_{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watcher_is_called_the_same_for_ever() {
        assert_eq!(watcher(""), "event_watch_cbf29ce484222325");
        assert_eq!(watcher("a"), "event_watch_af63dc4c8601ec8c");
        assert_eq!(watcher("foobar"), "event_watch_85944171f73967e8");
    }
}
