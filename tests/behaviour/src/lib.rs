//! What the behaviour tests share: a database of each kind, and the models.
//!
//! A test is an `async fn name(db: &TestDb)`, and [`on_every_database!`] makes of it one test for each database.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod models;
pub mod seen;

use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr, Statement};

/// Makes one `#[tokio::test]` for each database and test.
#[macro_export]
macro_rules! on_every_database {
    ($($test:ident)*) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test(&$crate::TestDb::sqlite().await).await;
                }
            )*
        }
    };
}

/// A database of its own for one test, migrated, with the models' tables; gone with this value.
pub struct TestDb {
    db: DatabaseConnection,
    url: String,
    statements: Arc<Mutex<Vec<Statement>>>,
    _dir: tempfile::TempDir,
}

impl TestDb {
    /// A SQLite file.
    pub async fn sqlite() -> Self {
        let db = Self::empty_sqlite().await;
        event_sea_orm::migrate(&db).await.unwrap();
        models::create_tables(&db).await;
        db.take_statements();
        db
    }

    /// A SQLite file without any table.
    pub async fn empty_sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/test.db", dir.path().display());
        let statements = Arc::new(Mutex::new(Vec::new()));
        let mut db = connect(&format!("{url}?mode=rwc"), 1).await;
        db.execute_unprepared("PRAGMA journal_mode = WAL").await.unwrap();
        let seen = statements.clone();
        db.set_metric_callback(move |info| seen.lock().unwrap().push(info.statement.clone()));
        Self { db, url, statements, _dir: dir }
    }

    /// Another pool on the same database.
    pub async fn another(&self, connections: u32) -> DatabaseConnection {
        connect(&self.url, connections).await
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection that may only read.
    pub async fn read_only(&self) -> DatabaseConnection {
        connect(&format!("{}?mode=ro", self.url), 1).await
    }

    /// The statements that the main connection ran, outside of transactions, since this was asked last.
    pub fn take_statements(&self) -> Vec<Statement> {
        std::mem::take(&mut self.statements.lock().unwrap())
    }

    /// Runs raw SQL.
    pub async fn sql(&self, sql: &str) -> Result<(), DbErr> {
        self.db.execute_unprepared(sql).await.map(|_| ())
    }

    /// The number that a query gives.
    pub async fn number(&self, sql: &str) -> i64 {
        let statement = Statement::from_string(self.db.get_database_backend(), sql);
        self.db.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
    }

    /// The text that a query gives.
    pub async fn text(&self, sql: &str) -> String {
        let statement = Statement::from_string(self.db.get_database_backend(), sql);
        self.db.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
    }

    /// The database's plan for a statement, a line each.
    pub async fn plan(&self, mut statement: Statement) -> String {
        statement.sql.insert_str(0, "EXPLAIN QUERY PLAN ");
        let rows = self.db.query_all_raw(statement).await.unwrap();
        let lines: Vec<String> = rows.iter().map(|row| row.try_get("", "detail").unwrap()).collect();
        lines.join("\n")
    }
}

impl Deref for TestDb {
    type Target = DatabaseConnection;

    fn deref(&self) -> &DatabaseConnection {
        &self.db
    }
}

async fn connect(url: &str, connections: u32) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(connections).acquire_timeout(Duration::from_secs(30)).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}
