//! Restarts and crashes of the server, by the commands that the user gave, with what was prepared before and is open after.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fastrand::Rng;
use sea_orm::DatabaseConnection;
use tokio::process::Command;
use tokio::task::JoinHandle;

use super::settle::{finish_prepared, prepared};
use crate::options::RunOptions;

pub(super) struct ServerActs {
    db: DatabaseConnection,
    rng: Rng,
    commands: Vec<String>,
    every: Duration,
    next: Instant,
    under_way: Option<JoinHandle<Done>>,
    all: Done,
}

/// What was done to the server.
#[derive(Clone, Copy, Default)]
pub(crate) struct Done {
    pub(crate) acts: u64,
    /// Transactions that were prepared before and open after.
    pub(crate) prepared_over: u64,
}

impl ServerActs {
    pub(super) fn new(options: &RunOptions, db: DatabaseConnection, rng: Rng) -> Self {
        let every = Duration::from_secs(options.server_every);
        let commands = options.restart_server.iter().chain(&options.crash_server).cloned().collect();
        Self { db, rng, commands, every, next: Instant::now() + every / 2, under_way: None, all: Done::default() }
    }

    /// Runs a command if it is time for it, beside everything else.
    pub(super) async fn act(&mut self) {
        if self.next > Instant::now() || self.under_way.as_ref().is_some_and(|act| !act.is_finished()) {
            return;
        }
        self.add_up().await;
        let Some(command) = self.rng.choice(&self.commands).cloned() else { return };
        self.next = Instant::now() + self.every.mul_f64(0.5 + self.rng.f64());
        eprintln!("torture: {command}");
        self.under_way = Some(tokio::spawn(run(command, self.db.clone(), self.rng.fork())));
    }

    async fn add_up(&mut self) {
        if let Some(act) = self.under_way.take() {
            let done = act.await.unwrap_or_default();
            if done.acts == 0 {
                eprintln!("torture: the server's command failed");
            }
            self.all.acts += done.acts;
            self.all.prepared_over += done.prepared_over;
        }
    }

    /// Waits for the one under way; gives what was done.
    pub(super) async fn finish(mut self) -> Done {
        self.add_up().await;
        self.all
    }
}

/// Runs it, and a while after the server is up ends what was prepared: by then the workers have met it under its new name.
async fn run(command: String, db: DatabaseConnection, mut rng: Rng) -> Done {
    let before: BTreeSet<_> = prepared(&db).await.unwrap_or_default().into_iter().collect();
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).stdin(Stdio::null()).stdout(Stdio::null());
    if !shell.status().await.is_ok_and(|status| status.success()) {
        return Done::default();
    }
    // The pool's connections are those of the server that was; each fails once.
    let mut open = prepared(&db).await;
    for _ in 0..20 {
        if open.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        open = prepared(&db).await;
    }
    let prepared_over = open.unwrap_or_default().iter().filter(|name| before.contains(*name)).count() as u64;
    if prepared_over > 0 {
        eprintln!("torture: {prepared_over} transactions prepared before are open after");
        tokio::time::sleep(Duration::from_millis(rng.u64(0..4_000))).await;
        // What fails is one that its recorder ended; the others have their turn at the end.
        let _ = finish_prepared(&db, &mut rng).await;
    }
    Done { acts: 1, prepared_over }
}
