//! Servers: a database of its own for each test, dropped with the test, also one that panicked.
//!
//! Each process has one connection to each server for this, on a thread of its own, since connections belong to the runtime
//! of the test that made them. The databases' names hold the server's id of that connection: what was left by a process that
//! was killed is known by its connection being gone, and dropped by the next process.

use std::sync::OnceLock;
use std::sync::mpsc;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr, Statement, TryGetable};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::Kind;

/// How many databases a process has at a time: each has some ten connections, and servers have about a hundred.
static AT_A_TIME: Semaphore = Semaphore::const_new(6);

/// A server's database, dropped with this value.
pub(crate) struct ServerDatabase {
    keeper: &'static Keeper,
    pub(crate) name: String,
    pub(crate) url: String,
    _permit: SemaphorePermit<'static>,
}

impl ServerDatabase {
    /// A new one, without any table.
    pub(crate) async fn create(kind: Kind, server: &str) -> Self {
        let _permit = AT_A_TIME.acquire().await.unwrap();
        let keeper = Keeper::of(kind, server);
        let name = keeper.ask(|answer| Order::Create { answer }).unwrap();
        let url = with_database(server, &name);
        Self { keeper, name, url, _permit }
    }
}

impl Drop for ServerDatabase {
    fn drop(&mut self) {
        let name = self.name.clone();
        if let Err(error) = self.keeper.ask(|answer| Order::Drop { name, answer }) {
            // No panic: there may be one already.
            eprintln!("the database {} was not dropped: {error}", self.name);
        }
    }
}

/// The server's URL with another database.
fn with_database(url: &str, name: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let host = place.split('/').next().unwrap_or_default();
    format!("{scheme}://{host}/{name}?{parameters}")
}

type Answer<T> = mpsc::Sender<Result<T, String>>;

enum Order {
    Create { answer: Answer<String> },
    Drop { name: String, answer: Answer<()> },
}

/// The thread that makes and drops databases.
struct Keeper {
    orders: mpsc::Sender<Order>,
}

impl Keeper {
    fn of(kind: Kind, url: &str) -> &'static Self {
        static POSTGRES: OnceLock<Keeper> = OnceLock::new();
        static MYSQL: OnceLock<Keeper> = OnceLock::new();
        let keeper = if kind == Kind::MySql { &MYSQL } else { &POSTGRES };
        keeper.get_or_init(|| {
            let (orders, inbox) = mpsc::channel();
            let url = url.to_owned();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(keep(kind, &url, &inbox));
            });
            Self { orders }
        })
    }

    /// Waits on the test's own thread, for the moment that it takes.
    fn ask<T>(&self, order: impl FnOnce(Answer<T>) -> Order) -> Result<T, String> {
        let gone = || "the thread that makes databases is gone; what it said is above".to_owned();
        let (answer, answered) = mpsc::channel();
        self.orders.send(order(answer)).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }
}

async fn keep(kind: Kind, url: &str, orders: &mpsc::Receiver<Order>) {
    let mut options = ConnectOptions::new(url);
    // One, and for ever: its id is in the databases' names.
    options.max_connections(1).min_connections(1).idle_timeout(None).max_lifetime(None).sqlx_logging(false);
    let db = Database::connect(options).await.unwrap();
    let server = Server { kind, db };
    let id = server.own_id().await.unwrap();
    server.drop_leftovers(id).await.unwrap();
    let mut made = 0;
    while let Ok(order) = orders.recv() {
        match order {
            Order::Create { answer } => {
                made += 1;
                let name = format!("{PREFIX}{id}_{made}");
                let created = server.run(&format!("CREATE DATABASE {name}")).await;
                drop(answer.send(created.map(|()| name).map_err(|error| error.to_string())));
            }
            Order::Drop { name, answer } => {
                let dropped = server.drop_database(&name).await;
                drop(answer.send(dropped.map_err(|error| error.to_string())));
            }
        }
    }
}

const PREFIX: &str = "evt_";

/// The server, as its databases' keeper sees it.
struct Server {
    kind: Kind,
    db: DatabaseConnection,
}

impl Server {
    /// Drops what processes left whose connection is gone.
    async fn drop_leftovers(&self, own_id: i64) -> Result<(), DbErr> {
        let (names, ids) = match self.kind {
            Kind::MySql => {
                ("SELECT schema_name FROM information_schema.schemata", "SELECT id FROM information_schema.processlist")
            }
            _ => (
                "SELECT CAST(datname AS text) FROM pg_database",
                "SELECT CAST(pid AS bigint) FROM pg_stat_activity WHERE pid IS NOT NULL",
            ),
        };
        let names: Vec<String> = self.query(names).await?;
        // After the names: whose connection is alive now made its databases' names before.
        let alive: Vec<i64> = self.query(ids).await?;
        for name in names {
            let Some((id, _)) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')) else { continue };
            let Ok(id) = id.parse::<i64>() else { continue };
            // One with our own id is of an earlier connection that had it.
            if id == own_id || !alive.contains(&id) {
                self.drop_database(&name).await?;
            }
        }
        Ok(())
    }

    /// Drops a database, whoever still is connected to it.
    async fn drop_database(&self, name: &str) -> Result<(), DbErr> {
        if self.kind == Kind::Postgres {
            self.run(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
            // Its rights were all in the database.
            return self.run(&format!("DROP ROLE IF EXISTS {}", account(self.kind, name))).await;
        }
        // It would wait for every transaction that has touched one of its tables.
        let connected =
            format!("SELECT id FROM information_schema.processlist WHERE db = '{name}' AND {IS_IN_ITS_OWN}");
        for id in self.query::<i64>(&connected).await? {
            // It may have gone by itself.
            drop(self.run(&format!("KILL {id}")).await);
        }
        self.run(&format!("DROP USER IF EXISTS {}", account(self.kind, name))).await?;
        self.run(&format!("DROP DATABASE IF EXISTS {name}")).await
    }

    async fn run(&self, sql: &str) -> Result<(), DbErr> {
        self.db.execute_unprepared(sql).await.map(drop)
    }

    /// The first column.
    async fn query<T: TryGetable>(&self, sql: &str) -> Result<Vec<T>, DbErr> {
        let rows = self.db.query_all_raw(Statement::from_string(self.db.get_database_backend(), sql)).await?;
        rows.iter().map(|row| row.try_get_by_index(0)).collect()
    }

    /// The server's id of this connection.
    async fn own_id(&self) -> Result<i64, DbErr> {
        let sql = match self.kind {
            Kind::MySql => "SELECT CAST(connection_id() AS signed)",
            _ => "SELECT CAST(pg_backend_pid() AS bigint)",
        };
        Ok(self.query(sql).await?[0])
    }
}

/// Whether a session of MariaDB's process list is in the database that the list says. One that reads the triggers goes through all
/// databases, and is listed with each of them for a moment: it may be another test's.
pub(crate) const IS_IN_ITS_OWN: &str = "coalesce(info, '') NOT LIKE '%information_schema.triggers%'";

/// The account that may less, of a test on this database.
pub(crate) fn account(kind: Kind, database: &str) -> String {
    if kind == Kind::MySql { format!("'{database}_u'@'%'") } else { format!("{database}_u") }
}
