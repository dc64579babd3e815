//! A drain: all that is due, also what handlers record meanwhile, and then an end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::lane::{Lane, lost_task};
use super::leases::Leases;
use super::report::Report;
use super::shared::Shared;
use crate::storage::{Storage, StorageError};

/// Works in rounds: in each, every lane goes to the end of its logs as they were when it looked. A round in which no lane did
/// anything is the last, since then nothing was recorded by a handler either.
pub(crate) async fn drain<S: Storage>(shared: &Arc<Shared<S>>) -> Result<Report, StorageError> {
    let before: Vec<_> = shared.plans.iter().map(|plan| shared.counters[plan.name()].report()).collect();
    shared.forget_pages().await;
    let mut leases = Leases::default();
    let mut lanes = Vec::new();
    for (plan, claimed, lease) in leases.claim(shared, |_| true).await? {
        lanes.push(Lane::load(shared.clone(), plan, claimed, lease).await?);
    }
    let mut complete = false;
    for _ in 0..shared.options.drain_rounds {
        let progress: u64 = lanes.iter().map(|lane| lane.progress).sum();
        shared.bump();
        lanes = round(shared, &mut leases, lanes).await?;
        if lanes.iter().map(|lane| lane.progress).sum::<u64>() == progress {
            complete = true;
            break;
        }
    }
    let mut report = Report { complete, ..Report::default() };
    for lane in &mut lanes {
        lane.end().await?;
        if let Some(pause) = lane.pause() {
            report.paused.insert(lane.plan.name().to_owned(), pause.clone());
        }
    }
    for (plan, before) in shared.plans.iter().zip(before) {
        if leases.holds(plan.name()) {
            report.inboxes.insert(plan.name().to_owned(), shared.counters[plan.name()].report().since(before));
        } else {
            report.held_elsewhere.push(plan.name().to_owned());
        }
    }
    Ok(report)
}

/// Every lane once to the end, side by side, with the leases kept.
async fn round<S: Storage>(
    shared: &Arc<Shared<S>>,
    leases: &mut Leases,
    lanes: Vec<Lane<S>>,
) -> Result<Vec<Lane<S>>, StorageError> {
    let mut tasks = JoinSet::new();
    let mut names = HashMap::new();
    for mut lane in lanes {
        let name = lane.plan.name();
        let task = tasks.spawn(async move {
            lane.begin_round().await?;
            lane.advance().await?;
            Ok::<_, StorageError>(lane)
        });
        names.insert(task.id(), name);
    }
    let mut lanes = Vec::new();
    let mut first_error = None;
    let third: Duration = shared.options.lease / 3;
    let mut renewal = tokio::time::interval_at(tokio::time::Instant::now() + third, third);
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                None => break,
                Some(Ok(Ok(lane))) => lanes.push(lane),
                Some(Ok(Err(error))) => drop(first_error.get_or_insert(error)),
                // Nobody aborts a lane here, and it runs little of the user's code unguarded: a handler's destructor, say.
                Some(Err(error)) => {
                    let inbox = names.get(&error.id()).copied().unwrap_or_default();
                    first_error.get_or_insert_with(|| lost_task(inbox, error));
                }
            },
            _ = renewal.tick() => drop(leases.renew(shared).await?),
        }
    }
    match first_error {
        None => Ok(lanes),
        Some(error) => {
            // What the others did stays done and saved; their inboxes are given up.
            for mut lane in lanes {
                lane.end().await?;
            }
            Err(error)
        }
    }
}
