//! MySQL and MariaDB: the same statements for both.

pub(crate) mod session;

use chrono::{DateTime, Utc};
use event_core::cursor::IdSet;
use event_core::storage::Read;
use event_core::{LogName, ThrottleGate};
use sea_orm::sqlx::mysql::MySqlDatabaseError;
use sea_orm::{DbBackend, DbErr, Statement, Value};
use serde_json::json;

use super::{Dialect, Sql, Trouble};
use crate::migration::mysql as ddl;
use crate::migration::who::Who;
use crate::own_table::{self, Target};
use crate::record::insert::Rows;
use crate::row;

pub(super) struct MySql;

impl Dialect for MySql {
    fn quoted(&self, name: &str) -> String {
        format!("`{}`", name.replace('`', "``"))
    }

    fn exact_text(&self, column: &str) -> Option<String> {
        Some(ddl::exact_text(column))
    }

    fn placeholder(&self, _: usize) -> String {
        "?".to_owned()
    }

    /// The driver binds a time with a zone as a TIMESTAMP, whose years end in 2038: the server takes what is beyond for NULL. One
    /// without is a DATETIME, and UTC by our agreement.
    fn value(&self, value: Value) -> Value {
        match value {
            Value::ChronoDateTimeUtc(time) => Value::ChronoDateTime(time.map(|time| time.naive_utc())),
            value => value,
        }
    }

    /// Never IGNORE, which would also cut what is too long and let in what a constraint refuses.
    fn insert(&self, log: &str, rows: Rows) -> Statement {
        let mut sql = Sql::new(self);
        sql.push("INSERT INTO ").name(log).push(" (").push(&rows.names()).push(") VALUES ");
        for (index, row) in rows.into_rows().enumerate() {
            sql.push(if index > 0 { ", " } else { "" }).list(row);
        }
        sql.statement(DbBackend::MySql)
    }

    fn returning(&self) -> bool {
        false
    }

    /// There is no RETURNING, and the number of changed rows is that of found ones with this driver: LAST_INSERT_ID takes the answer
    /// along. <https://dev.mysql.com/doc/refman/8.0/en/information-functions.html#function_last-insert-id>
    fn take_throttle(&self, log: &str, action: &str, gate: &ThrottleGate) -> Statement {
        let mut sql = Sql::new(self);
        sql.push("INSERT INTO event_throttles (log, name, action, until, last_at) VALUES ");
        sql.list([Value::from(log), gate.name.as_str().into(), action.into(), gate.until.into(), gate.now.into()]);
        sql.push(" ON DUPLICATE KEY UPDATE until = IF(last_insert_id(IF(");
        super::throttle_is_free(&mut sql, "", gate);
        // Until when it is taken: as `ThrottleGate::taken_until` says.
        sql.push(", 0, timestampdiff(MICROSECOND, '0001-01-01', IF(last_at > ").bind(gate.since);
        sql.push(" AND last_at < ").bind(gate.until).push(", timestampadd(MICROSECOND, ");
        sql.bind(gate.every.num_microseconds().unwrap_or(i64::MAX)).push(", last_at), until)))) = 0");
        // The assignments are made in this order, and the last one sees what the first one decided.
        sql.push(
            ", greatest(VALUES(until), until), until), last_at = IF(last_insert_id() = 0, VALUES(last_at), last_at)",
        );
        sql.statement(DbBackend::MySql)
    }

    /// A statement takes 65,535 values.
    fn insert_most(&self) -> usize {
        1_000
    }

    fn columns(&self) -> &'static str {
        row::COLUMNS
    }

    fn insert_unless_there(&self) -> (&'static str, &'static str) {
        ("INSERT IGNORE INTO", "")
    }

    fn lock_rows(&self, wait: bool) -> &'static str {
        if wait { " FOR UPDATE" } else { " FOR UPDATE SKIP LOCKED" }
    }

    fn newest_rows(&self) -> &'static str {
        " LOCK IN SHARE MODE"
    }

    fn without_index(&self, column: &str) -> String {
        format!("concat({column}, '')")
    }

    /// Compared as a row, `(occurred_at, id)` chooses no range of the index: every newer event of the feed would be stepped over.
    fn older(&self, sql: &mut Sql<'_>, occurred_at: DateTime<Utc>, id: i64) {
        sql.push("(occurred_at < ").bind(occurred_at);
        sql.push(" OR (occurred_at = ").bind(occurred_at).push(" AND id < ").bind(id).push("))");
    }

    /// Statistics that are older than the log would have it sorted.
    fn by_time(&self, log: &str) -> String {
        format!(" FORCE INDEX ({})", self.quoted(&format!("{log}_time")))
    }

    fn text_type(&self) -> &'static str {
        "char"
    }

    fn trouble(&self, error: &DbErr) -> Option<Trouble> {
        let (number, message) = numbered(error)?;
        match number {
            DUPLICATE => Some(Trouble::Conflict),
            number if NO_ROW.contains(&number) => Some(Trouble::NoRow),
            NO_TABLE => Some(Trouble::NoTable(message.split('\'').nth(1)?.rsplit('.').next()?.to_owned())),
            number if LOCKED.contains(&number) => Some(Trouble::Locked),
            number if READ_ONLY.contains(&number) => Some(Trouble::ReadOnly),
            number if UNREACHABLE.contains(&number) => Some(Trouble::Unreachable),
            // "INSERT command denied ..."; with DELETE, and so on.
            DENIED if WRITES.iter().any(|write| message.starts_with(write)) => Some(Trouble::ReadOnly),
            _ => None,
        }
    }

    fn is_taken_key(&self, log: &str, error: &DbErr) -> bool {
        numbered(error).is_some_and(|(number, message)| number == DUPLICATE && index(message) == Some(&ddl::key(log)))
    }

    fn explain(&self, error: DbErr) -> DbErr {
        match numbered(&error) {
            Some((NO_TRIGGERS, message)) => DbErr::Migration(format!(
                "this account may not create triggers while the server keeps a binary log ({message}): set \
                 `log_bin_trust_function_creators = 1` on the server, or run the migrations with an account that has the \
                 privilege SUPER (MySQL: SET_USER_ID, later SET_ANY_DEFINER, does too)"
            )),
            _ => error,
        }
    }

    /// The time at which the statement began, in UTC whatever the session's time zone is.
    fn clock(&self, milliseconds: u128) -> String {
        format!("utc_timestamp(6) + INTERVAL {} MICROSECOND", milliseconds.saturating_mul(1_000))
    }

    fn ago(&self, milliseconds: u128) -> String {
        format!("utc_timestamp(6) - INTERVAL {} MICROSECOND", milliseconds.saturating_mul(1_000))
    }

    fn newest_id(&self, log: &LogName) -> Statement {
        let mut sql = Sql::new(self);
        sql.push("SELECT CAST(greatest(coalesce((SELECT max(id) FROM ").name(log.as_str()).push("), 0), ");
        sql.push("coalesce((SELECT auto_increment FROM information_schema.tables WHERE table_schema = database() AND ");
        sql.push("table_name = ").bind(log.as_str()).push("), 1) - 1) AS signed) AS newest");
        sql.statement(DbBackend::MySql)
    }

    /// With ids looked for again the rows go through a temporary table: no more of them than are wanted.
    fn read(&self, read: &Read<'_>) -> Statement {
        let columns = own_table::columns(self, own_table::of(read.log.as_str()));
        let mut sql = Sql::new(self);
        let limit = i64::try_from(read.limit).unwrap_or(i64::MAX);
        let mut ranges = read.also.ranges();
        match (ranges.next(), ranges.next()) {
            (None, _) => {}
            // The ids of one transaction that recorded many: found in their order, so that no more are read than are wanted.
            (Some(range), None) => {
                sql.push("(SELECT ").push(&columns).push(" FROM ").name(read.log.as_str()).push(" WHERE id BETWEEN ");
                sql.bind(*range.start()).push(" AND ").bind(*range.end()).push(" ORDER BY id LIMIT ").bind(limit);
                sql.push(")");
            }
            (Some(_), Some(_)) => {
                sql.push("(SELECT ").push(&columns);
                visible(&mut sql, read.log, read.also);
                sql.push(" ORDER BY id LIMIT ").bind(limit).push(")");
            }
        }
        if let Some(after) = read.after {
            sql.push(if read.also.is_empty() { "(" } else { " UNION ALL (" });
            sql.push("SELECT ").push(&columns).push(" FROM ").name(read.log.as_str()).push(" WHERE id > ");
            sql.bind(after).push(" ORDER BY id LIMIT ").bind(limit).push(")");
        } else if read.also.is_empty() {
            sql.push("SELECT ").push(&columns).push(" FROM ").name(read.log.as_str()).push(" LIMIT 0");
        }
        if read.after.is_some() && !read.also.is_empty() {
            sql.push(" ORDER BY id LIMIT ").bind(limit);
        }
        sql.statement(DbBackend::MySql)
    }

    fn log_up(&self, log: &str, who: &Who) -> Vec<String> {
        ddl::log(log, who)
    }

    /// A text's character set and collation too: a foreign key has to have those of its column.
    fn column_type(&self, target: &Target) -> Statement {
        let mut sql = Sql::new(self);
        sql.push("SELECT concat(column_type, coalesce(concat(' CHARACTER SET ', character_set_name), ''), ");
        sql.push("coalesce(concat(' COLLATE ', collation_name), '')) AS type FROM information_schema.columns ");
        sql.push("WHERE table_schema = ");
        match &target.schema {
            Some(schema) => sql.bind(schema.as_str()),
            None => sql.push("database()"),
        };
        sql.push(" AND table_name = ").bind(target.table).push(" AND column_name = ").bind(target.column);
        sql.statement(DbBackend::MySql)
    }

    fn logs_and_archives(&self) -> &'static str {
        "SELECT table_name AS name FROM information_schema.columns WHERE table_schema = database() \
         AND column_name IN ('batch_id', 'causation_log') GROUP BY table_name HAVING count(*) = 2"
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

    fn batches_up(&self) -> Vec<String> {
        ddl::batches()
    }

    fn throttles_up(&self) -> Vec<String> {
        ddl::throttles()
    }

    fn system_up(&self) -> Vec<String> {
        ddl::system()
    }

    /// Nothing within a transaction: every statement of a migration ends it.
    fn one_migration_at_a_time(&self) -> Option<String> {
        None
    }
}

/// ` FROM ... ` the rows of the log that have these ids: the ranges as one value however many they are, and the primary key
/// asked for each.
pub(crate) fn visible(sql: &mut Sql<'_>, log: &LogName, ids: &IdSet) {
    let ranges: Vec<_> = ids.ranges().map(|range| json!([range.start(), range.end()])).collect();
    sql.push(" FROM JSON_TABLE(").bind(json!(ranges).to_string());
    sql.push(", '$[*]' COLUMNS (low bigint PATH '$[0]', high bigint PATH '$[1]')) AS hole STRAIGHT_JOIN ");
    sql.name(log.as_str()).push(" AS log ON log.id BETWEEN hole.low AND hole.high");
}

// https://mariadb.com/docs/server/reference/error-codes/mariadb-error-code-reference,
// https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html
pub(crate) const DUPLICATE: u16 = 1062;
const NO_TABLE: u16 = 1146;
const NO_ROW: [u16; 2] = [1216, 1452];
/// The account may not do that to the table. One that may not write is as good as read-only.
const DENIED: u16 = 1142;
const WRITES: [&str; 3] = ["INSERT", "UPDATE", "DELETE"];
const NO_TRIGGERS: u16 = 1419;
const SIGNAL: u16 = 1644;
/// A lock was waited for too long; a deadlock, or a row newer than the transaction's snapshot (MariaDB's
/// `innodb_snapshot_isolation`), either of which ended the whole transaction.
const LOCKED: [u16; 3] = [1205, 1213, 1020];
/// A server's `read_only`, a transaction's, InnoDB's.
const READ_ONLY: [u16; 3] = [1290, 1792, 1836];
/// Too many connections, shutting down, aborted, killed; and what the network did to packets.
const UNREACHABLE: [u16; 18] =
    [1040, 1042, 1053, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1226, 1927, 2002, 2006, 2013, 3032, 3169, 4031];

/// The number of a database's error, and its words.
fn numbered(error: &DbErr) -> Option<(u16, &str)> {
    let error = super::driver_error(error)?.try_downcast_ref::<MySqlDatabaseError>()?;
    Some((error.number(), error.message()))
}

/// Whether a trigger refused it.
pub(crate) fn is_signal(error: &DbErr) -> bool {
    numbered(error).is_some_and(|(number, _)| number == SIGNAL)
}

/// The index that refused a duplicate. Its name is the last thing in quotes, in whatever language; what was to be written
/// stands in quotes before it. MySQL writes `table.index`.
pub(crate) fn index(message: &str) -> Option<&str> {
    message.rsplit('\'').nth(1)?.rsplit('.').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_found_in_the_message() {
        assert_eq!(index("Duplicate entry 'it's' for key 'events_key'"), Some("events_key"));
        assert_eq!(index("Duplicate entry 'events_key' for key 'events.mine'"), Some("mine"));
        assert_eq!(index("Doppelter Eintrag '7' für Schlüssel 'events_key'"), Some("events_key"));
        assert_eq!(index("something else"), None);
    }
}
