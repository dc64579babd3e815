//! The run's own database: made on the server that the URL names, dropped at the end.

use std::path::Path;
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr};
use url::Url;

use crate::{Fallible, sql};

/// A database of our own.
pub(crate) struct Ground {
    pub(crate) backend: DbBackend,
    pub(crate) url: String,
    place: Place,
}

enum Place {
    /// A file that is gone with its folder, or was named by the user.
    File(std::path::PathBuf),
    /// A database on the server at this URL.
    Server { url: String, name: String },
}

impl Ground {
    /// Makes the database; `folder` is where the file of a bare `sqlite:` goes.
    pub(crate) async fn make(url: &str, folder: &Path) -> Fallible<Self> {
        let backend = backend_of(url)?;
        if backend == DbBackend::Sqlite {
            let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
            let path = path.split_once('?').map_or(path, |(path, _)| path);
            let path = if path.is_empty() { folder.join("torture.db") } else { path.into() };
            if path.exists() {
                return Err(
                    format!("{} exists already, and the torture makes a file of its own", path.display()).into()
                );
            }
            let url = format!("sqlite://{}", path.display());
            let db = connect(&format!("{url}?mode=rwc"), 1).await?;
            db.execute_unprepared("PRAGMA journal_mode = WAL").await?;
            return Ok(Self { backend, url, place: Place::File(path) });
        }
        let name = format!("evt_torture_{}_{:04x}", std::process::id(), fastrand::u16(..));
        let admin = connect(url, 1).await?;
        admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await?;
        let mut own = Url::parse(url)?;
        own.set_path(&name);
        Ok(Self { backend, url: own.into(), place: Place::Server { url: url.to_owned(), name } })
    }

    /// The server's host and port.
    pub(crate) fn address(&self) -> Option<(String, u16)> {
        let url = Url::parse(&self.url).ok()?;
        let port = match self.backend {
            DbBackend::Postgres => 5432,
            DbBackend::MySql => 3306,
            _ => return None,
        };
        Some((url.host_str().unwrap_or("127.0.0.1").to_owned(), url.port().unwrap_or(port)))
    }

    /// The same database through another address on this machine.
    pub(crate) fn url_through(&self, port: u16) -> Fallible<String> {
        let mut url = Url::parse(&self.url)?;
        url.set_host(Some("127.0.0.1"))?;
        url.set_port(Some(port)).map_err(|()| format!("{url} takes no port"))?;
        Ok(url.into())
    }

    /// How many connections more than `spare` the server has left; on SQLite there is no such limit.
    pub(crate) async fn free_connections(&self, db: &DatabaseConnection, spare: u32) -> Fallible<Option<u32>> {
        let (most, used) = match self.backend {
            DbBackend::Postgres => (
                "SELECT current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint",
                "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'",
            ),
            DbBackend::MySql => (
                "SELECT CAST(@@max_connections AS SIGNED)",
                "SELECT CAST(VARIABLE_VALUE AS SIGNED) FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'Threads_connected'",
            ),
            _ => return Ok(None),
        };
        let free = sql::number(db, most, []).await? - sql::number(db, used, []).await? - i64::from(spare);
        Ok(Some(u32::try_from(free).unwrap_or(0)))
    }

    /// Whether the server takes PREPARE TRANSACTION.
    pub(crate) async fn takes_two_phases(&self, db: &DatabaseConnection) -> Fallible<bool> {
        if self.backend != DbBackend::Postgres {
            return Ok(false);
        }
        Ok(sql::number(db, "SELECT current_setting('max_prepared_transactions')::bigint", []).await? > 0)
    }

    /// Drops the database, whoever is still connected to it.
    pub(crate) async fn drop(self) -> Fallible<()> {
        match self.place {
            Place::File(path) => {
                for suffix in ["", "-wal", "-shm"] {
                    let mut file = path.clone().into_os_string();
                    file.push(suffix);
                    match std::fs::remove_file(&file) {
                        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                        _ => {}
                    }
                }
            }
            Place::Server { url, name } => {
                let admin = connect(&url, 1).await?;
                let force = if self.backend == DbBackend::Postgres { " WITH (FORCE)" } else { "" };
                admin.execute_unprepared(&format!("DROP DATABASE {name}{force}")).await?;
            }
        }
        Ok(())
    }
}

fn backend_of(url: &str) -> Fallible<DbBackend> {
    let scheme = url.split(':').next().unwrap_or_default();
    match scheme {
        "sqlite" => Ok(DbBackend::Sqlite),
        "postgres" | "postgresql" => Ok(DbBackend::Postgres),
        "mysql" | "mariadb" => Ok(DbBackend::MySql),
        _ => Err(format!("`{url}` is no URL of SQLite, PostgreSQL or MySQL").into()),
    }
}

/// A pool with so many connections.
pub(crate) async fn connect(url: &str, connections: u32) -> Result<DatabaseConnection, DbErr> {
    Database::connect(pool_options(url, connections)).await
}

/// The same, with commits that a crash of the server may un-happen.
pub(crate) async fn connect_as(url: &str, connections: u32, unsafe_commits: bool) -> Result<DatabaseConnection, DbErr> {
    let mut options = pool_options(url, connections);
    if unsafe_commits {
        options.map_sqlx_postgres_opts(|options| options.options([("synchronous_commit", "off")]));
    }
    Database::connect(options).await
}

fn pool_options(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options.max_connections(connections.max(1)).acquire_timeout(Duration::from_secs(10)).sqlx_logging(false);
    options
}
