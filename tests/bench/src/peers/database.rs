//! A database for one run of one peer.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{Fallible, Ran};

/// Runs a peer in a database of its own on the server that `url` names, and drops the database whatever became of the run.
pub(crate) async fn with_own(url: &str, run: impl AsyncFnOnce(&str) -> Fallible<Ran>) -> Fallible<Ran> {
    let name = format!("bench_peers_{}", std::process::id());
    let (server, _) = url.rsplit_once('/').ok_or("the URL names no database: postgres://user@host:port/database")?;
    let mut admin = PgConnection::connect(url).await?;
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut admin).await?;
    let ran = run(&format!("{server}/{name}")).await;
    sqlx::query(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).execute(&mut admin).await?;
    ran
}
