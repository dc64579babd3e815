//! SQLite.

use event_core::storage::Read;
use event_core::{LogName, ThrottleGate};
use sea_orm::{DbBackend, DbErr, Statement};
use serde_json::json;

use super::{Dialect, Sql, Trouble};
use crate::migration::sqlite as ddl;
use crate::migration::who::Who;
use crate::own_table::{self, Target};
use crate::record::insert::{self, Rows};
use crate::row::COLUMNS;
use crate::storage::packed;

pub(super) struct Sqlite;

// https://www.sqlite.org/rescode.html; the low byte of an extended code is the primary one.
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const READONLY: u32 = 8;
const CANTOPEN: u32 = 14;

impl Dialect for Sqlite {
    fn quoted(&self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    fn placeholder(&self, _: usize) -> String {
        "?".to_owned()
    }

    /// With keys, `WHERE NOT EXISTS` and not `ON CONFLICT DO NOTHING`: the log's trigger refuses an existing key before the
    /// conflict clause is asked. There is one writer at a time, so nothing comes between the question and the insert.
    fn insert(&self, log: &str, rows: Rows) -> Statement {
        let mut sql = Sql::new(self);
        sql.push("INSERT INTO ").name(log).push(" (").push(&rows.names()).push(") ");
        let (keyed, returning) = (rows.are_keyed(), rows.returning());
        if keyed {
            sql.push("SELECT * FROM (");
        }
        sql.push("VALUES ");
        for (index, row) in rows.into_rows().enumerate() {
            if index > 0 {
                sql.push(", ");
            }
            sql.list(row);
        }
        if keyed {
            sql.push(") AS fresh WHERE fresh.column1 IS NULL OR NOT EXISTS (SELECT 1 FROM ").name(log);
            sql.push(" AS old WHERE old.idempotency_key = fresh.column1)");
        }
        sql.push(returning);
        sql.statement(DbBackend::Sqlite)
    }

    /// SQLite takes 32,766 values in a statement; beyond about a thousand rows a longer one is no faster.
    fn take_throttle(&self, log: &str, action: &str, gate: &ThrottleGate) -> Statement {
        let mut sql = Sql::new(self);
        super::take_throttle(&mut sql, log, action, gate);
        sql.statement(DbBackend::Sqlite)
    }

    fn insert_most(&self) -> usize {
        (32_766 / insert::COLUMNS.len()).min(1_000)
    }

    fn columns(&self) -> &'static str {
        COLUMNS
    }

    fn insert_unless_there(&self) -> (&'static str, &'static str) {
        ("INSERT INTO", " ON CONFLICT DO NOTHING")
    }

    /// Nothing: there is one writer at a time.
    fn lock_rows(&self, _: bool) -> &'static str {
        ""
    }

    fn without_index(&self, column: &str) -> String {
        format!("+{column}")
    }

    fn locked_advice(&self) -> &'static str {
        "another connection holds the database's lock. A transaction that reads before it records has to begin IMMEDIATE: \
         begin it with `db.transact(...)`; if it did, another one holds the lock for longer than the busy time-out"
    }

    fn text_type(&self) -> &'static str {
        "text"
    }

    fn trouble(&self, error: &DbErr) -> Option<Trouble> {
        let error = super::driver_error(error)?;
        if error.is_unique_violation() {
            return Some(Trouble::Conflict);
        }
        if error.is_foreign_key_violation() {
            return Some(Trouble::NoRow);
        }
        let code: u32 = error.code()?.parse().ok()?;
        match code & 0xff {
            BUSY | LOCKED => Some(Trouble::Locked),
            READONLY => Some(Trouble::ReadOnly),
            CANTOPEN => Some(Trouble::Unreachable),
            // A missing table has no code of its own.
            1 => {
                let (_, table) = error.message().split_once("no such table: ")?;
                Some(Trouble::NoTable(table.strip_prefix("main.").unwrap_or(table).to_owned()))
            }
            _ => None,
        }
    }

    fn clock(&self, milliseconds: u128) -> String {
        let (seconds, rest) = (milliseconds / 1_000, milliseconds % 1_000);
        format!("strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', '+{seconds}.{rest:03} seconds')")
    }

    fn ago(&self, milliseconds: u128) -> String {
        let (seconds, rest) = (milliseconds / 1_000, milliseconds % 1_000);
        format!("strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', '-{seconds}.{rest:03} seconds')")
    }

    /// Also of rows that are gone, since the log is AUTOINCREMENT.
    fn newest_id(&self, log: &LogName) -> Statement {
        let mut sql = Sql::new(self);
        sql.push("SELECT seq AS newest FROM sqlite_sequence WHERE name = ").bind(log.as_str());
        sql.statement(DbBackend::Sqlite)
    }

    fn read(&self, read: &Read<'_>) -> Statement {
        let mut sql = Sql::new(self);
        select(&mut sql, read);
        sql.statement(DbBackend::Sqlite)
    }

    fn read_packed(&self, read: &Read<'_>) -> Option<Statement> {
        // A table of an enum's own may have keys that are no text.
        if own_table::of(read.log.as_str()).is_some() {
            return None;
        }
        let mut sql = Sql::new(self);
        sql.push("SELECT group_concat(CASE WHEN ").push(packed::LENGTH).push(" > ");
        sql.push(&packed::longest(read).to_string()).push(" THEN '-' ELSE ").push(packed::PIECE);
        sql.push(" END, '') AS page FROM (");
        select(&mut sql, read);
        sql.push(")");
        Some(sql.statement(DbBackend::Sqlite))
    }

    fn log_up(&self, log: &str, who: &Who) -> Vec<String> {
        ddl::log(log, who)
    }

    fn column_type(&self, target: &Target) -> Statement {
        let mut sql = Sql::new(self);
        sql.push("SELECT type FROM pragma_table_info(").bind(target.table).push(") WHERE name = ").bind(target.column);
        sql.statement(DbBackend::Sqlite)
    }

    fn logs_and_archives(&self) -> &'static str {
        "SELECT name FROM sqlite_master AS log WHERE type = 'table' AND 2 = (SELECT count(*) FROM pragma_table_info(log.name) AS info \
         WHERE info.name IN ('batch_id', 'causation_log'))"
    }

    fn log_down(&self, log: &str) -> Vec<String> {
        vec![format!("DROP TABLE {}", self.quoted(log))]
    }

    fn archive_up(&self, log: &str, archive: &str) -> Vec<String> {
        ddl::archive(log, archive)
    }

    fn attachments_up(&self) -> Vec<String> {
        ddl::attachments()
    }

    fn batches_up(&self) -> Vec<String> {
        ddl::batches()
    }

    fn throttles_up(&self) -> Vec<String> {
        ddl::throttles()
    }

    fn system_up(&self) -> Vec<String> {
        ddl::system()
    }

    /// Nothing: the transaction that migrates begins with the write lock.
    fn one_migration_at_a_time(&self) -> Option<String> {
        None
    }
}

/// The events that are asked for, a row each.
fn select(sql: &mut Sql<'_>, read: &Read<'_>) {
    let columns = own_table::columns(&Sqlite, own_table::of(read.log.as_str()));
    sql.push("SELECT * FROM (SELECT ").push(&columns).push(" FROM ").name(read.log.as_str()).push(" WHERE id > ");
    let limit = if read.after.is_some() { i64::try_from(read.limit).unwrap_or(i64::MAX) } else { 0 };
    sql.bind(read.after.unwrap_or(i64::MAX)).push(" ORDER BY id LIMIT ").bind(limit).push(")");
    if !read.also.is_empty() {
        // As one value, however many ranges; CROSS JOIN keeps SQLite from walking the log for each.
        let ranges: Vec<_> = read.also.ranges().map(|range| json!([range.start(), range.end()])).collect();
        sql.push(" UNION ALL SELECT ").push(&columns);
        sql.push(
            " FROM (SELECT json_extract(value, '$[0]') AS low, json_extract(value, '$[1]') AS high FROM json_each(",
        );
        sql.bind(json!(ranges).to_string()).push(")) AS hole CROSS JOIN ").name(read.log.as_str());
        sql.push(" AS log ON log.id BETWEEN hole.low AND hole.high");
    }
    sql.push(" ORDER BY id");
    if !read.also.is_empty() {
        sql.push(" LIMIT ").bind(i64::try_from(read.limit).unwrap_or(i64::MAX));
    }
}
