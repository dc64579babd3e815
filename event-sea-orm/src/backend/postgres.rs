//! PostgreSQL.

use event_core::storage::Read;
use event_core::{LogName, ThrottleGate};
use sea_orm::{DbBackend, DbErr, Statement, Value};

use super::{Dialect, Sql, Trouble};
use crate::migration::postgres as ddl;
use crate::migration::who::Who;
use crate::own_table::{self, Target};
use crate::record::insert::{self, Rows};

pub(super) struct Postgres;

/// JSON is read as text and parsed by us, so that a row that is broken holds up nobody but its own readers.
const COLUMNS: &str = "id, subject_type, subject_id, actor_type, actor_id, action, version, metadata::text AS metadata, \
     context::text AS context, correlation_id, causation_log, causation_id, snapshot::text AS snapshot, idempotency_key, \
     occurred_at, created_at, batch_id";

/// What the columns of [`insert::COLUMNS`] are cast to, where text is not what they hold.
const TYPES: [&str; insert::COLUMNS.len()] =
    ["", "", "", "", "", "", "::bigint", "::jsonb", "::jsonb", "", "", "::bigint", "", "::jsonb", "::timestamptz"];

/// ` ORDER BY id LIMIT `. Bound, a limit has every page planned anew: the plan for any limit takes a tenth of the log for granted, and
/// is never chosen. Usual limits are part of the statement; others are too many.
fn push_limit(sql: &mut Sql<'_>, limit: i64) {
    sql.push(" ORDER BY id LIMIT ");
    if limit % 100 == 0 {
        sql.push(&limit.to_string());
    } else {
        sql.bind(limit);
    }
}

impl Dialect for Postgres {
    fn quoted(&self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    fn placeholder(&self, n: usize) -> String {
        format!("${n}")
    }

    /// One event by its values; more of them by one array for each column in which they differ, whose statement is the same
    /// text for any number.
    fn insert(&self, log: &str, rows: Rows) -> Statement {
        let mut sql = Sql::new(self);
        sql.push("INSERT INTO ").name(log).push(" (").push(&rows.names()).push(") ");
        let (keyed, returning) = (rows.are_keyed(), rows.returning());
        if rows.is_one() {
            let columns = rows.columns();
            sql.push("VALUES (");
            for (index, (value, column)) in rows.into_rows().flatten().zip(columns).enumerate() {
                let cast = if insert::is_key(column) { "" } else { TYPES[column] };
                sql.push(if index > 0 { ", " } else { "" }).bind(value).push(cast);
            }
            sql.push(")");
        } else {
            unnest(&mut sql, &rows);
        }
        if keyed {
            // By its index and no other: nothing else may be left out in silence.
            sql.push(" ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING");
        }
        sql.push(returning);
        sql.statement(DbBackend::Postgres)
    }

    fn take_throttle(&self, log: &str, action: &str, gate: &ThrottleGate) -> Statement {
        let mut sql = Sql::new(self);
        super::take_throttle(&mut sql, log, action, gate);
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

    fn keeps_plans(&self) -> bool {
        true
    }

    fn text_type(&self) -> &'static str {
        "text"
    }

    // https://www.postgresql.org/docs/15/errcodes-appendix.html
    fn trouble(&self, error: &DbErr) -> Option<Trouble> {
        let error = super::driver_error(error)?;
        match error.code()?.as_ref() {
            "23505" => Some(Trouble::Conflict),
            "23503" => Some(Trouble::NoRow),
            "25006" => Some(Trouble::ReadOnly),
            "40001" | "40P01" | "55P03" => Some(Trouble::Locked),
            "42P01" => Some(Trouble::NoTable(named_relation(error.message())?)),
            "42P05" | "26000" => Some(Trouble::Pooler),
            // Its code is that of every missing right. The server's function has one name in all languages.
            "42501" if routine(error) == Some("check_enable_rls") => {
                Some(Trouble::RowSecurity(named_relation(error.message()).unwrap_or_default()))
            }
            code if code.starts_with("08") || code.starts_with("57P") || code == "53300" || code == "25P03" => {
                Some(Trouble::Unreachable)
            }
            _ => None,
        }
    }

    fn clock(&self, milliseconds: u128) -> String {
        format!("clock_timestamp() + interval '{milliseconds} milliseconds'")
    }

    fn ago(&self, milliseconds: u128) -> String {
        format!("clock_timestamp() - interval '{milliseconds} milliseconds'")
    }

    /// By the sequence's function, which reads one page of it: a scan of the sequence would be planned as one of a table. As
    /// `id + 0`, the condition is a filter and no range of the index, whose size the planner could only guess.
    fn drawn_only(&self, sql: &mut Sql<'_>, log: &str) {
        let sequence = self.quoted(&ddl::sequence(log)).replace('\'', "''");
        sql.push("id + 0 <= (SELECT coalesce(pg_sequence_last_value('").push(&sequence).push("'::regclass), 0))");
    }

    fn foreign_id(&self, log: &LogName) -> Option<Statement> {
        let sequence = self.quoted(&ddl::sequence(log.as_str()));
        let mut sql = Sql::new(self);
        sql.push("SELECT min(id) AS foreign_id FROM ").name(log.as_str()).push(" WHERE id > (SELECT ");
        sql.push("coalesce(pg_sequence_last_value(").bind(sequence).push("::text::regclass), 0))");
        Some(sql.statement(DbBackend::Postgres))
    }

    fn see_all_rows(&self) -> Option<&'static str> {
        Some("SET LOCAL row_security = off")
    }

    fn newest_id(&self, log: &LogName) -> Statement {
        let mut sql = Sql::new(self);
        sql.push("SELECT last_value AS newest FROM ").name(&ddl::sequence(log.as_str())).push(" WHERE is_called");
        sql.statement(DbBackend::Postgres)
    }

    /// Never `id > $1 OR id = ANY($2)`: under a generic plan it walks the whole index.
    fn read(&self, read: &Read<'_>) -> Statement {
        let columns = own_table::columns(self, own_table::of(read.log.as_str()));
        let mut sql = Sql::new(self);
        // Sorted once more, the rows would go through the server's memory for nothing.
        let is_sorted = read.also.is_empty();
        sql.push(if is_sorted { "SELECT " } else { "SELECT * FROM ((SELECT " });
        sql.push(&columns).push(" FROM ").name(read.log.as_str()).push(" WHERE id > ");
        let limit = if read.after.is_some() { i64::try_from(read.limit).unwrap_or(i64::MAX) } else { 0 };
        sql.bind(read.after.unwrap_or(i64::MAX)).push(" AND ");
        self.drawn_only(&mut sql, read.log.as_str());
        push_limit(&mut sql, limit);
        if !is_sorted {
            let limit = i64::try_from(read.limit).unwrap_or(i64::MAX);
            let (low, high): (Vec<_>, Vec<_>) = read.also.ranges().map(|range| (*range.start(), *range.end())).unzip();
            sql.push(") UNION ALL SELECT page.* FROM unnest(").bind(bigints(&low)).push("::text::bigint[], ");
            sql.bind(bigints(&high)).push("::text::bigint[]) AS hole(low, high) CROSS JOIN LATERAL (SELECT ");
            sql.push(&columns).push(" FROM ").name(read.log.as_str());
            sql.push(" AS log WHERE log.id BETWEEN hole.low AND hole.high");
            // Each range's rows come in order and no more of them than are wanted, however many it has.
            push_limit(&mut sql, limit);
            sql.push(") AS page) AS page");
            push_limit(&mut sql, limit);
        }
        sql.statement(DbBackend::Postgres)
    }

    fn log_up(&self, log: &str, who: &Who) -> Vec<String> {
        ddl::log(log, who)
    }

    fn column_type(&self, target: &Target) -> Statement {
        let mut sql = Sql::new(self);
        sql.push("SELECT format_type(atttypid, atttypmod) AS type FROM pg_attribute WHERE attrelid = to_regclass(");
        sql.bind(target.quoted(self)).push(") AND attname = ").bind(target.column).push(" AND NOT attisdropped");
        sql.statement(DbBackend::Postgres)
    }

    fn logs_and_archives(&self) -> &'static str {
        "SELECT relname::text AS name FROM pg_class WHERE relkind IN ('r', 'p') AND pg_table_is_visible(oid) AND 2 = (SELECT count(*) \
         FROM pg_attribute WHERE attrelid = pg_class.oid AND NOT attisdropped AND attname IN ('batch_id', 'causation_log'))"
    }

    fn log_down(&self, log: &str) -> Vec<String> {
        ddl::log_down(log)
    }

    fn archive_up(&self, log: &str, archive: &str) -> Vec<String> {
        ddl::archive(log, archive)
    }

    fn attachments_up(&self) -> Vec<String> {
        ddl::attachments()
    }

    fn attachments_down(&self) -> Vec<String> {
        ddl::attachments_down()
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

    fn system_down(&self) -> Vec<String> {
        ddl::system_down()
    }

    fn one_migration_at_a_time(&self) -> Option<String> {
        Some(format!("SELECT pg_advisory_xact_lock({})", crate::migration::wait::POSTGRES_LOCK))
    }
}

/// The function of the server that reported the error.
fn routine(error: &dyn sea_orm::sqlx::error::DatabaseError) -> Option<&str> {
    error.try_downcast_ref::<sea_orm::sqlx::postgres::PgDatabaseError>()?.routine()
}

/// The relation that an error about a missing one names, without its schema.
fn named_relation(message: &str) -> Option<String> {
    let name = message.split('"').nth(1)?;
    Some(name.rsplit('.').next().unwrap_or(name).to_owned())
}

/// `SELECT ... FROM unnest(...)`, in the events' order, which is then the order of their ids. A column in which all are the same
/// is sent once; there always is one that is an array, since it gives their number.
fn unnest(sql: &mut Sql<'_>, rows: &Rows) {
    let differs = |&column: &usize| {
        let mut values = rows.column(column);
        let first = values.next();
        insert::COLUMNS[column] == "metadata" || values.any(|value| Some(value) != first)
    };
    let (arrays, same): (Vec<_>, Vec<_>) = rows.columns().partition(differs);
    sql.push("SELECT ");
    for (index, column) in rows.columns().enumerate() {
        sql.push(if index > 0 { ", " } else { "" });
        match rows.column(column).next() {
            // Its type would otherwise be text, whatever the column's.
            Some(value) if same.contains(&column) => {
                let cast = cast(rows, column);
                sql.bind(value.clone()).push(if cast.is_empty() { "::text" } else { cast });
            }
            _ => {
                sql.push(&format!("c{column}{}", cast(rows, column)));
            }
        }
    }
    sql.push(" FROM unnest(");
    for (index, column) in arrays.iter().enumerate() {
        sql.push(if index > 0 { ", " } else { "" });
        sql.bind(text_array(rows.column(*column))).push("::text::text[]");
    }
    sql.push(") WITH ORDINALITY AS fresh(");
    for column in &arrays {
        sql.push(&format!("c{column}, "));
    }
    sql.push("nth) ORDER BY nth");
}

/// What a column's text is cast to. A foreign key's type is that of its values.
fn cast(rows: &Rows, column: usize) -> &'static str {
    if !insert::is_key(column) {
        return TYPES[column];
    }
    let types = rows.column(column).find_map(|value| match value {
        Value::TinyInt(Some(_)) | Value::SmallInt(Some(_)) | Value::TinyUnsigned(Some(_)) => Some("::smallint"),
        Value::Int(Some(_)) | Value::SmallUnsigned(Some(_)) => Some("::integer"),
        Value::BigInt(Some(_)) | Value::Unsigned(Some(_)) | Value::BigUnsigned(Some(_)) => Some("::bigint"),
        Value::Uuid(Some(_)) => Some("::uuid"),
        _ => None,
    });
    types.unwrap_or("")
}

/// An array as PostgreSQL writes it: SeaORM's own arrays hold no NULL.
/// <https://www.postgresql.org/docs/15/arrays.html#ARRAYS-IO>
fn text_array<'v>(values: impl Iterator<Item = &'v Value>) -> String {
    let mut array = String::from("{");
    for (index, value) in values.enumerate() {
        if index > 0 {
            array.push(',');
        }
        match value {
            Value::String(Some(text)) => quote(&mut array, text),
            Value::BigInt(Some(number)) => array.push_str(&number.to_string()),
            Value::TinyInt(Some(number)) => array.push_str(&number.to_string()),
            Value::SmallInt(Some(number)) => array.push_str(&number.to_string()),
            Value::Int(Some(number)) => array.push_str(&number.to_string()),
            Value::TinyUnsigned(Some(number)) => array.push_str(&number.to_string()),
            Value::SmallUnsigned(Some(number)) => array.push_str(&number.to_string()),
            Value::Unsigned(Some(number)) => array.push_str(&number.to_string()),
            Value::BigUnsigned(Some(number)) => array.push_str(&number.to_string()),
            Value::Uuid(Some(uuid)) => array.push_str(&uuid.to_string()),
            Value::ChronoDateTimeUtc(Some(time)) => quote(&mut array, &time.to_rfc3339()),
            // Empty; `insert::Rows` has no others: it refuses keys of other types.
            _ => array.push_str("NULL"),
        }
    }
    array.push('}');
    array
}

fn quote(array: &mut String, text: &str) {
    array.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(['"', '\\']) {
        let (before, from) = rest.split_at(at);
        array.push_str(before);
        array.push('\\');
        array.push_str(&from[..1]);
        rest = &from[1..];
    }
    array.push_str(rest);
    array.push('"');
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
        let texts = [Some("a\"b\\c,{}"), None, Some("NULL"), Some(""), Some("é\"")];
        let values: Vec<Value> = texts.map(|text| text.map(str::to_owned).into()).into();
        assert_eq!(text_array(values.iter()), r#"{"a\"b\\c,{}",NULL,"NULL","","é\""}"#);
        assert_eq!(text_array([Value::from(-3_i64)].iter()), "{-3}");
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
