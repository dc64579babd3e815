//! Restarts and crashes of the server, by the commands that the user gave.

use std::process::Stdio;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::options::RunOptions;

pub(super) struct ServerActs {
    rng: Rng,
    commands: Vec<String>,
    every: Duration,
    next: Instant,
    under_way: Option<JoinHandle<bool>>,
    done: u64,
}

impl ServerActs {
    pub(super) fn new(options: &RunOptions, rng: Rng) -> Self {
        let every = Duration::from_secs(options.server_every);
        let commands = options.restart_server.iter().chain(&options.crash_server).cloned().collect();
        Self { rng, commands, every, next: Instant::now() + every / 2, under_way: None, done: 0 }
    }

    /// Runs a command if it is time for it, beside everything else.
    pub(super) fn act(&mut self) {
        if self.next > Instant::now() || self.under_way.as_ref().is_some_and(|act| !act.is_finished()) {
            return;
        }
        let Some(command) = self.rng.choice(&self.commands).cloned() else { return };
        self.next = Instant::now() + self.every.mul_f64(0.5 + self.rng.f64());
        self.done += 1;
        eprintln!("torture: {command}");
        self.under_way = Some(tokio::spawn(async move {
            let mut shell = Command::new("sh");
            shell.args(["-c", &command]).stdin(Stdio::null()).stdout(Stdio::null());
            shell.status().await.is_ok_and(|status| status.success())
        }));
    }

    /// Waits for the one under way; gives how many there were.
    pub(super) async fn finish(self) -> u64 {
        if let Some(act) = self.under_way
            && !act.await.unwrap_or(false)
        {
            eprintln!("torture: the server's command failed");
        }
        self.done
    }
}
