//! The database's errors, shown without the values that they quote.

use std::error::Error;
use std::fmt;

use event_core::__private::v1::{ErrorText, inventory};
use sea_orm::{DbBackend, DbErr, RuntimeErr};

use crate::backend::{Trouble, dialect};

/// An error of SeaORM, the driver or the database that shows no value.
///
/// A database quotes what it refuses: `Duplicate entry 'ada@example.com' for key ...`. Texts of errors end up in logs, in failure rows and
/// at services that collect them, so that this type shows (by `Display` and `Debug` alike) only what kind of error it is, its code, and the
/// table and constraint that it is about; and it has no [`source`](Error::source), whose text a logger would print. The error itself is
/// [`db_err`](Self::db_err), for who decides to look at it.
///
/// Texts of [`DbErr::Custom`] and [`DbErr::Migration`] are shown: code wrote them, and not the database.
///
/// ```
/// use event_sea_orm::DatabaseError;
/// use sea_orm::DbErr;
///
/// let error = DatabaseError::from(DbErr::Type("expected a number, got `ada@example.com`".into()));
/// assert!(!error.to_string().contains("ada"));
/// assert!(error.db_err().to_string().contains("ada"));
/// ```
#[derive(Clone)]
pub struct DatabaseError(DbErr);

impl DatabaseError {
    /// SeaORM's error. Its texts may quote personal data.
    pub fn db_err(&self) -> &DbErr {
        &self.0
    }

    /// SeaORM's error, by value.
    pub fn into_db_err(self) -> DbErr {
        self.0
    }
}

impl From<DbErr> for DatabaseError {
    fn from(error: DbErr) -> Self {
        Self(error)
    }
}

impl Error for DatabaseError {}

impl fmt::Debug for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseError({self})")
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            DbErr::Conn(error) => runtime(f, "the connection failed", error),
            DbErr::Exec(error) | DbErr::Query(error) => {
                runtime(f, "the statement failed", error)?;
                match missing_table(&self.0) {
                    Some(table) => write!(f, ": there is no table `{table}`"),
                    None => Ok(()),
                }
            }
            DbErr::Type(_) => f.write_str("a value can't be read as the type that it has in the program"),
            DbErr::Json(_) => f.write_str("a JSON value can't be read as the type that it has in the program"),
            DbErr::TryIntoErr { from, into, .. } => write!(f, "a `{from}` can't be converted into `{into}`"),
            DbErr::RecordNotFound(_) => f.write_str("the row was not found"),
            // Names and texts that code wrote.
            DbErr::ConnectionAcquire(_)
            | DbErr::ConvertFromU64(_)
            | DbErr::UnpackInsertId
            | DbErr::UpdateGetPrimaryKey
            | DbErr::AttrNotSet(_)
            | DbErr::Custom(_)
            | DbErr::Migration(_)
            | DbErr::RecordNotInserted
            | DbErr::RecordNotUpdated
            | DbErr::BackendNotSupported { .. }
            | DbErr::KeyArityMismatch { .. }
            | DbErr::PrimaryKeyNotSet { .. }
            | DbErr::MutexPoisonError => self.0.fmt(f),
            _ => f.write_str("SeaORM refused it"),
        }
    }
}

/// The table that is not there, by the first database that knows the error as its own.
fn missing_table(error: &DbErr) -> Option<String> {
    [DbBackend::Sqlite, DbBackend::Postgres, DbBackend::MySql].into_iter().find_map(|backend| {
        match dialect(backend).ok()?.trouble(error)? {
            Trouble::NoTable(table) => Some(table),
            _ => None,
        }
    })
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
fn runtime(f: &mut fmt::Formatter<'_>, what: &str, error: &RuntimeErr) -> fmt::Result {
    match error {
        RuntimeErr::SqlxError(error) => driver(f, what, error),
        _ => f.write_str(what),
    }
}

#[cfg(not(any(feature = "sqlite", feature = "postgres", feature = "mysql")))]
fn runtime(f: &mut fmt::Formatter<'_>, what: &str, _: &RuntimeErr) -> fmt::Result {
    f.write_str(what)
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
use self::driver::driver;

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod driver {
    use sea_orm::sqlx::Error;
    use sea_orm::sqlx::error::{DatabaseError, ErrorKind};

    use super::fmt;

    pub(super) fn driver(f: &mut fmt::Formatter<'_>, what: &str, error: &Error) -> fmt::Result {
        match error {
            Error::Database(error) => database(f, &**error),
            // The driver's and the system's own words.
            Error::Io(_)
            | Error::RowNotFound
            | Error::TypeNotFound { .. }
            | Error::ColumnIndexOutOfBounds { .. }
            | Error::ColumnNotFound(_)
            | Error::PoolTimedOut
            | Error::PoolClosed
            | Error::WorkerCrashed
            | Error::BeginFailed => write!(f, "{what}: {error}"),
            Error::ColumnDecode { index, .. } => write!(f, "{what}: the column {index} can't be read"),
            Error::Decode(_) | Error::Encode(_) => write!(f, "{what}: a value can't be read or bound"),
            Error::Tls(_) => write!(f, "{what}: TLS could not be established"),
            Error::Protocol(_) => write!(f, "{what}: the answer was not understood"),
            _ => f.write_str(what),
        }
    }

    /// What the database refused, by the parts of its error that name no value: never its message.
    fn database(f: &mut fmt::Formatter<'_>, error: &dyn DatabaseError) -> fmt::Result {
        let kind = match error.kind() {
            ErrorKind::UniqueViolation => "a unique key exists already",
            ErrorKind::ForeignKeyViolation => "a foreign key is violated",
            ErrorKind::NotNullViolation => "a column that may not be NULL is",
            ErrorKind::CheckViolation => "a check is violated",
            ErrorKind::ExclusionViolation => "an exclusion constraint is violated",
            _ => "it refused the statement",
        };
        write!(f, "the database: {kind} (error {})", code(error))?;
        about(f, error)
    }

    fn code(error: &dyn DatabaseError) -> String {
        #[cfg(feature = "mysql")]
        if let Some(error) = error.try_downcast_ref::<sea_orm::sqlx::mysql::MySqlDatabaseError>() {
            return error.number().to_string();
        }
        error.code().map_or_else(|| "without a code".to_owned(), |code| code.into_owned())
    }

    /// The table, the column and the constraint, where the database says them apart from its message, or in a message that holds nothing
    /// else.
    fn about(f: &mut fmt::Formatter<'_>, error: &dyn DatabaseError) -> fmt::Result {
        #[cfg(feature = "postgres")]
        if let Some(error) = error.try_downcast_ref::<sea_orm::sqlx::postgres::PgDatabaseError>() {
            for (what, name) in
                [("table", error.table()), ("column", error.column()), ("constraint", error.constraint())]
            {
                if let Some(name) = name {
                    write!(f, ", {what} `{name}`")?;
                }
            }
        }
        #[cfg(feature = "mysql")]
        if let Some(error) = error.try_downcast_ref::<sea_orm::sqlx::mysql::MySqlDatabaseError>()
            && error.number() == crate::backend::mysql::DUPLICATE
            && let Some(index) = crate::backend::mysql::index(error.message())
        {
            write!(f, ", key `{index}`")?;
        }
        #[cfg(feature = "sqlite")]
        if error.try_downcast_ref::<sea_orm::sqlx::sqlite::SqliteError>().is_some() {
            let message = error.message();
            let names = ["UNIQUE", "NOT NULL", "CHECK"]
                .iter()
                .find_map(|constraint| message.strip_prefix(constraint)?.strip_prefix(" constraint failed: "));
            if let Some(names) = names {
                write!(f, ", `{names}`")?;
            } else if ["cannot commit", "cannot rollback", "cannot start a transaction", "no such savepoint"]
                .iter()
                .any(|about_transactions| message.starts_with(about_transactions))
            {
                write!(f, ": {message}")?;
            }
        }
        Ok(())
    }
}

/// How an error of the database is told in a failure row, where a handler gives one by `?`.
fn text(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<DbErr>() {
        return Some(DatabaseError(error.clone()).to_string());
    }
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    if let Some(error) = error.downcast_ref::<sea_orm::sqlx::Error>() {
        struct Shown<'a>(&'a sea_orm::sqlx::Error);
        impl fmt::Display for Shown<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                driver(f, "the statement failed", self.0)
            }
        }
        return Some(Shown(error).to_string());
    }
    None
}

inventory::submit! { ErrorText(text) }
