//! Chaos: now and then something bad happens to a process or a session, and an operator retries dead letters.

use std::time::{Duration, Instant};

use chrono::Utc;
use event_core::storage::{DeadLetterQuery, Storage as _};
use event_sea_orm::SeaStorage;
use fastrand::Rng;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend};

use super::troop::{Kind, Troop};
use crate::options::RunOptions;
use crate::{Fallible, sql};

pub(super) struct Chaos {
    db: DatabaseConnection,
    rng: Rng,
    every: Duration,
    lease: Duration,
    next: Instant,
    pub(super) retried_dead: u64,
}

impl Chaos {
    pub(super) fn new(options: &RunOptions, db: DatabaseConnection, rng: Rng) -> Self {
        let every = Duration::from_millis(options.chaos_every);
        Self { db, rng, every, lease: options.lease(), next: Instant::now() + every * 2, retried_dead: 0 }
    }

    /// Does something if it is time for it.
    pub(super) async fn act(&mut self, troop: &mut Troop) {
        if self.next > Instant::now() {
            return;
        }
        self.next = Instant::now() + self.every.mul_f64(0.4 + self.rng.f64() * 1.2);
        // What fails is a process that has ended meanwhile, or a server that is away: there will be other occasions.
        let _ = self.choose(troop).await;
    }

    async fn choose(&mut self, troop: &mut Troop) -> Fallible<()> {
        let down = Duration::from_millis(self.rng.u64(0..1_500));
        let past_the_lease = self.lease.mul_f64(1.1 + self.rng.f64() * 2.0);
        let kind = if self.rng.u32(0..100) < 12 { Kind::Recorder } else { Kind::Worker };
        let chosen = troop.choose(kind);
        match (self.rng.u32(0..100), chosen) {
            (0..45, Some(at)) => troop.kill(at, down),
            (45..65, Some(at)) => troop.stop(at, past_the_lease),
            (65..70, Some(at)) => troop.stop(at, self.lease.mul_f64(self.rng.f64())),
            (70..76, Some(at)) => {
                troop.stop(at, past_the_lease)?;
                tokio::time::sleep(self.lease.mul_f64(self.rng.f64())).await;
                troop.kill(at, down)
            }
            (76..86, Some(at)) => troop.end(at),
            (86..95, _) => self.cut_sessions().await,
            (95.., _) => self.retry_dead_letters().await,
            (_, None) => Ok(()),
        }
    }

    /// The server's own way to cut a session.
    async fn cut_sessions(&mut self) -> Fallible<()> {
        match self.db.get_database_backend() {
            DbBackend::Postgres => {
                let text = "SELECT pg_terminate_backend(pid)::int::bigint FROM (SELECT pid FROM pg_stat_activity \
                     WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY random() LIMIT 2) AS some";
                sql::query(&self.db, text, []).await?;
            }
            DbBackend::MySql => {
                let text = "SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE db = DATABASE() \
                     AND id <> CONNECTION_ID() ORDER BY RAND() LIMIT 2";
                for row in sql::query(&self.db, text, []).await? {
                    let id: i64 = row.try_get_by_index(0)?;
                    self.db.execute_unprepared(&format!("KILL CONNECTION {id}")).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// An operator, beside the workers.
    async fn retry_dead_letters(&mut self) -> Fallible<()> {
        let storage = SeaStorage::from(&self.db);
        let mut letters = storage.dead_letters(&DeadLetterQuery::default()).await?;
        self.rng.shuffle(&mut letters);
        for letter in letters.into_iter().take(2) {
            let retried = storage.retry_dead(&letter.key, letter.attempts, Utc::now()).await?;
            self.retried_dead += u64::from(retried);
        }
        Ok(())
    }
}
