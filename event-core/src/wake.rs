//! Waking: tells every dispatcher of this process in which log something was recorded. Only ever a hint; polling lies underneath.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::names::LogName;

static RECEIVERS: Mutex<Vec<Weak<News>>> = Mutex::new(Vec::new());

tokio::task_local! {
    static RECORDED: Recorded;
}

/// Something was recorded in some log, or has to be looked for: every dispatcher of this process looks at once at all of its logs, and
/// then polls quickly for a while.
pub fn recorded() {
    tell(&|news| news.is_everything = true);
}

/// Something was recorded in this log, and is visible now or will be soon: every dispatcher of this process looks there at once, and
/// then polls quickly for a while.
///
/// Where the task runs in [`Recorded::collect`], the log is also noted there, for the time of the commit.
pub fn recorded_in(log: impl Into<LogName>) {
    let log = log.into();
    let _ = RECORDED.try_with(|recorded| recorded.note(&log));
    tell(&|news| news.note(&log));
}

fn tell(change: &dyn Fn(&mut What)) {
    let mut receivers = locked(&RECEIVERS);
    receivers.retain(|receiver| match receiver.upgrade() {
        Some(news) => {
            news.tell(change);
            true
        }
        None => false,
    });
}

/// The logs in which a transaction recorded, so that its commit wakes those who read them. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Recorded(Arc<Mutex<BTreeSet<LogName>>>);

impl Recorded {
    /// Nothing so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs what records in the transaction. What other tasks record for it is not noted: polling finds that.
    pub fn collect<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        RECORDED.scope(self.clone(), work)
    }

    /// The transaction was committed: wakes those who read its logs.
    pub fn committed(&self) {
        for log in std::mem::take(&mut *locked(&self.0)) {
            recorded_in(log);
        }
    }

    /// The transaction was rolled back, and another one may follow.
    pub fn forget(&self) {
        locked(&self.0).clear();
    }

    fn note(&self, log: &LogName) {
        let mut logs = locked(&self.0);
        if !logs.contains(log) {
            logs.insert(log.clone());
        }
    }
}

/// What somebody was told and has not asked for yet.
#[derive(Debug, Default)]
pub(crate) struct News {
    what: Mutex<What>,
    notify: Notify,
}

/// Where something was recorded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct What {
    pub(crate) is_everything: bool,
    pub(crate) logs: BTreeSet<LogName>,
}

impl What {
    /// Something in this log.
    pub(crate) fn note(&mut self, log: &LogName) {
        if !self.logs.contains(log) {
            self.logs.insert(log.clone());
        }
    }
}

impl News {
    pub(crate) fn tell(&self, change: &dyn Fn(&mut What)) {
        change(&mut locked(&self.what));
        self.notify.notify_one();
    }

    /// Waits for something, and takes all there is. Nothing is lost if this is dropped meanwhile.
    pub(crate) async fn next(&self) -> What {
        loop {
            let what = std::mem::take(&mut *locked(&self.what));
            if what != What::default() {
                return what;
            }
            self.notify.notified().await;
        }
    }
}

/// What is recorded in this process from now on.
pub(crate) fn subscribe() -> Arc<News> {
    let news = Arc::new(News::default());
    locked(&RECEIVERS).push(Arc::downgrade(&news));
    news
}

/// Nothing panics while one of these is locked.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_logs(what: &What) -> Vec<&str> {
        what.logs.iter().map(LogName::as_str).filter(|log| log.starts_with("wake_test")).collect()
    }

    // One test: others of this process would hear of it, too.
    #[tokio::test]
    async fn a_commit_tells_of_the_logs_that_were_recorded_in() {
        let news = subscribe();
        recorded_in("wake_test_1");
        assert_eq!(in_logs(&news.next().await), ["wake_test_1"], "at once");

        let (outer, inner) = (Recorded::new(), Recorded::new());
        let work = outer.collect(async {
            recorded_in("wake_test_2");
            inner.collect(async { recorded_in("wake_test_3") }).await;
        });
        work.await;
        assert_eq!(in_logs(&news.next().await), ["wake_test_2", "wake_test_3"]);
        inner.committed();
        assert_eq!(in_logs(&news.next().await), ["wake_test_3"]);
        outer.committed();
        assert_eq!(in_logs(&news.next().await), ["wake_test_2"]);
        // Each is told of once.
        outer.committed();
        outer.collect(async { recorded_in("wake_test_4") }).await;
        outer.forget();
        outer.committed();
        assert_eq!(in_logs(&news.next().await), ["wake_test_4"], "as it was recorded, and never again");
        recorded();
        let what = news.next().await;
        assert!(what.is_everything && in_logs(&what).is_empty());
    }
}
