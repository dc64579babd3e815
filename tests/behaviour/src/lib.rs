//! What the behaviour tests share: a database of each kind, and the models.
//!
//! A test is an `async fn name(db: &TestDb)`, and [`on_every_database!`] makes of it one test for each database. Servers are
//! found by `EVENTS_TEST_POSTGRES_URL` and `EVENTS_TEST_MYSQL_URL`; without one its tests say that they are skipped, and fail
//! under `CI=true`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod kind;
mod macros;
pub mod models;
pub mod objects;
pub mod proxy;
pub mod raw;
mod schema;
pub mod seen;
mod server;
mod sql;
pub mod worker;

use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};

pub use kind::Kind;
pub use schema::Trigger;
use server::ServerDatabase;
pub use sql::statement;

/// A database of its own for one test; gone with this value.
pub struct TestDb {
    db: DatabaseConnection,
    kind: Kind,
    url: String,
    statements: Arc<Mutex<Vec<Statement>>>,
    // The last field: dropped after the pool.
    home: Home,
}

enum Home {
    File { _dir: tempfile::TempDir },
    Server(ServerDatabase),
}

impl TestDb {
    /// Migrated, with the models' tables; `None` if there is no server for it.
    pub async fn migrated(kind: Kind, test: &str) -> Option<Self> {
        let db = Self::empty(kind, test).await?;
        event_sea_orm::migrate(&db).await.unwrap();
        models::create_tables(&db).await;
        db.take_statements();
        Some(db)
    }

    /// Without any table; `None` if there is no server for it.
    pub async fn empty(kind: Kind, test: &str) -> Option<Self> {
        let (url, home) = if kind == Kind::Sqlite {
            let dir = tempfile::tempdir().unwrap();
            (format!("sqlite://{}/test.db", dir.path().display()), Home::File { _dir: dir })
        } else {
            let database = ServerDatabase::create(kind, &kind.url_or_skip(test)?).await;
            (database.url.clone(), Home::Server(database))
        };
        let mut db = match kind {
            // One connection, as SeaORM has it unless told otherwise.
            Kind::Sqlite => connect(&format!("{url}?mode=rwc"), 1).await,
            _ => connect(&url, 5).await,
        };
        if kind == Kind::Sqlite {
            db.execute_unprepared("PRAGMA journal_mode = WAL").await.unwrap();
        }
        let statements = Arc::new(Mutex::new(Vec::new()));
        let seen = statements.clone();
        db.set_metric_callback(move |info| seen.lock().unwrap().push(info.statement.clone()));
        Some(Self { db, kind, url, statements, home })
    }

    /// The kind of database.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Another database of this kind, without any table.
    pub async fn empty_one(&self) -> Self {
        Self::empty(self.kind, "another database").await.unwrap()
    }

    /// Another pool on the same database.
    pub async fn another(&self, connections: u32) -> DatabaseConnection {
        connect(&self.url, connections).await
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A pool that may only read, and whose like, made of the same options, may not more.
    pub async fn read_only(&self) -> DatabaseConnection {
        let url = match &self.home {
            Home::File { .. } => format!("{}?mode=ro", self.url),
            Home::Server(_) if self.kind == Kind::Postgres => {
                format!("{}&options=-c%20default_transaction_read_only%3Don", self.url)
            }
            // A session can't be made read-only by its URL there; an account can.
            Home::Server(database) => self.as_account(&[&format!("SELECT ON {}.*", database.name)]).await,
        };
        connect(&url, 1).await
    }

    /// The account of [`as_account`](Self::as_account), as GRANT has it.
    pub fn account(&self) -> String {
        let Home::Server(database) = &self.home else { panic!("a file has no accounts") };
        server::account(self.kind, &database.name)
    }

    /// The URL of this server's account that has these rights and no others: `SELECT ON events`, as GRANT has them.
    pub async fn as_account(&self, rights: &[&str]) -> String {
        let Home::Server(database) = &self.home else { panic!("a file has no accounts") };
        let account = server::account(self.kind, &database.name);
        self.sql(&match self.kind {
            Kind::MySql => format!("CREATE USER {account} IDENTIFIED BY 'test'"),
            _ => format!("CREATE ROLE {account} LOGIN PASSWORD 'test'"),
        })
        .await
        .unwrap();
        for right in rights {
            self.sql(&format!("GRANT {right} TO {account}")).await.unwrap();
        }
        let (scheme, rest) = self.url.split_once("://").unwrap();
        let place = rest.split_once('@').map_or(rest, |(_, place)| place);
        format!("{scheme}://{}_u:test@{place}", database.name)
    }

    /// A way to it that can be cut.
    pub async fn proxy(&self) -> proxy::Proxy {
        proxy::Proxy::to(self.kind, &self.url).await
    }

    /// Has the server end every connection to this database but those of its own.
    pub async fn kill_connections(&self) {
        let killer = self.another(1).await;
        let others = match self.kind {
            Kind::MySql => format!(
                "SELECT concat('KILL ', id) FROM information_schema.processlist \
                 WHERE db = database() AND id <> connection_id() AND {}",
                server::IS_IN_ITS_OWN
            ),
            _ => "SELECT 'SELECT pg_terminate_backend(' || pid || ')' FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()"
                .to_owned(),
        };
        let rows = killer.query_all_raw(statement(&killer, &others, [])).await.unwrap();
        for row in rows {
            let kill: String = row.try_get_by_index(0).unwrap();
            // It may have gone by itself.
            drop(killer.execute_unprepared(&kill).await);
        }
        killer.close().await.unwrap();
    }

    /// The statements that the main connection ran, outside of transactions, since this was asked last.
    pub fn take_statements(&self) -> Vec<Statement> {
        std::mem::take(&mut self.statements.lock().unwrap())
    }
}

impl Deref for TestDb {
    type Target = DatabaseConnection;

    fn deref(&self) -> &DatabaseConnection {
        &self.db
    }
}

/// A pool on the database of that URL.
pub async fn connect(url: &str, connections: u32) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(connections).acquire_timeout(Duration::from_secs(30)).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}
