//! The report: one JSON object, the last line of the output.

use std::collections::BTreeMap;

use sea_orm::DbBackend;
use serde::Serialize;
use serde_json::{Value, json};

use super::troop;
use crate::database::Ground;
use crate::options::RunOptions;
use crate::proxy;

/// What came of one inbox.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Outcome {
    /// Committed events that it handled.
    pub(crate) handled: u64,
    /// Dead letters.
    pub(crate) dead: u64,
    /// Committed events that the cursor calls done, and that were neither handled nor given up.
    pub(crate) lost: u64,
    /// Effects too many, of a transactional inbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) doubled: Option<u64>,
    /// Deliveries too many, of another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repeated: Option<u64>,
    /// Committed events that are still to come: the run stalled.
    pub(crate) pending: u64,
    /// Handled, and now not committed: un-happened by a crash of the server.
    pub(crate) unhappened: u64,
}

pub(crate) struct Report {
    pub(crate) committed: u64,
    pub(crate) inboxes: BTreeMap<&'static str, Outcome>,
    /// Whatever is wrong beside lost and doubled.
    pub(crate) reasons: Vec<String>,
    pub(crate) load_seconds: f64,
    pub(crate) proxy: proxy::Deeds,
    pub(crate) troop: troop::Deeds,
    pub(crate) server_acts: super::server::Done,
    pub(crate) retried_dead: u64,
    backend: &'static str,
    seed: u64,
    wrong: Value,
    writers: u32,
    workers: u32,
}

impl Report {
    pub(super) fn new(options: &RunOptions, seed: u64, ground: &Ground, writers: u32) -> Self {
        Self {
            committed: 0,
            inboxes: BTreeMap::new(),
            reasons: Vec::new(),
            load_seconds: 0.0,
            proxy: proxy::Deeds::default(),
            troop: troop::Deeds::default(),
            server_acts: super::server::Done::default(),
            retried_dead: 0,
            backend: match ground.backend {
                DbBackend::Postgres => "postgres",
                DbBackend::MySql => "mysql",
                _ => "sqlite",
            },
            seed,
            wrong: json!(options.wrong),
            writers,
            workers: options.workers,
        }
    }

    fn lost(&self) -> u64 {
        self.inboxes.values().map(|inbox| inbox.lost).sum()
    }

    fn doubled(&self) -> u64 {
        self.inboxes.values().filter_map(|inbox| inbox.doubled).sum()
    }

    /// Whether every promise was kept.
    pub(super) fn is_fine(&self) -> bool {
        self.lost() == 0 && self.doubled() == 0 && self.reasons.is_empty()
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "committed": self.committed,
            "inboxes": self.inboxes,
            "lost": self.lost(),
            "doubled": self.doubled(),
            "reasons": self.reasons,
            "kills": self.troop.kills,
            "recorder_kills": self.troop.recorder_kills,
            "stops": self.troop.stops,
            "ends": self.troop.ends,
            "aborts": self.troop.aborts,
            "exits": self.troop.exits,
            "cuts": self.proxy.cuts,
            "lost_commits": self.proxy.lost_commits,
            "silences": self.proxy.silences,
            "restarts": self.server_acts.acts,
            "prepared_over_restarts": self.server_acts.prepared_over,
            "retried_dead": self.retried_dead,
            "seconds": (self.load_seconds * 10.0).round() / 10.0,
            "events_per_second": (self.committed as f64 / self.load_seconds.max(0.1)).round(),
            "database": self.backend,
            "writers": self.writers,
            "workers": self.workers,
            "seed": self.seed,
            "break": self.wrong,
        })
    }
}
