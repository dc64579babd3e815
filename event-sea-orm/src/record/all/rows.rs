//! Rows of any entity: by their keys, and how they differ.

use event_core::{Draft, Saved};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, Iterable as _, ModelTrait, Order,
    PrimaryKeyToColumn as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
};

use super::super::{RecordError, many};
use crate::backend::{Dialect, Trouble};
use crate::exact;

/// How many rows a statement names by their keys.
pub(super) const CHUNK: usize = 500;

/// The columns of the key.
pub(super) fn keys<E: EntityTrait>() -> impl Iterator<Item = E::Column> {
    E::PrimaryKey::iter().map(|key| key.into_column())
}

/// These rows.
pub(super) fn are<E: EntityTrait>(rows: &[E::Model]) -> Condition {
    let columns: Vec<_> = keys::<E>().collect();
    if let [column] = columns[..] {
        return Condition::all().add(column.is_in(rows.iter().map(|row| row.get(column))));
    }
    rows.iter().fold(Condition::any(), |any, row| {
        any.add(columns.iter().fold(Condition::all(), |all, &column| all.add(column.eq(row.get(column)))))
    })
}

/// A row's key, to be compared.
pub(super) fn key<E: EntityTrait>(row: &E::Model) -> String {
    let values: Vec<_> = keys::<E>().map(|column| exact::json(&row.get(column)).to_string()).collect();
    values.join(" ")
}

/// Whether the rows differ in anything.
pub(super) fn differ<E: EntityTrait>(before: &E::Model, after: &E::Model) -> bool {
    E::Column::iter().any(|column| before.get(column) != after.get(column))
}

/// The rows to be changed, in the order of their keys.
pub(super) fn found<E: EntityTrait>(filter: Condition) -> Select<E> {
    keys::<E>().fold(E::find().filter(filter), |select, column| select.order_by(column, Order::Asc))
}

/// The same, locked until the transaction ends: nobody else changes them, or makes them rows that are not to be changed.
pub(super) async fn locked<E: EntityTrait, C: ConnectionTrait>(
    conn: &C,
    filter: Condition,
) -> Result<Vec<E::Model>, DbErr> {
    let found = found::<E>(filter);
    // On SQLite whoever writes is alone.
    let found = if conn.get_database_backend() == DbBackend::Sqlite { found } else { found.lock_exclusive() };
    found.all(conn).await
}

/// The condition that the key is one of those that the named part of the statement found.
pub(super) fn is_in_part<E: EntityTrait>(part: &'static str) -> Expr {
    let keys_of = sea_orm::sea_query::Query::select().columns(keys::<E>()).from(part).to_owned();
    let columns = keys::<E>().map(|column| Expr::col((E::default(), column)));
    Expr::tuple(columns).in_subquery(keys_of)
}

/// What the database says of a statement on the user's own table.
pub(super) fn error<E: EntityTrait>(dialect: &dyn Dialect, error: DbErr) -> RecordError {
    match dialect.trouble(&error) {
        Some(Trouble::Locked) => {
            RecordError::Locked { log: E::default().table_name().to_owned(), advice: dialect.locked_advice() }
        }
        _ => RecordError::Db(error.into()),
    }
}

/// Records the rows' events.
pub(super) async fn record<C: ConnectionTrait>(
    conn: &C,
    dialect: &dyn Dialect,
    drafts: Vec<Draft>,
) -> Result<Vec<Saved>, RecordError> {
    let now = chrono::Utc::now();
    let events: Result<Vec<_>, _> = drafts.into_iter().map(|draft| draft.finish(now)).collect();
    many::in_transaction(conn, dialect, &events?).await
}
