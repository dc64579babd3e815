//! The statements that a handler may not send through its transaction: those that end it, which would part the effects from
//! the cursor.

use sea_orm::{DbBackend, DbErr};

use super::tokens::{Token, tokens};

/// Transaction control, the dispatcher's business.
const CONTROL: [&str; 9] = ["BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "XA"];

/// What makes MySQL and MariaDB commit, before and after it.
/// <https://dev.mysql.com/doc/refman/8.4/en/implicit-commit.html>
const IMPLICIT_COMMIT: [&str; 21] = [
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
    "STOP",
    "TRUNCATE",
    "UNINSTALL",
    "UNLOCK",
];

/// What executes statements that the text does not show to a reader of first words: texts made at run time, and MariaDB's
/// compound statements outside of procedures.
/// <https://mariadb.com/kb/en/using-compound-statements-outside-of-stored-programs/>
const INDIRECT: [&str; 8] = ["EXECUTE", "PREPARE", "IF", "CASE", "LOOP", "WHILE", "REPEAT", "FOR"];

/// Lets a text through unless one of its statements ends the transaction.
///
/// This guards against accidents: a stored procedure that commits is not seen.
pub(super) fn check(sql: &str, backend: DbBackend) -> Result<(), DbErr> {
    let tokens: Vec<_> = tokens(sql, backend).collect();
    let mut statements = tokens.split(|token| *token == Token::End);
    while let Some(statement) = statements.next() {
        check_statement(statement, backend)?;
        if has_body(statement, backend) {
            // The statements up to its `END` are executed later, by whatever calls it.
            let _ = statements.by_ref().find(|inner| inner.first().is_some_and(|first| first.is("END")));
        }
    }
    Ok(())
}

fn check_statement(statement: &[Token<'_>], backend: DbBackend) -> Result<(), DbErr> {
    let mysql = backend == DbBackend::MySql;
    let is = |place: usize, keyword: &str| statement.get(place).is_some_and(|token| token.is(keyword));
    if let Some(word) = CONTROL.into_iter().find(|word| is(0, word)) {
        return Err(control(word));
    }
    if backend == DbBackend::Postgres && is(0, "PREPARE") && is(1, "TRANSACTION") {
        return Err(control("PREPARE TRANSACTION"));
    }
    if !mysql {
        return Ok(());
    }
    if is(0, "SET") {
        return check_set(statement);
    }
    // A label: `again: LOOP`.
    let labelled = statement.get(1) == Some(&Token::Other(':'));
    if let Some(word) = INDIRECT.into_iter().find(|word| is(0, word) || labelled && is(2, word)) {
        return Err(DbErr::Custom(format!(
            "`{word}` executes statements that can't be checked here, and one that commits would commit the effects without the \
             cursor: send the statements themselves through the inbox's transaction"
        )));
    }
    let or_replace = if is(1, "OR") && is(2, "REPLACE") { 2 } else { 0 };
    let temporary = (is(0, "CREATE") || is(0, "DROP")) && is(1 + or_replace, "TEMPORARY");
    // MariaDB's `ANALYZE SELECT` runs and explains a query.
    let explains =
        is(0, "ANALYZE") && !["TABLE", "TABLES", "LOCAL", "NO_WRITE_TO_BINLOG"].iter().any(|word| is(1, word));
    match IMPLICIT_COMMIT.into_iter().find(|word| is(0, word)) {
        Some(word) if !temporary && !explains => Err(implicit(word)),
        _ => Ok(()),
    }
}

/// `SET` of MySQL and MariaDB.
fn check_set(set: &[Token<'_>]) -> Result<(), DbErr> {
    if set.iter().any(|token| token.is("AUTOCOMMIT") || matches!(token, Token::Quoted("`autocommit`"))) {
        return Err(control("SET autocommit"));
    }
    if set.get(1).is_some_and(|token| token.is("PASSWORD")) {
        return Err(implicit("SET PASSWORD"));
    }
    // `SET STATEMENT max_statement_time = 1 FOR COMMIT`
    if set.get(1).is_some_and(|token| token.is("STATEMENT"))
        && let Some(place) = set.iter().position(|token| token.is("FOR"))
    {
        return check_statement(&set[place + 1..], DbBackend::MySql);
    }
    Ok(())
}

/// Whether what follows the next `;` belongs to the statement: SQLite's triggers, PostgreSQL's functions in standard SQL.
fn has_body(statement: &[Token<'_>], backend: DbBackend) -> bool {
    let creates = statement.first().is_some_and(|first| first.is("CREATE"));
    let any = |keyword: &str| statement.iter().any(|token| token.is(keyword));
    match backend {
        DbBackend::Sqlite => creates && any("TRIGGER") && any("BEGIN"),
        DbBackend::Postgres => creates && any("ATOMIC") && any("BEGIN"),
        _ => false,
    }
}

fn implicit(word: &str) -> DbErr {
    DbErr::Custom(format!(
        "MySQL and MariaDB commit the transaction at `{word}`, and with it the effects without the cursor: do that outside of \
         the inbox's transaction, in a migration"
    ))
}

fn control(word: &str) -> DbErr {
    DbErr::Custom(format!(
        "an inbox's transaction is committed and rolled back by the dispatcher, not by `{word}`: return an error to undo \
         everything, use `txn.savepoint(...)` to undo a part"
    ))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

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
        // On MySQL and MariaDB as any PREPARE.
        assert_eq!(refused("PREPARE TRANSACTION 'x'"), [DbBackend::Postgres, DbBackend::MySql]);
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
    fn what_executes_other_statements_is_refused_on_mysql() {
        for sql in [
            "EXECUTE IMMEDIATE 'COMMIT'",
            "execute immediate concat('COM', 'MIT')",
            "PREPARE p FROM 'COMMIT'",
            "EXECUTE p",
            "SET STATEMENT max_statement_time = 1 FOR COMMIT",
            "SET STATEMENT sql_mode = 'FOR;' FOR DROP TABLE a",
            "SET PASSWORD = 'x'",
            "SET `autocommit` = 1",
            "IF 1 THEN COMMIT; END IF",
            "again: LOOP COMMIT; END LOOP",
            "STOP SLAVE",
            "CREATE OR REPLACE TABLE a (b int)",
            "ANALYZE TABLE a",
            "SELECT 1 /*! ; COMMIT */",
        ] {
            assert!(check(sql, DbBackend::MySql).is_err(), "{sql}");
        }
    }

    #[test]
    fn quoted_text_is_no_statement() {
        for sql in [
            "INSERT INTO notes (text) VALUES ('First; end of story')",
            "INSERT INTO notes (text) VALUES ('it''s; commit')",
            "SELECT 1 -- done; commit\n",
            "SELECT 1 /* ; commit */",
            "UPDATE \"a;end\" SET b = 1",
        ] {
            assert!(refused(sql).is_empty(), "{sql}");
        }
        let of_one = [
            (DbBackend::Postgres, "DO $$ BEGIN PERFORM 1; END; $$"),
            (DbBackend::Postgres, "DO $do$ BEGIN PERFORM $$;$$; END $do$ LANGUAGE plpgsql"),
            (DbBackend::Postgres, r"SELECT E'it\'s; commit'"),
            (DbBackend::Postgres, "SELECT 1 /* /* */ ; commit */"),
            (DbBackend::Postgres, "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END"),
            (DbBackend::Sqlite, "SELECT [a;end]"),
            (DbBackend::Sqlite, "CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN UPDATE b SET c = 1; END"),
            (DbBackend::MySql, r"SELECT 'it\'s; commit'"),
            (DbBackend::MySql, "SELECT `a;end`"),
            (DbBackend::MySql, "SELECT 1 # ; commit"),
            (DbBackend::MySql, "SET STATEMENT max_statement_time = 1 FOR SELECT 1"),
            (DbBackend::MySql, "CREATE OR REPLACE TEMPORARY TABLE a (b int)"),
            (DbBackend::MySql, "ANALYZE FORMAT=JSON SELECT 1"),
        ];
        for (backend, sql) in of_one {
            assert!(check(sql, backend).is_ok(), "{sql}");
        }
        // What looks quoted on one database is not on another.
        let of_one = [
            (DbBackend::Sqlite, "SELECT $$ ; COMMIT; SELECT $$"),
            (DbBackend::Sqlite, r"SELECT 'a\'; COMMIT; SELECT '"),
            (DbBackend::Postgres, r"SELECT 'a\'; COMMIT; SELECT '"),
            (DbBackend::Postgres, "SELECT $1; COMMIT; SELECT $1"),
            (DbBackend::Postgres, "SELECT a$$b; COMMIT; SELECT a$$b"),
            (DbBackend::Sqlite, "SELECT 1 /* /* */ ; COMMIT */"),
            (DbBackend::Sqlite, "CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE b SET c = 1; END; COMMIT"),
            (DbBackend::MySql, "SELECT 1--1; COMMIT"),
        ];
        for (backend, sql) in of_one {
            assert!(check(sql, backend).is_err(), "{sql}");
        }
    }

    proptest! {
        /// Whatever is quoted, as the databases have it quoted, hides no statement and is none.
        #[test]
        fn a_statement_is_seen_behind_any_quoted_text(texts in vec((0_usize..4, ".{0,12}|[;'\"\\\\$/*\\-a-z ]{0,12}"), 0..5)) {
            for backend in EVERY {
                let quoted: String = texts.iter().map(|(how, text)| quote(*how, text, backend) + ", ").collect();
                let harmless = format!("SELECT {quoted}1");
                prop_assert!(check(&harmless, backend).is_ok(), "{}", harmless);
                let commits = format!("{harmless}; COMMIT");
                prop_assert!(check(&commits, backend).is_err(), "{}", commits);
            }
        }

        #[test]
        fn no_text_panics(sql in ".{0,60}|[;'\"`\\\\$/*!M\\-#\\[\\]a-zé ]{0,60}") {
            for backend in EVERY {
                let _ = check(&sql, backend);
                let length: usize = tokens(&sql, backend).map(|token| match token {
                    Token::Word(text) | Token::Quoted(text) => text.len(),
                    Token::End => 1,
                    Token::Other(c) => c.len_utf8(),
                }).sum();
                prop_assert!(length <= sql.len());
            }
        }
    }

    fn quote(how: usize, text: &str, backend: DbBackend) -> String {
        let doubled = |quote: char| {
            let text = if backend == DbBackend::MySql { text.replace('\\', r"\\") } else { text.to_owned() };
            format!("{quote}{}{quote}", text.replace(quote, &format!("{quote}{quote}")))
        };
        match (how, backend) {
            (0, _) => doubled('\''),
            (1, _) => doubled('"'),
            (2, DbBackend::Postgres) => format!("$x${}$x$", text.replace('$', "")),
            (2, DbBackend::Sqlite) => format!("[{}]", text.replace(']', "")),
            (2, _) => format!("`{}`", text.replace('`', "``")),
            (3, DbBackend::Postgres) => format!("E'{}'", text.replace('\\', r"\\").replace('\'', r"\'")),
            _ => format!("/*-{}*/1", text.replace(['*', '/'], "")),
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
            "",
        ] {
            assert!(refused(sql).is_empty(), "{sql}");
        }
    }
}
