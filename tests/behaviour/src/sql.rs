//! Raw SQL in tests, and what of it differs between databases.

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement, TransactionTrait, Value};

use crate::{Kind, TestDb};

impl TestDb {
    /// Runs raw SQL.
    pub async fn sql(&self, sql: &str) -> Result<(), DbErr> {
        self.execute_unprepared(sql).await.map(|_| ())
    }

    /// A statement with `?` for its values.
    pub fn statement(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
        statement(&**self, sql, values)
    }

    /// The number that a query gives.
    pub async fn number(&self, sql: &str) -> i64 {
        self.text(sql).await.parse().unwrap()
    }

    /// The text that a query gives.
    pub async fn text(&self, sql: &str) -> String {
        let mut rows = self.rows(sql).await;
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows.remove(0)
    }

    /// The rows that a query gives: each its columns as text with a space between, `-` for NULL.
    pub async fn rows(&self, sql: &str) -> Vec<String> {
        let rows = self.query_all_raw(Statement::from_string(self.get_database_backend(), sql)).await.unwrap();
        let text = |row: &QueryResult| {
            let columns: Vec<_> = (0..row.column_names().len()).map(|index| column(row, index)).collect();
            columns.join(" ")
        };
        rows.iter().map(text).collect()
    }

    /// The database's plan for a statement, a line each: of SQLite what it says, of PostgreSQL how it would run it if it had to
    /// use its indexes (our tables are too small for them), of MySQL the index and what else it does.
    pub async fn plan(&self, mut statement: Statement) -> String {
        let explain = if self.kind() == Kind::Sqlite { "EXPLAIN QUERY PLAN " } else { "EXPLAIN " };
        statement.sql.insert_str(0, explain);
        let txn = self.begin().await.unwrap();
        if self.kind() == Kind::Postgres {
            for setting in ["enable_seqscan", "enable_bitmapscan", "enable_sort"] {
                txn.execute_unprepared(&format!("SET LOCAL {setting} = off")).await.unwrap();
            }
        }
        let rows = txn.query_all_raw(statement).await.unwrap();
        let line = |row: &QueryResult| match self.kind() {
            Kind::Sqlite => row.try_get("", "detail").unwrap(),
            Kind::Postgres => row.try_get_by_index(0).unwrap(),
            Kind::MySql => {
                let get = |name| row.try_get::<Option<String>>("", name).unwrap().unwrap_or_default();
                format!("{} {} {} {}", get("table"), get("type"), get("key"), get("Extra"))
            }
        };
        let lines: Vec<String> = rows.iter().map(line).collect();
        txn.rollback().await.unwrap();
        lines.join("\n")
    }

    /// A time as a literal for a column of times: `2026-01-01T00:00:00+00:00` is one.
    pub fn time(&self, rfc3339: &str) -> String {
        match self.kind() {
            // Takes no offset.
            Kind::MySql => format!("'{}'", rfc3339.trim_end_matches("+00:00").replace('T', " ")),
            Kind::Sqlite | Kind::Postgres => format!("'{rfc3339}'"),
        }
    }

    /// Makes a trigger that runs `statement` after each row that is inserted; `DROP TABLE` takes it along.
    pub async fn after_insert(&self, table: &str, name: &str, statement: &str) {
        let head = format!("CREATE TRIGGER {name} AFTER INSERT ON {table} FOR EACH ROW");
        match self.kind() {
            Kind::Sqlite => self.sql(&format!("{head} BEGIN {statement}; END")).await.unwrap(),
            Kind::MySql => self.sql(&format!("{head} {statement}")).await.unwrap(),
            Kind::Postgres => {
                let function = format!("BEGIN {statement}; RETURN NULL; END");
                self.sql(&format!("CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {function} $$"))
                    .await
                    .unwrap();
                self.sql(&format!("{head} EXECUTE FUNCTION {name}()")).await.unwrap();
            }
        }
    }

    /// Takes away what keeps a log's events from being deleted, as retention will.
    pub async fn allow_delete(&self, log: &str) {
        match self.kind() {
            Kind::Postgres => self.sql(&format!("ALTER TABLE {log} DISABLE TRIGGER USER")).await.unwrap(),
            Kind::Sqlite => self.drop_trigger(log, &format!("{log}_no_delete")).await,
            Kind::MySql => self.drop_trigger(log, &format!("{log}_delete")).await,
        }
    }

    /// Drops a log's tables, as somebody may do by hand.
    pub async fn drop_log(&self, log: &str) {
        if self.kind() == Kind::MySql {
            self.sql(&format!("DROP TABLE {log}_slots")).await.unwrap();
        }
        self.sql(&format!("DROP TABLE {log}")).await.unwrap();
    }

    /// Drops a trigger of a table.
    pub async fn drop_trigger(&self, table: &str, name: &str) {
        let of_table = if self.kind() == Kind::Postgres { format!(" ON {table}") } else { String::new() };
        self.sql(&format!("DROP TRIGGER {name}{of_table}")).await.unwrap();
    }
}

/// A statement with `?` for its values, for any connection.
pub fn statement(conn: &impl ConnectionTrait, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    let backend = conn.get_database_backend();
    if backend != sea_orm::DbBackend::Postgres {
        return Statement::from_sql_and_values(backend, sql, values);
    }
    let mut parts = sql.split('?');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (index, part) in parts.enumerate() {
        text.push_str(&format!("${}{part}", index + 1));
    }
    Statement::from_sql_and_values(backend, text, values)
}

/// A column of whatever type as text.
fn column(row: &QueryResult, index: usize) -> String {
    fn get<T: sea_orm::TryGetable + ToString>(row: &QueryResult, index: usize) -> Option<String> {
        let value = row.try_get_by_index::<Option<T>>(index).ok()?;
        Some(value.map_or_else(|| "-".to_owned(), |value| value.to_string()))
    }
    get::<i64>(row, index)
        .or_else(|| get::<i32>(row, index))
        .or_else(|| get::<String>(row, index))
        .or_else(|| get::<u64>(row, index))
        .or_else(|| get::<bool>(row, index))
        .unwrap_or_else(|| {
            panic!("column {index} of {:?} is of a type that this helper does not read", row.column_names())
        })
}
