//! "Update all where", with what each row was and is.
//!
//! PostgreSQL gives both in one statement. SQLite's RETURNING knows what a row is and not what it was, MySQL and MariaDB have none for
//! UPDATE: there the rows are read first, and locked until the end.

use std::collections::HashMap;

use event_core::Draft;
use sea_orm::sea_query::{CommonTableExpression, Expr, IntoCondition, IntoIden as _, Query};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult as _, IdenStatic as _,
    Iterable as _, QueryFilter as _, QueryTrait as _, UpdateMany, Value,
};

use super::super::{RecordConnection, RecordError, atomic};
use super::{Changed, rows};
use crate::backend::{Dialect, dialect};
use crate::wake;

const BEFORE: &str = "event_before";
const AFTER: &str = "event_after";
/// Which of the two a row is of.
const SIDE: &str = "event_side";

/// A change of many rows; made by [`EntityEvents::update_all`](super::EntityEvents::update_all).
#[derive(Clone, Debug)]
#[must_use = "nothing is changed until `.record(...)` is awaited"]
pub struct UpdateAll<E: EntityTrait> {
    pub(super) filter: Condition,
    pub(super) set: Vec<(E::Column, Expr)>,
}

type Pairs<E> = Vec<(<E as EntityTrait>::Model, <E as EntityTrait>::Model)>;

impl<E: EntityTrait> UpdateAll<E> {
    /// Which rows; several filters have to agree. Without one, all.
    pub fn filter(mut self, filter: impl IntoCondition) -> Self {
        self.filter = self.filter.add(filter.into_condition());
        self
    }

    /// Sets a column.
    pub fn set(mut self, column: E::Column, value: impl Into<Value>) -> Self {
        self.set.push((column, column.save_as(Expr::val(value))));
        self
    }

    /// Sets a column to what an expression gives for each row.
    pub fn set_expr(mut self, column: E::Column, expression: Expr) -> Self {
        self.set.push((column, expression));
        self
    }

    /// Changes the rows, and records what `event` makes of each one that is not as it was. All of it or nothing: in a transaction of its
    /// own, which inside a transaction is a savepoint.
    ///
    /// As with SeaORM's `update_many`, no hook of the active model runs. All rows that change are in memory at once: a million of them are
    /// changed in pieces, by narrower filters.
    ///
    /// # Errors
    /// What is wrong with a recording, or what the database says; nothing was changed. A column of the primary key can't be set: the row
    /// would be another one's subject.
    pub async fn record<C, F, D>(self, conn: &C, mut event: F) -> Result<Changed<E::Model>, RecordError>
    where
        C: RecordConnection,
        F: FnMut(&E::Model, &E::Model) -> D + Send,
        D: Into<Draft>,
        E::Model: Send + Sync,
    {
        let dialect = dialect(conn.get_database_backend())?;
        if let Some(key) =
            rows::keys::<E>().find(|key| self.set.iter().any(|(column, _)| column.as_str() == key.as_str()))
        {
            let key = key.as_str();
            return Err(RecordError::from(DbErr::Custom(format!(
                "`{key}` is the primary key, and can't be set by `update_all`"
            ))));
        }
        let entity = E::default();
        let table = entity.table_name();
        let transaction = atomic::begin(conn, dialect, table).await?;
        let worked = async {
            let pairs = self.update(&transaction, dialect).await?;
            let changed: Vec<_> =
                pairs.into_iter().filter(|(before, after)| rows::differ::<E>(before, after)).collect();
            let drafts: Vec<Draft> = changed.iter().map(|(before, after)| event(before, after).into()).collect();
            let saved = rows::record(&transaction, dialect, drafts).await?;
            Ok::<_, RecordError>(Changed { rows: changed.into_iter().map(|(_, after)| after).collect(), saved })
        };
        let worked = worked.await;
        let changed = atomic::end(transaction, dialect, table, worked).await?;
        wake::hint_of(&changed.saved);
        Ok(changed)
    }

    fn statement(&self) -> UpdateMany<E> {
        self.set.iter().fold(E::update_many(), |update, (column, value)| update.col_expr(*column, value.clone()))
    }

    async fn update<C: ConnectionTrait>(&self, conn: &C, dialect: &dyn Dialect) -> Result<Pairs<E>, RecordError> {
        if self.set.is_empty() {
            return Ok(Vec::new());
        }
        let updated = match conn.get_database_backend() {
            DbBackend::Postgres => self.update_at_once(conn).await,
            backend => self.update_found(conn, backend).await,
        };
        updated.map_err(|error| rows::error::<E>(dialect, error))
    }

    /// `WITH event_before AS (SELECT ... FOR UPDATE), event_after AS (UPDATE ... RETURNING ...)`, and then a SELECT of the rows of both.
    ///
    /// The lock has the rows be as they are now, also where another transaction changed them after this statement began, and the UPDATE
    /// then changes just those. The two are rows, and not one row of twice the columns: PostgreSQL cuts names after 63 bytes, so that
    /// there is no room for a prefix.
    async fn update_at_once<C: ConnectionTrait>(&self, conn: &C) -> Result<Pairs<E>, DbErr> {
        let backend = conn.get_database_backend();
        let before = sea_orm::QuerySelect::lock_exclusive(rows::found::<E>(self.filter.clone())).into_query();
        let mut update = self.statement().into_query();
        update.and_where(rows::is_in_part::<E>(BEFORE));
        let returned = E::Column::iter().map(|column| column.select_as(column.into_returning_expr(backend)));
        update.returning(Query::returning().exprs(returned));
        // The side is the first column, so that it is found whatever the names of the others are.
        let side = |part: &'static str, is_after: bool| {
            let mut side = Query::select();
            side.expr_as(Expr::val(is_after), SIDE).columns(E::Column::iter()).from(part);
            side
        };
        let mut both = side(BEFORE, false);
        both.union(sea_orm::sea_query::UnionType::All, side(AFTER, true));
        for key in rows::keys::<E>() {
            both.order_by(key, sea_orm::Order::Asc);
        }
        let part = |name: &'static str| CommonTableExpression::new().table_name(name.into_iden()).to_owned();
        let with = Query::with()
            .cte(part(BEFORE).query(before).to_owned())
            .cte(part(AFTER).query(update).to_owned())
            .to_owned();
        let (mut found, mut updated) = (Vec::new(), HashMap::new());
        for row in conn.query_all(&both.with(with)).await? {
            let model = E::Model::from_query_result(&row, "")?;
            if row.try_get_by_index(0)? {
                updated.insert(rows::key::<E>(&model), model);
            } else {
                found.push(model);
            }
        }
        Ok(pairs::<E>(found, updated))
    }

    async fn update_found<C: ConnectionTrait>(&self, conn: &C, backend: DbBackend) -> Result<Pairs<E>, DbErr> {
        let found = rows::locked::<E, _>(conn, self.filter.clone()).await?;
        let mut updated = HashMap::with_capacity(found.len());
        for chunk in found.chunks(rows::CHUNK) {
            let update = self.statement().filter(rows::are::<E>(chunk));
            let after = if backend == DbBackend::Sqlite {
                update.exec_with_returning(conn).await?
            } else {
                update.exec(conn).await?;
                E::find().filter(rows::are::<E>(chunk)).all(conn).await?
            };
            updated.extend(after.into_iter().map(|row| (rows::key::<E>(&row), row)));
        }
        Ok(pairs::<E>(found, updated))
    }
}

/// Puts the rows as they were and as they are together, by their keys; in the order of those found.
fn pairs<E: EntityTrait>(found: Vec<E::Model>, mut updated: HashMap<String, E::Model>) -> Pairs<E> {
    let pair = |before: E::Model| Some((updated.remove(&rows::key::<E>(&before))?, before));
    found.into_iter().filter_map(pair).map(|(after, before)| (before, after)).collect()
}
