//! What the child processes have in common: their orders, and their end when the parent is gone.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::options::Wrong;

/// What the parent tells a recorder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RecordOrders {
    /// Where it connects to: the server, or the proxy.
    pub(crate) url: String,
    pub(crate) writers: u32,
    pub(crate) connections: u32,
    /// Which block of numbers is its own.
    pub(crate) block: u32,
    pub(crate) seed: u64,
    /// Writers wait while an inbox is so many events behind.
    pub(crate) lag: u64,
    /// The largest batch.
    pub(crate) batch: usize,
    /// Whether it records an event that ends the workers' processes.
    pub(crate) fatal: bool,
    /// Whether the server takes PREPARE TRANSACTION.
    pub(crate) two_phase: bool,
    pub(crate) unsafe_commits: bool,
}

/// What the parent tells a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WorkOrders {
    /// The proxy, or the SQLite file.
    pub(crate) url: String,
    /// Where plain inboxes write what they handled.
    pub(crate) folder: PathBuf,
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) lease_ms: u64,
    /// Whether the inbox that starts in the middle of the run is there already.
    pub(crate) newcomer: bool,
    /// Whether acknowledgements get lost in the storage itself.
    pub(crate) faults: bool,
    pub(crate) wrong: Option<Wrong>,
    pub(crate) unsafe_commits: bool,
}

/// Ends this process when the parent's end of its standard input is closed, whatever became of the parent.
pub(crate) fn end_with_the_parent() {
    std::thread::spawn(|| {
        // Nothing is ever written to it.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
}
