//! The running dispatcher: claims inboxes, keeps a lane for each, renews leases, starts lanes anew after errors, stops.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::health::{Reloading, Trouble};
use super::lane::{Lane, Orders, lost_task};
use super::leases::Leases;
use super::poll;
use super::shared::Shared;
use super::verdict::later;
use crate::storage::{Storage, StorageError, StorageErrorKind};

const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long what the supervisor has asked of the database may go on after a shutdown began: a claim that was granted and is not
/// given up keeps other workers waiting for a lease.
const LAST_ANSWER: Duration = Duration::from_millis(500);

/// Waits for what the database was asked when the shutdown began. Without an answer it is given up; a lease that it may have
/// brought ends by itself.
pub(super) async fn last_answer(asked: impl Future<Output = Result<(), StorageError>>) -> Result<(), StorageError> {
    tokio::time::timeout(LAST_ANSWER, asked).await.unwrap_or(Ok(()))
}

/// What lanes have beyond the shutdown's time-out, for their last saves: as long again, within these bounds.
fn last_saves(shutdown_timeout: Duration) -> Duration {
    shutdown_timeout.clamp(Duration::from_secs(1), Duration::from_secs(5))
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A lane's end, by its inbox.
type Ended = (String, Result<(), StorageError>);

struct RunningLane {
    task: AbortHandle,
    due: watch::Sender<Option<DateTime<Utc>>>,
}

/// An inbox that failed: not claimed before `until`, longer each time.
struct Pause {
    /// When the first of the errors came that followed each other closely.
    since: DateTime<Utc>,
    until: Instant,
    length: Duration,
}

struct Supervisor<S: Storage> {
    shared: Arc<Shared<S>>,
    leases: Leases,
    lanes: HashMap<String, RunningLane>,
    tasks: JoinSet<Ended>,
    pauses: HashMap<String, Pause>,
    stop: watch::Sender<bool>,
    /// The last error of claiming or renewing, so that it is told once and not every second.
    told: Option<StorageErrorKind>,
}

/// Runs until `shutdown` is ready, then ends orderly.
pub(crate) async fn run<S: Storage>(
    shared: Arc<Shared<S>>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), StorageError> {
    let mut supervisor = Supervisor {
        shared: shared.clone(),
        leases: Leases::default(),
        lanes: HashMap::new(),
        tasks: JoinSet::new(),
        pauses: HashMap::new(),
        stop: watch::Sender::new(false),
        told: None,
    };
    shared.forget_pages().await;
    // In a set, so that they end with this future, also when that is dropped.
    let mut pollers = JoinSet::new();
    poll::start(&shared, &mut pollers);
    let ended = supervisor.supervise(shutdown).await;
    let stopped = supervisor.stop().await;
    ended.and(stopped)
}

impl<S: Storage> Supervisor<S> {
    /// Works until `shutdown` is ready, also while the database does not answer.
    async fn supervise(&mut self, shutdown: impl Future<Output = ()>) -> Result<(), StorageError> {
        let (stop, stopped) = oneshot::channel::<()>();
        let mut work = std::pin::pin!(self.work(stopped));
        tokio::select! {
            ended = &mut work => ended,
            () = shutdown => {
                drop(stop);
                last_answer(work).await
            }
        }
    }

    /// Works until `stopped` is ready, which is looked at between two questions to the database.
    async fn work(&mut self, mut stopped: oneshot::Receiver<()>) -> Result<(), StorageError> {
        // The first claim is not retried: a database that is not there or not migrated at the start is told at once.
        self.claim().await?;
        self.shared.vitals.answered(Ok(()), self.shared.clock.now());
        loop {
            let all_held = self.shared.plans.iter().all(|plan| self.leases.holds(plan.name()));
            let third = self.shared.options.lease / 3;
            let pause = if all_held { third } else { third.min(Duration::from_secs(1)) };
            let now = Instant::now();
            // Only of pauses to come: one that is over has been acted on, and stays known for the length of the next.
            let next_end = self.pauses.values().map(|pause| pause.until).filter(|&end| end > now).min();
            let wake_at = next_end.map_or(now + pause, |end| end.min(now + pause));
            tokio::select! {
                _ = &mut stopped => return Ok(()),
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok((inbox, result)) => self.lane_ended(inbox, result).await?,
                    Err(error) => {
                        // One that was aborted, its lease lost, is no longer among the lanes; this one panicked (a handler's
                        // destructor, say).
                        let lost = self.lanes.iter().find(|(_, lane)| lane.task.id() == error.id());
                        if let Some(inbox) = lost.map(|(inbox, _)| inbox.clone()) {
                            let error = lost_task(&inbox, error);
                            self.lane_ended(inbox, Err(error)).await?;
                        }
                    }
                },
                () = tokio::time::sleep_until(wake_at) => {
                    self.shared.vitals.asks(self.shared.clock.now());
                    let kept = self.keep().await;
                    self.shared.vitals.answered(kept.as_ref().copied(), self.shared.clock.now());
                    self.tell(kept)?;
                }
            }
        }
    }

    /// What has to be done again and again: renew, claim, and look when failure rows are due.
    async fn keep(&mut self) -> Result<(), StorageError> {
        for inbox in self.leases.renew(&self.shared).await? {
            tracing::warn!(inbox, "lease lost: another worker has the inbox");
            self.shared.vitals.held_elsewhere(&inbox);
            if let Some(lane) = self.lanes.remove(&inbox) {
                lane.task.abort();
            }
        }
        self.claim().await?;
        for log in self.shared.tails.keys() {
            let newest = self.shared.storage.newest(log).await?;
            self.shared.vitals.knows_newest(log, newest);
            let foreign = self.shared.storage.foreign_id(log).await?;
            if self.shared.vitals.knows_foreign_id(log, foreign)
                && let Some(id) = foreign
            {
                tracing::error!(
                    %log, id,
                    "an event was inserted with an id that its log did not give out: it is not delivered, and recording fails once the \
                     log's ids get there; see \"Ids from elsewhere\" in docs/operations.md"
                );
            }
        }
        let names: Vec<_> = self.lanes.keys().cloned().collect();
        for (inbox, due) in self.shared.storage.next_due(&names).await? {
            if let Some(lane) = self.lanes.get(&inbox) {
                lane.due.send_if_modified(|known| {
                    let news = *known != Some(due);
                    *known = Some(due);
                    news
                });
            }
        }
        Ok(())
    }

    async fn claim(&mut self) -> Result<(), StorageError> {
        let now = Instant::now();
        let pauses = &self.pauses;
        let wanted = |plan: &super::plan::Plan| pauses.get(plan.name()).is_none_or(|pause| pause.until <= now);
        for (plan, claimed, lease) in self.leases.claim(&self.shared, wanted).await? {
            let inbox = claimed.inbox.clone();
            let (due, due_receiver) = watch::channel(None);
            let (shared, name) = (self.shared.clone(), inbox.clone());
            let orders = Orders { stop: self.stop.subscribe(), due: due_receiver };
            let task = self.tasks.spawn(async move {
                let lane = Lane::load(shared, plan, claimed, lease).await;
                let result = match lane {
                    Ok(lane) => lane.run(orders).await,
                    Err(error) => Err(error),
                };
                (name, result)
            });
            self.lanes.insert(inbox, RunningLane { task, due });
        }
        Ok(())
    }

    /// A lane ended, which before the stop is always an error: everything it knew is forgotten, and the inbox claimed anew.
    async fn lane_ended(&mut self, inbox: String, result: Result<(), StorageError>) -> Result<(), StorageError> {
        self.lanes.remove(&inbox);
        self.leases.forget(&inbox);
        let Err(error) = result else { return Ok(()) };
        if error.kind().is_fatal() {
            return Err(error);
        }
        self.shared.forget_pages().await;
        let now = self.shared.clock.now();
        // An error long after the last one begins anew.
        let before = self.pauses.get(&inbox).filter(|pause| pause.until.elapsed() <= LONGEST_PAUSE);
        let (since, length) =
            before.map_or((now, FIRST_PAUSE), |pause| (pause.since, (pause.length * 2).min(LONGEST_PAUSE)));
        tracing::warn!(inbox, error = %error, again_in = ?length, "inbox reloads after an error");
        let reloading = Reloading { trouble: Trouble::new(since, &error), again_at: later(now, length) };
        self.shared.vitals.reloads(&inbox, reloading);
        self.pauses.insert(inbox, Pause { since, until: Instant::now() + length, length });
        Ok(())
    }

    /// Tells of an error once, until it is over or another one.
    fn tell(&mut self, kept: Result<(), StorageError>) -> Result<(), StorageError> {
        match kept {
            Ok(()) => {
                if self.told.take().is_some() {
                    tracing::info!("the database answers again");
                }
                Ok(())
            }
            Err(error) if error.kind().is_fatal() => Err(error),
            Err(error) => {
                if self.told != Some(error.kind()) {
                    tracing::error!(error = %error, "the dispatcher can't reach its tables; it tries on");
                    self.told = Some(error.kind());
                }
                Ok(())
            }
        }
    }

    /// Lets every lane end what it runs, save, and give its inbox up. The leases are kept meanwhile.
    async fn stop(&mut self) -> Result<(), StorageError> {
        self.stop.send_replace(true);
        let timeout = self.shared.options.shutdown_timeout;
        let (shared, leases, tasks) = (&self.shared, &mut self.leases, &mut self.tasks);
        // Beside the lanes' ends: an answer that does not come holds up nothing.
        let renewals = async {
            let third = shared.options.lease / 3;
            let mut renewal = tokio::time::interval_at(Instant::now() + third, third);
            loop {
                renewal.tick().await;
                if let Err(error) = leases.renew(shared).await {
                    tracing::warn!(error = %error, "leases were not renewed during the shutdown");
                }
            }
        };
        let ends = async {
            let mut first_error = None;
            while let Some(ended) = tasks.join_next().await {
                if let Ok((inbox, Err(error))) = ended {
                    tracing::warn!(inbox, error = %error, "inbox did not end orderly; its work is taken up again at the next start");
                    first_error.get_or_insert(error);
                }
            }
            first_error.map_or(Ok(()), Err)
        };
        tokio::select! {
            ended = ends => return ended,
            () = renewals => {}
            () = tokio::time::sleep(timeout.saturating_add(last_saves(timeout))) => {}
        }
        // A handler that blocks its thread ends when it likes; what it was at is taken up at the next start.
        tracing::error!("inboxes did not end within the shutdown's time-out; they are given up as they are");
        self.tasks.abort_all();
        Ok(())
    }
}
