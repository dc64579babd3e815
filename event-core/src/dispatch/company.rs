//! Who runs beside whom in a worker: lanes deliver beside each other, but for a delivery that has to run alone in the process.
//!
//! Why: a process that dies leaves the deliveries that were under way, of every inbox. One of them may have ended it; the others are
//! innocent, and an attempt that the death cut short says nothing about them. Only of a delivery that ran alone it does.
//!
//! A lane is a member while it delivers. A lane that needs to be alone waits until no other is one; meanwhile nothing new starts
//! anywhere in the worker, and what runs goes on to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, watch};

/// The lanes of a worker that deliver.
#[derive(Default)]
pub(crate) struct Company {
    members: Arc<RwLock<()>>,
    /// How many lanes are alone, or wait for it. Asked by every lane at every event, hence beside the channel.
    wanted: AtomicUsize,
    changed: watch::Sender<usize>,
}

/// A lane that may deliver beside others.
pub(crate) type Member = OwnedRwLockReadGuard<()>;

impl Company {
    /// Joins the others; `None` while a lane is alone or waits for it.
    pub(crate) fn join(&self) -> Option<Member> {
        if self.must_leave() { None } else { self.members.clone().try_read_owned().ok() }
    }

    /// Whether a lane is alone, or waits for it: the others start nothing, and leave when nothing of theirs runs any more.
    pub(crate) fn must_leave(&self) -> bool {
        self.wanted.load(SeqCst) > 0
    }

    /// Waits until no lane is alone or wants to be.
    pub(crate) async fn may_join(&self) {
        // The sender lives as long as this does, so that waiting can't fail.
        let _ = self.changed.subscribe().wait_for(|wanted| *wanted == 0).await;
    }

    /// Waits until every other lane has left, and keeps them away. The caller has to have left itself.
    pub(crate) async fn alone(self: &Arc<Self>) -> Alone {
        self.count(1);
        // Made at once, so that a caller that gives up waiting is counted out.
        let mut alone = Alone { company: self.clone(), guard: None };
        alone.guard = Some(self.members.clone().write_owned().await);
        alone
    }

    fn count(&self, by: isize) {
        self.changed.send_modify(|wanted| {
            *wanted = wanted.saturating_add_signed(by);
            self.wanted.store(*wanted, SeqCst);
        });
    }
}

/// A lane that is alone, or waits for it.
pub(crate) struct Alone {
    company: Arc<Company>,
    guard: Option<OwnedRwLockWriteGuard<()>>,
}

impl Drop for Alone {
    fn drop(&mut self) {
        // First, so that whoever is told that it may join can.
        self.guard = None;
        self.company.count(-1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_is_alone_when_all_others_have_left() {
        let company = Arc::new(Company::default());
        let (one, other) = (company.join().unwrap(), company.join().unwrap());
        let waiting = tokio::spawn({
            let company = company.clone();
            async move { company.alone().await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(company.must_leave() && company.join().is_none(), "nothing new begins");
        drop(one);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!waiting.is_finished(), "the other is still there");
        drop(other);
        let alone = waiting.await.unwrap();
        assert!(company.join().is_none());
        let joins = tokio::spawn({
            let company = company.clone();
            async move {
                company.may_join().await;
                company.join().is_some()
            }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!joins.is_finished());
        drop(alone);
        assert!(joins.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_gives_up_waiting_keeps_nobody_away() {
        let company = Arc::new(Company::default());
        let member = company.join();
        let gave_up = tokio::time::timeout(Duration::from_secs(1), company.alone()).await;
        assert!(gave_up.is_err());
        assert!(!company.must_leave() && company.join().is_some());
        drop(member);
        drop(company.alone().await);
        assert!(company.join().is_some());
    }
}
