//! The statements that a handler may not send through its transaction: those that end it, which would part the effects from
//! the cursor.

use sea_orm::{DbBackend, DbErr};

/// Transaction control, the dispatcher's business.
const CONTROL: [&str; 9] = ["BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "XA"];

/// What makes MySQL and MariaDB commit, before and after it.
/// <https://dev.mysql.com/doc/refman/8.4/en/implicit-commit.html>
const IMPLICIT_COMMIT: [&str; 20] = [
    "ALTER",
    "ANALYZE",
    "CACHE",
    "CHANGE",
    "CHECK",
    "CREATE",
    "DROP",
    "FLUSH",
    "GRANT",
    "IMPORT",
    "INSTALL",
    "LOCK",
    "OPTIMIZE",
    "RENAME",
    "REPAIR",
    "RESET",
    "REVOKE",
    "TRUNCATE",
    "UNINSTALL",
    "UNLOCK",
];

/// Lets a text through unless one of its statements ends the transaction.
pub(super) fn check(sql: &str, backend: DbBackend) -> Result<(), DbErr> {
    sql.split(';').try_for_each(|statement| check_statement(statement, backend))
}

fn check_statement(statement: &str, backend: DbBackend) -> Result<(), DbErr> {
    let mysql = backend == DbBackend::MySql;
    let mut words = words(statement, mysql);
    let first = words.next().unwrap_or_default();
    let second = words.next().unwrap_or_default();
    let is = |word: &str, other: &str| word.eq_ignore_ascii_case(other);
    if let Some(word) = CONTROL.into_iter().find(|word| is(first, word)) {
        return Err(control(word));
    }
    if backend == DbBackend::Postgres && is(first, "PREPARE") && is(second, "TRANSACTION") {
        return Err(control("PREPARE TRANSACTION"));
    }
    if mysql && is(first, "SET") && (is(second, "AUTOCOMMIT") || words.any(|word| is(word, "AUTOCOMMIT"))) {
        return Err(control("SET autocommit"));
    }
    let temporary = is(second, "TEMPORARY") && (is(first, "CREATE") || is(first, "DROP"));
    match IMPLICIT_COMMIT.into_iter().find(|word| is(first, word)) {
        Some(word) if mysql && !temporary => Err(DbErr::Custom(format!(
            "MySQL and MariaDB commit the transaction at `{word}`, and with it the effects without the cursor: do that outside of \
             the inbox's transaction, in a migration"
        ))),
        _ => Ok(()),
    }
}

fn control(word: &str) -> DbErr {
    DbErr::Custom(format!(
        "an inbox's transaction is committed and rolled back by the dispatcher, not by `{word}`: return an error to undo \
         everything, use `txn.savepoint(...)` to undo a part"
    ))
}

/// The words of a statement, without the comments before it. What stands in a comment that MySQL executes (`/*!50100 ... */`) is
/// no comment.
fn words(statement: &str, mysql: bool) -> impl Iterator<Item = &str> {
    let mut rest = statement.trim_start();
    loop {
        let executed = ["/*!", "/*M!"].iter().find_map(|start| rest.strip_prefix(start)).filter(|_| mysql);
        if let Some(executed) = executed {
            rest = executed.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        } else if let Some(comment) = rest.strip_prefix("--").or_else(|| rest.strip_prefix('#').filter(|_| mysql)) {
            rest = comment.split_once('\n').map_or("", |(_, rest)| rest).trim_start();
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, rest)| rest).trim_start();
        } else {
            break;
        }
    }
    rest.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: [DbBackend; 3] = [DbBackend::Sqlite, DbBackend::Postgres, DbBackend::MySql];

    fn refused(sql: &str) -> Vec<DbBackend> {
        EVERY.into_iter().filter(|backend| check(sql, *backend).is_err()).collect()
    }

    #[test]
    fn what_ends_the_transaction_is_refused() {
        for sql in [
            "COMMIT",
            " rollback",
            "-- why\nBegin",
            "/* a */ /* b */ savepoint x",
            "SELECT 1; END",
            "release savepoint x",
            "ABORT",
            "XA PREPARE 'x'",
        ] {
            assert_eq!(refused(sql), EVERY, "{sql}");
        }
        assert_eq!(refused("PREPARE TRANSACTION 'x'"), [DbBackend::Postgres]);
        for sql in [
            "set autocommit = 1",
            "SET @@session.autocommit=1",
            "# why\nCOMMIT",
            "/*!40101 COMMIT */",
            "/*M! COMMIT */",
        ] {
            assert_eq!(refused(sql), [DbBackend::MySql], "{sql}");
        }
    }

    #[test]
    fn what_commits_implicitly_is_refused_on_mysql() {
        for sql in [
            "CREATE TABLE a (b int)",
            "drop table a",
            "TRUNCATE a",
            "/* x */ ALTER TABLE a ADD b int",
            "LOCK TABLES a WRITE",
        ] {
            assert_eq!(refused(sql), [DbBackend::MySql], "{sql}");
        }
    }

    #[test]
    fn the_rest_is_let_through() {
        for sql in [
            "UPDATE commits SET ends = 1",
            "INSERT INTO drops (a) VALUES (?)",
            "SELECT 'commit'",
            "WITH a AS (SELECT 1) DELETE FROM b",
            "CREATE TEMPORARY TABLE a (b int)",
            "DROP TEMPORARY TABLE a",
            "SET @a = 1",
            "REPLACE INTO a VALUES (1)",
            "PREPARE p AS SELECT 1",
            "",
        ] {
            assert!(refused(sql).is_empty(), "{sql}");
        }
    }
}
