//! Another process that records, for the rows where it matters that it is another one.

use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use event_sea_orm::prelude::*;
use sea_orm::{ConnectionTrait, TransactionTrait};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::ground::connect;
use crate::{Fallible, models};

/// What the other process is to do; its numbers begin at `first`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Orders {
    /// Events at random moments, this long apart on average.
    Record { url: String, first: i64, count: i64, apart_us: u64 },
    /// Bare notifications, likewise.
    Notify { url: String, first: i64, count: i64, apart_us: u64 },
    /// Delivers a backlog to one inbox, and says how much memory it took at most, in KiB.
    Deliver { url: String, inbox: String },
}

/// Carries out orders; what is to be known goes to the output, a JSON line.
pub(crate) async fn run(orders: &str) -> Fallible<()> {
    let said = match serde_json::from_str(orders)? {
        Orders::Record { url, first, count, apart_us } => {
            let db = connect(&url, 1).await?;
            let mut sent = Vec::new();
            for n in first..first + count {
                pause(apart_us).await;
                let txn = db.begin().await?;
                models::small(n).save(&txn).await?;
                let now = now_nanos();
                txn.commit().await?;
                sent.push((n, now));
            }
            serde_json::to_string(&sent)?
        }
        Orders::Notify { url, first, count, apart_us } => {
            let db = connect(&url, 1).await?;
            let mut sent = Vec::new();
            for n in first..first + count {
                pause(apart_us).await;
                let now = now_nanos();
                db.execute_unprepared(&format!("NOTIFY bench, '{n}'")).await?;
                sent.push((n, now));
            }
            serde_json::to_string(&sent)?
        }
        Orders::Deliver { url, inbox } => {
            let db = connect(&url, 2).await?;
            Dispatcher::builder(&db).only([inbox.as_str()]).build()?.drain().await?;
            let status = std::fs::read_to_string("/proc/self/status")?;
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
            serde_json::to_string(&peak.trim().trim_end_matches(" kB").parse::<u64>()?)?
        }
    };
    println!("{said}");
    Ok(())
}

/// Starts this program as that process, and gives what it said.
pub(crate) async fn start<T: serde::de::DeserializeOwned>(orders: &Orders) -> Fallible<T> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["child-process", &serde_json::to_string(orders)?]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true).output().await?;
    if !output.status.success() {
        return Err(format!("the other process ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The time as both processes have it.
pub(crate) fn now_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Between half of it and one and a half.
async fn pause(apart_us: u64) {
    // A sleep takes a millisecond at least.
    if apart_us == 0 {
        return;
    }
    tokio::time::sleep(Duration::from_micros(apart_us / 2 + fastrand::u64(0..=apart_us))).await;
}
