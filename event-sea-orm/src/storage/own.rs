//! The dispatcher's own connections, where the database is a server: made with the options of the connection it was given,
//! and set up as exactness needs them, whatever the application's are set to. An application that uses up its pool does not
//! hold up the dispatcher, and the other way round.
//!
//! SQLite has one writer and keeps its files' locks per connection: there the given connection serves.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event_core::storage::{StorageError, StorageErrorKind};
use sea_orm::{DatabaseConnection, DbErr};

use super::{InboxTransaction, SeaStorage};

/// How long a statement may go without an answer. The server cancels it a little earlier; who is silent for longer is gone.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// How long one waits for a connection.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) const ACQUIRE: Duration = Duration::from_secs(10);

/// How many connections a dispatcher has for itself, one for looking at recorders and one for listening not counted.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) const CONNECTIONS: u32 = 3;

/// How many prepared statements one of them keeps. The driver's default is 100; a statement that falls out is closed and prepared
/// again, which with MySQL's driver takes 40 ms (it leaves TCP_NODELAY unset: the second small packet waits for the delayed
/// acknowledgement of the first). A few per log and state of a lane are in use; their number is bounded
/// (`behaviour::statements`), and the servers' own limits are far above it.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) const STATEMENTS: usize = 1_000;

/// The options of the application's connections with the level of a library's own work: the driver would log each statement as the
/// application's, by SeaORM's default at INFO.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) fn quiet<O: sea_orm::sqlx::ConnectOptions>(options: O) -> O {
    options.log_statements(log::LevelFilter::Trace)
}

/// Whether a pooled connection was in use a moment ago: the pool has asked it whether it is alive as it was given back, and to
/// ask again before each statement would be a round trip for every one. What ended since is an error like any.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) fn is_fresh(connection: sea_orm::sqlx::pool::PoolConnectionMetadata) -> bool {
    connection.idle_for < Duration::from_millis(50)
}

/// The connections, once they are made.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) db: DatabaseConnection,
    #[cfg(feature = "postgres")]
    pub(super) looker: Option<super::postgres::Looker>,
    /// The one connection on which slots are looked at.
    #[cfg(feature = "mysql")]
    pub(super) slots: Option<DatabaseConnection>,
}

impl Own {
    /// This one for everything.
    pub(super) fn of(db: DatabaseConnection) -> Self {
        Self {
            db,
            #[cfg(feature = "postgres")]
            looker: None,
            #[cfg(feature = "mysql")]
            slots: None,
        }
    }
}

/// Where they are kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot(Arc<Mutex<Option<Own>>>);

impl Slot {
    fn get(&self) -> Option<Own> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first of two that were made at once stays.
    fn set(&self, own: Own) -> Own {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(own).clone()
    }

    /// After a silence: what is in the pool can't be told from what is dead.
    fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl SeaStorage {
    pub(super) async fn connections(&self) -> Result<Own, StorageError> {
        if self.is_closed() {
            self.own.forget();
            return Err(StorageError::new(
                StorageErrorKind::Unreachable,
                "the database can't be reached: the connection that was given is closed",
            ));
        }
        if let Some(own) = self.own.get() {
            return Ok(own);
        }
        let own = match self.db.get_database_backend() {
            #[cfg(feature = "postgres")]
            sea_orm::DbBackend::Postgres => super::postgres::connect(self).await?,
            #[cfg(feature = "mysql")]
            sea_orm::DbBackend::MySql => super::mysql::connect(self).await?,
            _ => Own::of(self.db.clone()),
        };
        Ok(self.own.set(own))
    }

    /// An application that closed its connection wants an end; handlers could not work either.
    fn is_closed(&self) -> bool {
        match &self.db.inner {
            #[cfg(feature = "postgres")]
            sea_orm::DatabaseConnectionType::SqlxPostgresPoolConnection(_) => {
                self.db.get_postgres_connection_pool().is_closed()
            }
            #[cfg(feature = "mysql")]
            sea_orm::DatabaseConnectionType::SqlxMySqlPoolConnection(_) => {
                self.db.get_mysql_connection_pool().is_closed()
            }
            _ => false,
        }
    }

    /// The connection for everything but what handlers do.
    pub(super) async fn own(&self) -> Result<DatabaseConnection, StorageError> {
        Ok(self.connections().await?.db)
    }

    /// A transaction on it.
    pub(super) async fn begin_own(&self) -> Result<InboxTransaction, StorageError> {
        let db = self.own().await?;
        let begun = self.answer(crate::transact::begin(&db, crate::transact::options())).await;
        begun.map(InboxTransaction::new)
    }

    /// The database's answer, or an error when there is none in time.
    pub(super) async fn answer<T>(&self, call: impl Future<Output = Result<T, DbErr>>) -> Result<T, StorageError> {
        if self.db.get_database_backend() == sea_orm::DbBackend::Sqlite {
            return call.await.map_err(|error| self.error(error));
        }
        match tokio::time::timeout(PATIENCE, call).await {
            Ok(answer) => answer.map_err(|error| self.error(error)),
            Err(_) => {
                self.own.forget();
                let message = format!("the database gave no answer within {PATIENCE:?}; its connections are given up");
                Err(StorageError::new(StorageErrorKind::Unreachable, message))
            }
        }
    }
}
