//! PostgreSQL.

use event_core::storage::Read;
use event_core::{LogName, NewEvent};
use sea_orm::{DbBackend, DbErr, Statement, Value};

use super::{Dialect, Sql, Trouble};
use crate::migration::postgres as ddl;
use crate::record::insert;

pub(super) struct Postgres;

/// JSON is read as text and parsed by us, so that a row that is broken holds up nobody but its own readers.
const COLUMNS: &str = "id, subject_type, subject_id, actor_type, actor_id, action, version, metadata::text AS metadata, \
     context::text AS context, correlation_id, causation_log, causation_id, snapshot::text AS snapshot, idempotency_key, \
     occurred_at, created_at";

/// What the columns of [`insert::COLUMNS`] are cast to, where text is not what they hold.
const TYPES: [&str; insert::COLUMN_COUNT] =
    ["", "", "", "", "", "", "::bigint", "::jsonb", "::jsonb", "", "", "::bigint", "::jsonb", "::timestamptz"];

impl Dialect for Postgres {
    fn quoted(&self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    fn placeholder(&self, n: usize) -> String {
        format!("${n}")
    }

    /// One event by its values; more of them by one array for each column, whose statement is the same text for any number.
    fn insert(&self, log: &str, events: &[&NewEvent]) -> Statement {
        let mut sql = Sql::new(self);
        sql.push("INSERT INTO ").name(log).push(" (").push(insert::COLUMNS).push(") ");
        match events {
            [event] => {
                sql.push("VALUES (");
                for (index, (value, cast)) in insert::values(event).into_iter().zip(TYPES).enumerate() {
                    sql.push(if index > 0 { ", " } else { "" }).bind(value).push(cast);
                }
                sql.push(")");
            }
            _ => unnest(&mut sql, events),
        }
        if events.iter().any(|event| event.idempotency_key.is_some()) {
            // By its index and no other: nothing else may be left out in silence.
            sql.push(" ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING");
        }
        sql.push(" RETURNING id, idempotency_key");
        sql.statement(DbBackend::Postgres)
    }

    fn insert_most(&self) -> usize {
        1_000
    }

    fn columns(&self) -> &'static str {
        COLUMNS
    }

    fn insert_unless_there(&self) -> (&'static str, &'static str) {
        ("INSERT INTO", " ON CONFLICT DO NOTHING")
    }

    fn lock_rows(&self, wait: bool) -> &'static str {
        if wait { " FOR UPDATE" } else { " FOR UPDATE SKIP LOCKED" }
    }

    fn without_index(&self, column: &str) -> String {
        format!("({column} || '')")
    }

    fn text_type(&self) -> &'static str {
        "text"
    }

    // https://www.postgresql.org/docs/15/errcodes-appendix.html
    fn trouble(&self, error: &DbErr) -> Option<Trouble> {
        let error = super::driver_error(error)?;
        match error.code()?.as_ref() {
            "23505" => Some(Trouble::Conflict),
            "25006" => Some(Trouble::ReadOnly),
            "40001" | "40P01" | "55P03" => Some(Trouble::Locked),
            "42P01" => Some(Trouble::NoTable(named_relation(error.message())?)),
            code if code.starts_with("08") || code.starts_with("57P") || code == "53300" || code == "25P03" => {
                Some(Trouble::Unreachable)
            }
            _ => None,
        }
    }

    fn clock(&self, milliseconds: u128) -> String {
        format!("clock_timestamp() + interval '{milliseconds} milliseconds'")
    }

    fn newest_id(&self, log: &LogName) -> Statement {
        let mut sql = Sql::new(self);
        sql.push("SELECT last_value AS newest FROM ").name(&ddl::sequence(log.as_str())).push(" WHERE is_called");
        sql.statement(DbBackend::Postgres)
    }

    /// Never `id > $1 OR id = ANY($2)`: under a generic plan it walks the whole index.
    fn read(&self, read: &Read<'_>) -> Statement {
        let mut sql = Sql::new(self);
        sql.push("SELECT * FROM ((SELECT ").push(COLUMNS).push(" FROM ").name(read.log.as_str()).push(" WHERE id > ");
        let limit = if read.after.is_some() { i64::try_from(read.limit).unwrap_or(i64::MAX) } else { 0 };
        sql.bind(read.after.unwrap_or(i64::MAX)).push(" ORDER BY id LIMIT ").bind(limit).push(")");
        if !read.also.is_empty() {
            let (low, high): (Vec<_>, Vec<_>) = read.also.ranges().map(|range| (*range.start(), *range.end())).unzip();
            sql.push(" UNION ALL SELECT page.* FROM unnest(").bind(bigints(&low)).push("::text::bigint[], ");
            sql.bind(bigints(&high)).push("::text::bigint[]) AS hole(low, high) CROSS JOIN LATERAL (SELECT ");
            sql.push(COLUMNS).push(" FROM ").name(read.log.as_str());
            sql.push(" AS log WHERE log.id BETWEEN hole.low AND hole.high OFFSET 0) AS page");
        }
        sql.push(") AS page ORDER BY id");
        sql.statement(DbBackend::Postgres)
    }

    fn log_up(&self, log: &str) -> Vec<String> {
        ddl::log(log)
    }

    fn log_down(&self, log: &str) -> Vec<String> {
        ddl::log_down(log)
    }

    fn system_up(&self) -> Vec<String> {
        ddl::system()
    }

    fn system_down(&self) -> Vec<String> {
        ddl::system_down()
    }

    /// The number is this crate's own, "event" as bytes.
    fn one_migration_at_a_time(&self) -> Option<&'static str> {
        Some("SELECT pg_advisory_xact_lock(435728179316)")
    }
}

/// The relation that an error about a missing one names, without its schema.
fn named_relation(message: &str) -> Option<String> {
    let name = message.split('"').nth(1)?;
    Some(name.rsplit('.').next().unwrap_or(name).to_owned())
}

/// `SELECT ... FROM unnest(...)`, in the events' order, which is then the order of their ids.
fn unnest(sql: &mut Sql<'_>, events: &[&NewEvent]) {
    let rows: Vec<_> = events.iter().map(|event| insert::values(event).map(as_text)).collect();
    sql.push("SELECT ");
    for (index, cast) in TYPES.iter().enumerate() {
        sql.push(if index > 0 { ", " } else { "" }).push(&format!("c{index}{cast}"));
    }
    sql.push(" FROM unnest(");
    for index in 0..insert::COLUMN_COUNT {
        sql.push(if index > 0 { ", " } else { "" });
        sql.bind(text_array(rows.iter().map(|row| row[index].as_deref()))).push("::text::text[]");
    }
    sql.push(") WITH ORDINALITY AS fresh(");
    for index in 0..insert::COLUMN_COUNT {
        sql.push(&format!("c{index}, "));
    }
    sql.push("nth) ORDER BY nth");
}

/// The values of [`insert::values`] as the database reads them from text.
fn as_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => text,
        Value::BigInt(number) => number.map(|number| number.to_string()),
        Value::ChronoDateTimeUtc(time) => time.map(|time| time.to_rfc3339()),
        // `insert::values` makes no others.
        _ => None,
    }
}

/// An array as PostgreSQL writes it: SeaORM's own arrays hold no NULL.
/// <https://www.postgresql.org/docs/15/arrays.html#ARRAYS-IO>
fn text_array<'t>(texts: impl Iterator<Item = Option<&'t str>>) -> String {
    let mut array = String::from("{");
    for (index, text) in texts.enumerate() {
        if index > 0 {
            array.push(',');
        }
        let Some(text) = text else {
            array.push_str("NULL");
            continue;
        };
        array.push('"');
        for character in text.chars() {
            if matches!(character, '"' | '\\') {
                array.push('\\');
            }
            array.push(character);
        }
        array.push('"');
    }
    array.push('}');
    array
}

fn bigints(numbers: &[i64]) -> String {
    let numbers: Vec<_> = numbers.iter().map(i64::to_string).collect();
    format!("{{{}}}", numbers.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_hold_any_text() {
        let texts = [Some("a\"b\\c,{}"), None, Some("NULL"), Some("")];
        assert_eq!(text_array(texts.into_iter()), r#"{"a\"b\\c,{}",NULL,"NULL",""}"#);
        assert_eq!(bigints(&[1, -2]), "{1,-2}");
        assert_eq!(bigints(&[]), "{}");
    }

    #[test]
    fn a_missing_relation_is_named_without_its_schema() {
        assert_eq!(named_relation("relation \"events\" does not exist").as_deref(), Some("events"));
        assert_eq!(named_relation("relation \"app.events\" does not exist").as_deref(), Some("events"));
        assert_eq!(named_relation("something else"), None);
    }
}
