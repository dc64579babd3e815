//! The run's own database, dropped at the end.

use std::path::Path;
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use url::Url;

use crate::Fallible;

pub(crate) struct Ground {
    pub(crate) db: DatabaseConnection,
    /// The server and the database's name; none for a file, which goes with its folder.
    server: Option<(String, String)>,
}

impl Ground {
    pub(crate) async fn make(url: &str, folder: &Path) -> Fallible<Self> {
        if url.starts_with("sqlite:") {
            let db = connect(&format!("sqlite://{}/backlog.db?mode=rwc", folder.display())).await?;
            db.execute_unprepared("PRAGMA journal_mode = WAL").await?;
            return Ok(Self { db, server: None });
        }
        let name = format!("evt_backlog_{}", std::process::id());
        connect(url).await?.execute_unprepared(&format!("CREATE DATABASE {name}")).await?;
        let mut own = Url::parse(url)?;
        own.set_path(&name);
        Ok(Self { db: connect(own.as_str()).await?, server: Some((url.to_owned(), name)) })
    }

    pub(crate) async fn drop(self) -> Fallible<()> {
        let Some((url, name)) = self.server else { return Ok(()) };
        self.db.close().await?;
        let force = if url.starts_with("postgres") { " WITH (FORCE)" } else { "" };
        connect(&url).await?.execute_unprepared(&format!("DROP DATABASE {name}{force}")).await?;
        Ok(())
    }
}

async fn connect(url: &str) -> Fallible<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(4).acquire_timeout(Duration::from_secs(30)).sqlx_logging(false);
    Ok(Database::connect(options).await?)
}
