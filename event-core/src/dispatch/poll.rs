//! When the lanes look for something new: at once when something was recorded in this process or another one said so, and by
//! polling underneath, fast after something happened and slower and slower while nothing does.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::shared::Shared;
use crate::names::LogName;
use crate::storage::{Heard, Hearing, Storage};
use crate::wake;

/// Polls that found nothing, one after another, after which the worker calls itself idle.
const IDLE_AFTER: u32 = 3;
/// Polls that found something, one after another, after which it no longer does: one event now and then is worth no saying
/// so to every recorder and back.
const BUSY_AFTER: u32 = 20;
/// How much rarer an idle worker polls that is told of everything.
const TOLD: u32 = 5;

/// Starts polling, and listening where the storage has something to listen to.
pub(crate) fn start<S: Storage>(shared: &Arc<Shared<S>>, tasks: &mut JoinSet<()>) {
    let (ears, heard) = Heard::channel();
    let listener = shared.clone();
    tasks.spawn(async move {
        let mut logs: Vec<_> = listener.tails.keys().cloned().collect();
        logs.sort();
        listener.storage.listen(&listener.owner, &logs, ears).await;
    });
    tasks.spawn(poll(shared.clone(), heard));
}

async fn poll<S: Storage>(shared: Arc<Shared<S>>, mut heard: Heard) {
    let recorded = wake::subscribe();
    let mut pace = Pace::new(shared.options.poll_min, shared.options.poll_max);
    let mut newest = Newest::of(&shared);
    let mut next = Instant::now();
    loop {
        let told = tokio::select! {
            what = recorded.next() => Some(what),
            what = heard.recorded.next() => Some(what),
            () = tokio::time::sleep_until(next) => None,
        };
        // What the reads since the last look found. Each is asked, since asking resets it.
        let busy = shared.tails.values().filter(|tail| tail.was_busy()).count() > 0;
        if busy || told.is_none() {
            pace.polled(busy);
        }
        if told.is_some() {
            pace.hurry();
        }
        heard.idle.send_if_modified(|idle| {
            let news = *idle != pace.is_idle();
            *idle = pace.is_idle();
            news
        });
        let is_poll = told.is_none();
        match told {
            Some(what) => shared.bump_some(&what),
            None => newest.look(&shared).await,
        }
        let pause = Instant::now() + pace.pause(*heard.hearing.borrow_and_update());
        // What is told of one log again and again must not keep the others from being polled.
        next = if is_poll { pause } else { pause.min(next) };
    }
}

/// The highest visible id of each log, as the last poll found it: where several logs are read, one question tells which of them
/// have something new, in place of a read of each.
///
/// Why that is enough: a lane waits at the end of a log, its page not full. What it has not seen and is visible now is either below its
/// cursor's `high`, and then the cursor has a hole, and such logs are looked at at every poll. Or it is above; then the highest visible
/// id has changed since the page was read, the first poll that sees the change bumps, and it does so after it has seen it.
struct Newest {
    logs: Vec<LogName>,
    known: Option<Vec<i64>>,
}

impl Newest {
    fn of<S: Storage>(shared: &Shared<S>) -> Self {
        let mut logs: Vec<_> = shared.tails.keys().cloned().collect();
        logs.sort();
        Self { logs, known: None }
    }

    /// Wakes the lanes of the logs that may have something new.
    async fn look<S: Storage>(&mut self, shared: &Shared<S>) {
        let found = match self.logs.len() {
            // The read itself costs no more.
            0 | 1 => None,
            // An error is one that the lanes will have, too, and deal with.
            _ => shared.storage.newest_visible(&self.logs).await.ok().flatten(),
        };
        let Some(found) = found.filter(|found| found.len() == self.logs.len()) else {
            self.known = None;
            return shared.bump();
        };
        let known = self.known.replace(found.clone());
        for (nth, tail) in self.logs.iter().enumerate().filter_map(|(nth, log)| Some((nth, shared.tails.get(log)?))) {
            if tail.has_holes() || known.as_ref().is_none_or(|known| known[nth] != found[nth]) {
                tail.bump();
            }
        }
    }
}

/// How fast to poll, by what the last polls found.
struct Pace {
    least: Duration,
    most: Duration,
    pause: Duration,
    /// Polls that found nothing, and such that found something, one after another.
    empty: u32,
    busy: u32,
    idle: bool,
}

impl Pace {
    fn new(least: Duration, most: Duration) -> Self {
        Self { least, most, pause: least, empty: 0, busy: 0, idle: false }
    }

    /// Something was recorded; it may not be committed yet.
    fn hurry(&mut self) {
        self.pause = self.least;
        self.empty = 0;
    }

    fn polled(&mut self, busy: bool) {
        if busy {
            self.pause = self.least;
            self.empty = 0;
            self.busy = self.busy.saturating_add(1);
        } else {
            self.pause = (self.pause * 2).min(self.most * TOLD);
            self.empty = self.empty.saturating_add(1);
            self.busy = 0;
        }
        self.idle = match self.idle {
            true => self.busy < BUSY_AFTER,
            false => self.empty >= IDLE_AFTER,
        };
    }

    fn is_idle(&self) -> bool {
        self.idle
    }

    fn pause(&self, hearing: Hearing) -> Duration {
        match hearing {
            Hearing::All => self.pause,
            Hearing::Nothing => self.pause.min(self.most),
            // Whoever records just now may have looked before it could see that this worker sleeps.
            Hearing::Soon => self.pause.min(self.least * 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_millis(20);
    const MOST: Duration = Duration::from_secs(1);

    #[test]
    fn it_slows_down_while_nothing_happens_and_most_where_it_is_told() {
        let mut pace = Pace::new(LEAST, MOST);
        for _ in 0..20 {
            pace.polled(false);
        }
        assert!(pace.is_idle());
        assert_eq!(pace.pause(Hearing::All), MOST * TOLD);
        assert_eq!(pace.pause(Hearing::Nothing), MOST);
        assert_eq!(pace.pause(Hearing::Soon), LEAST * 2);
        pace.hurry();
        assert_eq!(pace.pause(Hearing::All), LEAST);
    }

    #[test]
    fn one_event_now_and_then_leaves_it_idle_and_many_do_not() {
        let mut pace = Pace::new(LEAST, MOST);
        for _ in 0..IDLE_AFTER {
            pace.polled(false);
        }
        pace.polled(true);
        assert!(pace.is_idle());
        for _ in 0..BUSY_AFTER {
            pace.polled(true);
        }
        assert!(!pace.is_idle());
    }
}
