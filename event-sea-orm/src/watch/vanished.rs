//! Rows that went without a trigger: MariaDB runs none for what a foreign key's CASCADE deletes, nor for TRUNCATE.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};

use super::mysql;
use super::table::Table;
use super::verdict::{Seen, Unrecorded};
use crate::backend::dialect;

/// The keys of a table's rows.
type Keys = BTreeSet<String>;

/// Which rows each table has, as far as its triggers tell; empty on other databases.
#[derive(Debug)]
pub(super) struct Rows {
    tables: Vec<Table>,
    keys: Mutex<Vec<Keys>>,
}

impl Rows {
    /// Those that are there.
    pub(super) async fn of(db: &DatabaseConnection, tables: Vec<Table>) -> Result<Self, DbErr> {
        let tables = if db.get_database_backend() == DbBackend::MySql { tables } else { Vec::new() };
        let rows = Self { tables, keys: Mutex::default() };
        let keys = rows.now(db).await?;
        Ok(Self { keys: Mutex::new(keys), ..rows })
    }

    /// Those that are there now, of each table.
    pub(super) async fn now(&self, conn: &impl ConnectionTrait) -> Result<Vec<Keys>, DbErr> {
        let dialect = dialect(conn.get_database_backend())?;
        let mut all = Vec::with_capacity(self.tables.len());
        for table in &self.tables {
            let select = Statement::from_string(DbBackend::MySql, mysql::keys(table, dialect));
            let rows = conn.query_all_raw(select).await?;
            all.push(rows.iter().map(|row| row.try_get("", "row_id")).collect::<Result<_, _>>()?);
        }
        Ok(all)
    }

    /// Those that are gone, of which no trigger told and no event was recorded; from now on those of `now` are there.
    pub(super) fn vanished(&self, now: Vec<Keys>, seen: &[Seen]) -> Vec<Unrecorded> {
        let mut known = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let events: HashSet<_> = seen.iter().filter(|row| row.is_event()).map(Seen::subject).collect();
        let mut vanished = Vec::new();
        for ((table, there), now) in self.tables.iter().zip(known.iter_mut()).zip(now) {
            let path = table.path();
            for row in seen.iter().filter(|row| row.table == path) {
                match row.operation.as_str() {
                    "INSERT" => _ = there.insert(row.row.clone()),
                    "DELETE" => _ = there.remove(&row.row),
                    _ => {}
                }
            }
            let gone = there.difference(&now).filter(|row| !events.contains(&Seen::subject_of(table.kind, row)));
            vanished.extend(gone.map(|row| Unrecorded {
                table: path.clone(),
                row: row.clone(),
                operation: "DELETE".to_owned(),
            }));
            *there = now;
        }
        vanished
    }
}
