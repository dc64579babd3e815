//! What a user would take instead of the framework for a fan-out: a job queue, with a job for each delivery.

pub(crate) mod apalis;
pub(crate) mod graphile;
mod watch;

use serde::{Deserialize, Serialize};

pub(crate) use crate::Fallible;

/// What a peer did, and how long it took from the start of its worker until the last job was done and the database said so.
pub(crate) struct Ran {
    pub(crate) jobs: u64,
    pub(crate) seconds: f64,
}

/// A job: one event for one inbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Delivery {
    event_id: u64,
    inbox: u32,
}

/// The backlog, as a user would enqueue it: event by event, a job for each handler.
fn deliveries(events: u64, handlers: u32) -> impl Iterator<Item = Delivery> {
    (1..=events).flat_map(move |event_id| (0..handlers).map(move |inbox| Delivery { event_id, inbox }))
}

/// Jobs enqueued in one call: both peers take many.
const CHUNK: usize = 10_000;
