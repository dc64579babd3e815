//! SQLite.

use event_core::NewEvent;
use sea_orm::{DbBackend, DbErr, Statement};

use super::{Dialect, Sql, Trouble};
use crate::migration::sqlite as ddl;
use crate::record::insert;

pub(super) struct Sqlite;

// https://www.sqlite.org/rescode.html; the low byte of an extended code is the primary one.
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const READONLY: u32 = 8;

impl Dialect for Sqlite {
    fn quoted(&self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    fn placeholder(&self, _: usize) -> String {
        "?".to_owned()
    }

    /// With keys, `WHERE NOT EXISTS` and not `ON CONFLICT DO NOTHING`: the log's trigger refuses an existing key before the
    /// conflict clause is asked. There is one writer at a time, so nothing comes between the question and the insert.
    fn insert(&self, log: &str, events: &[&NewEvent]) -> Statement {
        let mut sql = Sql::new(self);
        sql.push("INSERT INTO ").name(log).push(" (").push(insert::COLUMNS).push(") ");
        let keyed = events.iter().any(|event| event.idempotency_key.is_some());
        if keyed {
            sql.push("SELECT * FROM (");
        }
        sql.push("VALUES ");
        for (index, event) in events.iter().enumerate() {
            if index > 0 {
                sql.push(", ");
            }
            sql.list(insert::values(event));
        }
        if keyed {
            sql.push(") AS fresh WHERE fresh.column1 IS NULL OR NOT EXISTS (SELECT 1 FROM ").name(log);
            sql.push(" AS old WHERE old.idempotency_key = fresh.column1)");
        }
        sql.push(" RETURNING id, idempotency_key");
        sql.statement(DbBackend::Sqlite)
    }

    /// SQLite takes 32,766 values in a statement; beyond about a thousand rows a longer one is no faster.
    fn insert_most(&self) -> usize {
        (32_766 / insert::COLUMN_COUNT).min(1_000)
    }

    fn without_index(&self, column: &str) -> String {
        format!("+{column}")
    }

    fn text_type(&self) -> &'static str {
        "text"
    }

    fn trouble(&self, error: &DbErr) -> Option<Trouble> {
        let error = super::driver_error(error)?;
        if error.is_unique_violation() {
            return Some(Trouble::Conflict);
        }
        let code: u32 = error.code()?.parse().ok()?;
        match code & 0xff {
            BUSY | LOCKED => Some(Trouble::Locked),
            READONLY => Some(Trouble::ReadOnly),
            // A missing table has no code of its own.
            1 => {
                let (_, table) = error.message().split_once("no such table: ")?;
                Some(Trouble::NoTable(table.strip_prefix("main.").unwrap_or(table).to_owned()))
            }
            _ => None,
        }
    }

    fn log_up(&self, log: &str) -> Vec<String> {
        ddl::log(log)
    }

    fn system_up(&self) -> Vec<String> {
        ddl::system()
    }
}
