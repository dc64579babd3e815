//! The command line.

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

/// Tries to break what the dispatcher promises, and counts what was lost or doubled.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) run: Option<RunOptions>,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What the program starts itself as.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    #[command(hide = true)]
    Record { orders: String },
    #[command(hide = true)]
    Work { orders: String },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RunOptions {
    /// The server: a database of the torture's own is made on it. `sqlite:` is a file in a temporary folder.
    #[arg(long, value_name = "URL")]
    pub(crate) database: String,
    /// How long the load lasts at least.
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(crate) seconds: u64,
    /// The load lasts until so many events are committed.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) events: u64,
    /// The load lasts until workers were killed so often by `kill -9`.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) kills: u64,
    /// Writers side by side.
    #[arg(long, value_name = "N", default_value_t = 40)]
    pub(crate) writers: u32,
    /// Dispatching processes.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) workers: u32,
    /// Where the choices come from; at random if not given.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Runs a wrong variant, to show that the torture finds it.
    #[arg(long = "break", value_name = "VARIANT")]
    pub(crate) wrong: Option<Wrong>,
    /// A shell command that restarts the server, run now and then; returns when the server is up again.
    #[arg(long, value_name = "CMD")]
    pub(crate) restart_server: Option<String>,
    /// A shell command that crashes the server and starts it again; the sessions run with `synchronous_commit = off`.
    #[arg(long, value_name = "CMD")]
    pub(crate) crash_server: Option<String>,
    /// Seconds between two of these, about.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) server_every: u64,
    /// Milliseconds between two acts of chaos, about.
    #[arg(long, value_name = "N", default_value_t = 1_500)]
    pub(crate) chaos_every: u64,
    /// The workers' lease in milliseconds.
    #[arg(long, value_name = "N", default_value_t = 1_500)]
    pub(crate) lease: u64,
    /// The longest time, in milliseconds, that the proxy holds a connection silent.
    #[arg(long, value_name = "N", default_value_t = 6_000)]
    pub(crate) silence: u64,
    /// Writers wait while an inbox is so many events behind.
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    pub(crate) lag: u64,
    /// The largest batch that a writer records at once; larger ones make for more events.
    #[arg(long, value_name = "N", default_value_t = 40)]
    pub(crate) batch: usize,
    /// Seconds without any progress after which the run counts as stalled.
    #[arg(long, value_name = "N", default_value_t = 60)]
    pub(crate) patience: u64,
    /// Leaves the database and the folder with the workers' logs.
    #[arg(long)]
    pub(crate) keep: bool,
}

impl RunOptions {
    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease)
    }
}

/// A wrong variant of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Wrong {
    /// A missing id is taken for dead at once, without a proof.
    BareId,
    /// After a lost acknowledgement the work is repeated from memory, and the save is fenced by the epoch alone.
    EpochOnly,
    /// A claim loads the cursors first and raises the epoch after.
    LoadThenBump,
    /// The log's ids come from a sequence with a cache of 20, unchecked at the start. PostgreSQL only.
    SequenceCache,
}
