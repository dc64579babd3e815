//! A row's own database, dropped at its end.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use url::Url;

use crate::options::Options;
use crate::{Fallible, models};

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    MariaDb,
}

impl Kind {
    /// What the names of rows on it end with: PostgreSQL's are the rows themselves.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Postgres => "",
            Self::MariaDb => "-mariadb",
            Self::Sqlite => "-sqlite",
        }
    }
}

pub(crate) struct Ground {
    pub(crate) kind: Kind,
    pub(crate) db: DatabaseConnection,
    pub(crate) url: String,
    place: Place,
}

enum Place {
    /// A file in a folder that is gone with this value.
    File {
        _folder: tempfile::TempDir,
    },
    Server {
        url: String,
        name: String,
    },
}

impl Ground {
    /// An empty database, or none where there is no server for it.
    pub(crate) async fn empty(options: &Options, kind: Kind) -> Fallible<Option<Self>> {
        let server = match kind {
            Kind::Sqlite => {
                let folder = tempfile::tempdir()?;
                let url = format!("sqlite://{}/bench.db?mode=rwc", folder.path().display());
                let db = connect(&url, 1).await?;
                db.execute_unprepared("PRAGMA journal_mode = WAL").await?;
                return Ok(Some(Self { kind, db, url, place: Place::File { _folder: folder } }));
            }
            Kind::Postgres => &options.postgres,
            Kind::MariaDb => &options.mysql,
        };
        let Some(server) = server else { return Ok(None) };
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("evt_bench_{}_{}", std::process::id(), MADE.fetch_add(1, Relaxed));
        let admin = connect(server, 1).await?;
        admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await?;
        if kind == Kind::Postgres {
            // What a commit waits for is the disk's time and not ours; without it the ratios are harder on us.
            admin.execute_unprepared(&format!("ALTER DATABASE {name} SET synchronous_commit = off")).await?;
        }
        admin.close().await?;
        let mut own = Url::parse(server)?;
        own.set_path(&name);
        if kind == Kind::Postgres && !own.query_pairs().any(|(option, _)| option == "sslmode") {
            // The peers bring a driver that would encrypt what the server lets it, on one side of a comparison alone.
            own.query_pairs_mut().append_pair("sslmode", "disable");
        }
        let db = connect(own.as_str(), 4).await?;
        Ok(Some(Self { kind, db, url: own.into(), place: Place::Server { url: server.clone(), name } }))
    }

    /// With the framework's tables and the subject's.
    pub(crate) async fn migrated(options: &Options, kind: Kind) -> Fallible<Option<Self>> {
        let ground = Self::empty(options, kind).await?;
        if let Some(ground) = &ground {
            event_sea_orm::migrate(&ground.db).await?;
            models::create(&ground.db).await?;
        }
        Ok(ground)
    }

    pub(crate) async fn run(&self, sql: &str) -> Fallible<()> {
        self.db.execute_unprepared(sql).await?;
        Ok(())
    }

    /// What a database does by itself after a while: looks at what there is.
    pub(crate) async fn analyze(&self) -> Fallible<()> {
        match self.kind {
            Kind::Postgres => {
                self.run("VACUUM ANALYZE").await?;
                // What recording left to be written is not the time of what comes after it.
                self.run("CHECKPOINT").await
            }
            Kind::MariaDb => {
                // It answers with rows.
                self.db
                    .query_all_raw(sea_orm::Statement::from_string(
                        self.db.get_database_backend(),
                        "ANALYZE TABLE events",
                    ))
                    .await?;
                Ok(())
            }
            Kind::Sqlite => self.run("ANALYZE").await,
        }
    }

    pub(crate) async fn drop(self) -> Fallible<()> {
        self.db.close().await?;
        if let Place::Server { url, name } = self.place {
            let force = if self.kind == Kind::Postgres { " WITH (FORCE)" } else { "" };
            let admin = connect(&url, 1).await?;
            admin.execute_unprepared(&format!("DROP DATABASE {name}{force}")).await?;
            admin.close().await?;
        }
        Ok(())
    }
}

/// A pool as an application has it.
pub(crate) async fn connect(url: &str, connections: u32) -> Fallible<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(connections).acquire_timeout(Duration::from_secs(30)).sqlx_logging(false);
    Ok(Database::connect(options).await?)
}
