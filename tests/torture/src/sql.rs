//! SQL that is the same on every database but for its placeholders.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement, Value};

/// A statement with `?` for each value.
pub(crate) fn statement(backend: DbBackend, text: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    if backend != DbBackend::Postgres {
        return Statement::from_sql_and_values(backend, text, values);
    }
    let mut numbered = String::with_capacity(text.len() + 16);
    let mut parts = text.split('?');
    numbered.push_str(parts.next().unwrap_or_default());
    for (index, part) in parts.enumerate() {
        numbered.push_str(&format!("${}", index + 1));
        numbered.push_str(part);
    }
    Statement::from_sql_and_values(backend, numbered, values)
}

pub(crate) async fn execute<C: ConnectionTrait>(
    conn: &C,
    text: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<ExecResult, DbErr> {
    conn.execute_raw(statement(conn.get_database_backend(), text, values)).await
}

pub(crate) async fn query<C: ConnectionTrait>(
    conn: &C,
    text: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<QueryResult>, DbErr> {
    conn.query_all_raw(statement(conn.get_database_backend(), text, values)).await
}

/// The number in the first row; 0 if it is NULL or there is no row.
pub(crate) async fn number<C: ConnectionTrait>(
    conn: &C,
    text: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<i64, DbErr> {
    match query(conn, text, values).await?.first() {
        Some(row) => Ok(row.try_get_by_index::<Option<i64>>(0)?.unwrap_or(0)),
        None => Ok(0),
    }
}
