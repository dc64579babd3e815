//! Connections of our own beside the application's.

use std::time::Duration;

use sea_orm::sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseConnectionType, DbBackend, DbErr, Statement};

/// How the application connects, and to which database; `None` for what is no pool (a mock, a proxy).
pub(crate) async fn options(db: &DatabaseConnection) -> Result<Option<MySqlConnectOptions>, DbErr> {
    let DatabaseConnectionType::SqlxMySqlPoolConnection(_) = &db.inner else { return Ok(None) };
    let options = db.get_mysql_connection_pool().connect_options();
    // The application may have chosen it by USE.
    let asked = Statement::from_string(DbBackend::MySql, "SELECT database() AS name");
    let name: Option<String> = match db.query_one_raw(asked).await? {
        Some(row) => row.try_get("", "name")?,
        None => None,
    };
    Ok(Some(match name {
        Some(name) => (*options).clone().database(&name),
        None => (*options).clone(),
    }))
}

/// A pool of so many connections that are kept as long as they live.
pub(crate) fn pool(most: u32, acquire: Duration) -> MySqlPoolOptions {
    MySqlPoolOptions::new().max_connections(most).acquire_timeout(acquire).max_lifetime(None)
}
