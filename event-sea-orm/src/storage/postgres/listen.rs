//! Being told of what other processes record: LISTEN, while this worker is idle and has said so in `event_sleepers`.
//!
//! A log's trigger notifies only while somebody sleeps: commits that notify wait for each other.
//! <https://www.postgresql.org/docs/15/sql-notify.html>

use std::collections::BTreeSet;
use std::time::Duration;

use event_core::LogName;
use event_core::storage::{Ears, Hearing, StorageError, StorageErrorKind};
use sea_orm::sqlx::postgres::{PgListener, PgPool, PgPoolOptions};

use tokio::time::Instant;

use super::Looker;
use crate::storage::SeaStorage;
use crate::storage::own::{self, ACQUIRE};

const CHANNEL: &str = "event_recorded";

/// How long a sleeper's row counts; it is renewed three times as often.
const SLEEP: Duration = Duration::from_secs(60);

/// How often the recorders are looked at that may have been under way before the row was there.
const SETTLE: Duration = Duration::from_millis(50);

/// How long one polls fast for their sake: a recorder that idles in its transaction is not worth it for ever.
const UNSURE: Duration = Duration::from_secs(5);

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Listens until it is dropped. Without a connection to listen on, polling finds everything: that is told once, quietly.
pub(in crate::storage) async fn listen(storage: &SeaStorage, owner: &str, logs: &[LogName], mut ears: Ears) {
    let mut pause = FIRST_PAUSE;
    loop {
        let error = listen_once(storage, owner, logs, &mut ears, &mut pause).await;
        ears.hear(Hearing::Nothing);
        tracing::debug!(error = %error, again_in = ?pause, "not listening to other processes: polling finds their events");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn listen_once(
    storage: &SeaStorage,
    owner: &str,
    logs: &[LogName],
    ears: &mut Ears,
    pause: &mut Duration,
) -> StorageError {
    match try_listen(storage, owner, logs, ears, pause).await {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

enum Never {}

async fn try_listen(
    storage: &SeaStorage,
    owner: &str,
    logs: &[LogName],
    ears: &mut Ears,
    pause: &mut Duration,
) -> Result<Never, StorageError> {
    let own = storage.connections().await?;
    let Some(looker) = own.looker else { return std::future::pending().await };
    let failed = |error: sea_orm::sqlx::Error| {
        StorageError::new(StorageErrorKind::Unreachable, "no connection to listen on").caused_by(error)
    };
    let mut listener = PgListener::connect_with(&one_connection(storage)).await.map_err(failed)?;
    // A lost connection ends this, and with it the belief to be told of everything.
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await.map_err(failed)?;
    *pause = FIRST_PAUSE;
    let mut renewal = tokio::time::interval(SLEEP / 3);
    renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut sleeps = Sleep::default();
    // It may be idle already.
    sleeps.say(storage, &looker, owner, logs, ears).await?;
    loop {
        tokio::select! {
            heard = listener.try_recv() => match heard.map_err(failed)? {
                // The log's name; of logs that this worker does not read, too.
                Some(told) => logs.iter().filter(|log| log.as_str() == told.payload()).for_each(|log| ears.recorded_in(log)),
                None => return Err(StorageError::new(StorageErrorKind::Unreachable, "the connection to listen on was lost")),
            },
            () = ears.idle_changed() => sleeps.say(storage, &looker, owner, logs, ears).await?,
            _ = renewal.tick() => sleeps.renew(storage, owner, ears).await?,
            () = tokio::time::sleep(SETTLE), if sleeps.is_settling() => sleeps.settle(storage, &looker, logs, ears).await?,
        }
    }
}

/// A pool of its own, which the listener keeps.
fn one_connection(storage: &SeaStorage) -> PgPool {
    let options = storage.db.get_postgres_connection_pool().connect_options();
    PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .acquire_timeout(ACQUIRE)
        .connect_lazy_with(own::quiet((*options).clone()))
}

/// What recorders know of this worker.
#[derive(Default)]
struct Sleep {
    asleep: bool,
    /// Who recorded when the row appeared, and may have looked for it before: by log.
    unsure: Vec<BTreeSet<String>>,
    since: Option<Instant>,
}

impl Sleep {
    fn is_settling(&self) -> bool {
        !self.unsure.is_empty()
    }

    async fn say(
        &mut self,
        storage: &SeaStorage,
        looker: &Looker,
        owner: &str,
        logs: &[LogName],
        ears: &Ears,
    ) -> Result<(), StorageError> {
        let idle = ears.is_idle();
        if idle == self.asleep {
            return Ok(());
        }
        self.asleep = idle;
        self.unsure.clear();
        if !idle {
            ears.hear(Hearing::Nothing);
            return remove(storage, owner).await;
        }
        insert(storage, owner).await?;
        self.since = Some(Instant::now());
        for log in logs {
            self.unsure.push(looker.list(storage, log, false).await?.holders.into_keys().collect());
        }
        self.settled(ears);
        Ok(())
    }

    /// Whoever has let go of the lock since has committed, and polling finds it; whoever took it since sees the row.
    async fn settle(
        &mut self,
        storage: &SeaStorage,
        looker: &Looker,
        logs: &[LogName],
        ears: &Ears,
    ) -> Result<(), StorageError> {
        for (log, unsure) in logs.iter().zip(&mut self.unsure) {
            if !unsure.is_empty() {
                let holders = looker.list(storage, log, false).await?.holders;
                unsure.retain(|holder| holders.contains_key(holder));
            }
        }
        self.settled(ears);
        Ok(())
    }

    fn settled(&mut self, ears: &Ears) {
        if self.unsure.iter().all(BTreeSet::is_empty) {
            self.unsure.clear();
            ears.hear(Hearing::All);
            // What was committed while they were looked at.
            ears.recorded();
        } else {
            let patient = self.since.is_some_and(|since| since.elapsed() > UNSURE);
            ears.hear(if patient { Hearing::Nothing } else { Hearing::Soon });
        }
    }

    async fn renew(&self, storage: &SeaStorage, owner: &str, ears: &Ears) -> Result<(), StorageError> {
        if self.asleep && ears.is_idle() { insert(storage, owner).await } else { Ok(()) }
    }
}

/// Says that this worker sleeps, and forgets those that can't do so any more.
async fn insert(storage: &SeaStorage, owner: &str) -> Result<(), StorageError> {
    let db = storage.own().await?;
    let until = storage.clock(SLEEP.as_millis())?;
    let mut sql = storage.sql()?;
    sql.push("INSERT INTO event_sleepers (owner, until) VALUES (").bind(owner).push(", ").push(&until);
    sql.push(") ON CONFLICT (owner) DO UPDATE SET until = excluded.until");
    storage.execute(&db, sql).await?;
    let mut sql = storage.sql()?;
    sql.push("DELETE FROM event_sleepers WHERE until < ").push(&storage.clock(0)?);
    storage.execute(&db, sql).await.map(drop)
}

async fn remove(storage: &SeaStorage, owner: &str) -> Result<(), StorageError> {
    let mut sql = storage.sql()?;
    sql.push("DELETE FROM event_sleepers WHERE owner = ").bind(owner);
    storage.execute(&storage.own().await?, sql).await.map(drop)
}
