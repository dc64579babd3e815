//! The one step: an UPDATE that holds the state it goes from, and the event, both or neither.

use chrono::Utc;
use event_core::{Draft, EventRef, NewEvent, Recording, Saved};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DbErr, EntityName as _, EntityTrait, IdenStatic as _, Iterable as _,
    ModelTrait as _, PrimaryKeyToColumn as _, QueryFilter as _, QuerySelect as _, Value,
};

use super::{ColumnOf, ModelOf, StateMachine, StateTransition, TransitionError, Transitioned, state};
use crate::backend::{Dialect, dialect};
use crate::record::changes::differences;
use crate::record::{RecordConnection, RecordError, atomic, one};
use crate::wake;

/// How often the UPDATE is sent: once, and once more where the row came back to its state before it was looked at, which locked it.
const ROUNDS: usize = 2;

/// A transition that was checked, with everything it writes.
struct Step<S: StateMachine> {
    transition: S::Transition,
    from: S,
    key: Condition,
    /// What the UPDATE sets: the state first.
    set: Vec<(ColumnOf<S>, Value)>,
}

pub(super) async fn apply<C, S>(
    conn: &C,
    transition: S::Transition,
    before: ModelOf<S>,
    recording: Recording<S::Event>,
    also: Vec<(ColumnOf<S>, Value)>,
) -> Result<Transitioned<S>, TransitionError>
where
    C: RecordConnection,
    S: StateMachine,
{
    let (from, to) = (state::<S>(&before), transition.to());
    let mut set = vec![(column::<S>(), to.into())];
    set.extend(also);
    let model = changed::<S>(&before, &set, transition)?;
    let after = set.iter().map(|(column, _)| (*column, model.get(*column)));
    let changes = differences::<S::Event, _>(&before, after);
    let event = Draft::from(recording.changed_columns(changes)).finish(Utc::now()).map_err(RecordError::from)?;
    let step = Step { transition, from, key: key::<S>(&before), set };

    let dialect = dialect(conn.get_database_backend()).map_err(RecordError::from)?;
    let log = event.log;
    let transaction = atomic::begin(conn, dialect, log).await?;
    let worked = step.write(&transaction, dialect, &event).await;
    let event = atomic::end(transaction, dialect, log, worked).await?;
    wake::hint(log);
    Ok(Transitioned { model, from, to, event })
}

fn column<S: StateMachine>() -> ColumnOf<S> {
    (S::machine().parts.column)()
}

/// The model with these columns, where all of them can be set.
fn changed<S: StateMachine>(
    before: &ModelOf<S>,
    set: &[(ColumnOf<S>, Value)],
    transition: S::Transition,
) -> Result<ModelOf<S>, TransitionError> {
    let mut model = before.clone();
    for (at, (column, value)) in set.iter().enumerate() {
        let bad =
            |problem| TransitionError::BadColumn { transition: transition.name(), column: column.as_str(), problem };
        if set[..at].iter().any(|(earlier, _)| earlier.as_str() == column.as_str()) {
            return Err(bad("it is set already; the transition itself sets the state"));
        }
        if <S::Entity as EntityTrait>::PrimaryKey::from_column(*column).is_some() {
            return Err(bad("it is the model's key"));
        }
        model.try_set(*column, value.clone()).map_err(|_| bad("the value is of another type than the column"))?;
    }
    Ok(model)
}

/// The condition that a row is the model's.
fn key<S: StateMachine>(model: &ModelOf<S>) -> Condition {
    <S::Entity as EntityTrait>::PrimaryKey::iter()
        .map(|key| key.into_column())
        .fold(Condition::all(), |condition, column| condition.add(column.eq(model.get(column))))
}

impl<S: StateMachine> Step<S> {
    async fn write<C>(&self, conn: &C, dialect: &dyn Dialect, event: &NewEvent) -> Result<EventRef, TransitionError>
    where
        C: ConnectionTrait,
    {
        self.update(conn, dialect).await?;
        match one::write_in(conn, dialect, event).await? {
            Saved::Recorded(event) => Ok(event),
            saved => Err(TransitionError::NotRecorded { transition: self.transition.name(), saved }),
        }
    }

    /// The row's state is checked by the very statement that changes it.
    async fn update<C: ConnectionTrait>(&self, conn: &C, dialect: &dyn Dialect) -> Result<(), TransitionError> {
        let name = self.transition.name();
        let failed = |error| TransitionError::of(dialect, name, error);
        for _ in 0..ROUNDS {
            let mut update = S::Entity::update_many().filter(self.key.clone()).filter(column::<S>().eq(self.from));
            for (column, value) in &self.set {
                update = update.col_expr(*column, column.save_as(Expr::val(value.clone())));
            }
            // Rows found, and not rows changed, on MySQL too (CLIENT_FOUND_ROWS): a transition may lead to where it comes from.
            if update.exec(conn).await.map_err(failed)?.rows_affected > 0 {
                return Ok(());
            }
            // With its lock: as it is now, and not as a snapshot older than the UPDATE has it.
            let row = S::Entity::find().filter(self.key.clone()).lock_exclusive().one(conn).await.map_err(failed)?;
            let Some(row) = row else {
                return Err(TransitionError::Gone { transition: name, table: S::Entity::default().table_name() });
            };
            let (machine, found) = (S::machine(), state::<S>(&row));
            if found != self.from {
                return Err(TransitionError::Changed {
                    machine: machine.parts.name,
                    transition: name,
                    expected: machine.name(self.from),
                    found: machine.name(found),
                });
            }
        }
        // Something of the database's own keeps it from being changed: a trigger, a policy.
        Err(TransitionError::Db(DbErr::RecordNotUpdated.into()))
    }
}
