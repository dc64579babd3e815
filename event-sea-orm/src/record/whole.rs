//! Several statements as a whole: a transaction around them, which inside a transaction is a savepoint.

use sea_orm::{ConnectionTrait, DbBackend, TransactionSession, TransactionTrait};

use super::RecordError;
use crate::backend::Dialect;
use crate::transact;

/// Begins it; `log` is named in errors.
pub(crate) async fn begin<C: TransactionTrait>(
    conn: &C,
    dialect: &dyn Dialect,
    log: &str,
) -> Result<C::Transaction, RecordError> {
    let begun = conn.begin_with_options(transact::options()).await;
    begun.map_err(|error| RecordError::of(dialect, log, error))
}

/// Keeps what was written if it went well, else undoes it.
pub(crate) async fn end<T, R, E>(transaction: T, dialect: &dyn Dialect, log: &str, worked: Result<R, E>) -> Result<R, E>
where
    T: ConnectionTrait + TransactionSession,
    E: From<RecordError>,
{
    match worked {
        Ok(value) => {
            transaction.commit().await.map_err(|error| RecordError::of(dialect, log, error))?;
            Ok(value)
        }
        Err(error) => {
            // As `transact::roll_back`, but there may be a transaction around this one, where BEGIN fails and changes nothing.
            if transaction.get_database_backend() == DbBackend::Sqlite {
                let _ = transaction.execute_unprepared("BEGIN").await;
            }
            // The first error says more than one of the rollback, which dropping repeats anyway.
            let _ = transaction.rollback().await;
            Err(error)
        }
    }
}
