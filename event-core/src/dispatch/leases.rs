//! Leases: until when the worker may believe that its inboxes are its own, by its own monotonic clock.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::plan::Plan;
use super::shared::Shared;
use crate::storage::{Claimed, Storage, StorageError, Wish};

pub(crate) fn wish(plan: &Plan) -> Wish {
    Wish {
        inbox: plan.name(),
        logs: plan.logs.iter().map(|(log, _)| log.clone()).collect(),
        start: plan.descriptor.settings().start,
    }
}

/// The leases held, each with the time until which its lane may start handlers.
#[derive(Default)]
pub(crate) struct Leases {
    held: HashMap<String, (i64, watch::Sender<Instant>)>,
}

impl Leases {
    pub(crate) fn holds(&self, inbox: &str) -> bool {
        self.held.contains_key(inbox)
    }

    /// Claims the plans that are not held yet and that `wanted` agrees to; gives those claimed, with their lanes' leases.
    pub(crate) async fn claim<S: Storage>(
        &mut self,
        shared: &Shared<S>,
        wanted: impl Fn(&Plan) -> bool,
    ) -> Result<Vec<(Arc<Plan>, Claimed, watch::Receiver<Instant>)>, StorageError> {
        let plans: Vec<_> = shared.plans.iter().filter(|plan| !self.holds(plan.name()) && wanted(plan)).collect();
        if plans.is_empty() {
            return Ok(Vec::new());
        }
        let wishes: Vec<_> = plans.iter().map(|plan| wish(plan)).collect();
        // Cursors that somebody deleted, to have an inbox begin anew, are made again; mostly this only looks.
        shared.storage.place(&wishes).await?;
        // Read before the database is asked: the lease it grants begins later than this.
        let asked = Instant::now();
        let claimed = shared.storage.claim(&shared.owner, shared.options.lease, &wishes, shared.clock.now()).await?;
        let mut lanes = Vec::new();
        for claimed in claimed {
            if let Some(&plan) = plans.iter().find(|plan| plan.name() == claimed.inbox) {
                let (sender, receiver) = watch::channel(asked + shared.options.lease);
                self.held.insert(claimed.inbox.clone(), (claimed.epoch, sender));
                lanes.push((plan.clone(), claimed, receiver));
            }
        }
        for plan in plans.iter().filter(|plan| !self.holds(plan.name())) {
            shared.vitals.held_elsewhere(plan.name());
        }
        Ok(lanes)
    }

    /// Prolongs every lease held; gives the names of those that are lost.
    pub(crate) async fn renew<S: Storage>(&mut self, shared: &Shared<S>) -> Result<Vec<String>, StorageError> {
        if self.held.is_empty() {
            return Ok(Vec::new());
        }
        let held: Vec<_> = self.held.iter().map(|(inbox, (epoch, _))| (inbox.clone(), *epoch)).collect();
        let asked = Instant::now();
        let still = shared.storage.renew(&shared.owner, shared.options.lease, &held).await?;
        let mut lost = Vec::new();
        self.held.retain(|inbox, (_, lease)| {
            if still.contains(inbox) {
                lease.send_replace(asked + shared.options.lease);
                true
            } else {
                lost.push(inbox.clone());
                false
            }
        });
        Ok(lost)
    }

    /// Forgets a lease: its lane has ended.
    pub(crate) fn forget(&mut self, inbox: &str) {
        self.held.remove(inbox);
    }
}
