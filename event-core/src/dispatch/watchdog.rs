//! The watchdog: finds handlers that block their thread. Such a handler can't be stopped, only reported.
//!
//! A time-out acts at an await, and a handler that blocks never comes to one. So a thread of its own looks, now and then,
//! how long each poll of a handler has been running. The polls read no clock: the watchdog's own ticks serve.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::names::EventRef;

pub(crate) const TICK: Duration = Duration::from_millis(100);

/// One place where handlers are polled.
pub(crate) struct Slot {
    kennel: Arc<Kennel>,
    inbox: &'static str,
    event: Mutex<Option<EventRef>>,
    /// The tick in which the poll under way began; 0 while there is none.
    since: AtomicU64,
    reported: AtomicBool,
}

/// What the watchdog tells of a handler that blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Blocked {
    /// The inbox.
    pub inbox: &'static str,
    /// The event it is at.
    pub event: Option<EventRef>,
    /// For how long by now, to a tenth of a second.
    pub blocked_for: Duration,
}

struct Kennel {
    /// Counted by the thread; 0 where there is none.
    tick: AtomicU64,
    stopped: AtomicBool,
    slots: Mutex<Vec<Weak<Slot>>>,
}

/// The watching thread; it ends with this value.
pub(crate) struct Watchdog {
    kennel: Arc<Kennel>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts watching; each poll longer than `threshold` is reported once. Without a thread to be had nothing is reported.
    pub(crate) fn start(threshold: Duration, report: impl Fn(Blocked) + Send + 'static) -> Self {
        let kennel =
            Arc::new(Kennel { tick: AtomicU64::new(1), stopped: AtomicBool::new(false), slots: Mutex::default() });
        let watched = kennel.clone();
        let thread = std::thread::Builder::new().name("event-watchdog".to_owned()).spawn(move || {
            while !watched.stopped.load(Relaxed) {
                std::thread::park_timeout(TICK);
                let tick = watched.tick.fetch_add(1, Relaxed) + 1;
                watched.look(tick, threshold, &report);
            }
        });
        if thread.is_err() {
            kennel.tick.store(0, Relaxed);
        }
        Self { kennel, thread: thread.ok() }
    }

    /// A place to poll handlers of `inbox` in.
    pub(crate) fn slot(&self, inbox: &'static str) -> Arc<Slot> {
        let slot = Arc::new(Slot {
            kennel: self.kennel.clone(),
            inbox,
            event: Mutex::default(),
            since: AtomicU64::new(0),
            reported: AtomicBool::new(false),
        });
        let mut slots = self.kennel.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.push(Arc::downgrade(&slot));
        slot
    }
}

impl Slot {
    /// What changes with every [`TICK`]; `None` where nobody counts them.
    pub(crate) fn tick(&self) -> Option<u64> {
        Some(self.kennel.tick.load(Relaxed)).filter(|&tick| tick != 0)
    }

    /// The future, each of its polls watched here.
    pub(crate) fn watch<F: Future + Unpin>(self: Arc<Self>, event: EventRef, future: F) -> Watched<F> {
        *self.event.lock().unwrap_or_else(PoisonError::into_inner) = Some(event);
        Watched { slot: self, future }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.kennel.stopped.store(true, Relaxed);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Kennel {
    fn look(&self, tick: u64, threshold: Duration, report: &impl Fn(Blocked)) {
        // Not held while reporting: every lane needs it to start a handler.
        let watched: Vec<_> = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.retain(|slot| slot.strong_count() > 0);
            slots.iter().filter_map(Weak::upgrade).collect()
        };
        for slot in watched {
            let since = slot.since.load(Relaxed);
            let ticks = u32::try_from(tick.saturating_sub(since)).unwrap_or(u32::MAX);
            if since != 0 && TICK * ticks > threshold && !slot.reported.swap(true, Relaxed) {
                let event = slot.event.lock().unwrap_or_else(PoisonError::into_inner).clone();
                report(Blocked { inbox: slot.inbox, event, blocked_for: TICK * ticks });
            }
        }
    }
}

/// A future whose polls are watched.
pub(crate) struct Watched<F> {
    slot: Arc<Slot>,
    future: F,
}

impl<F: Future + Unpin> Future for Watched<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let tick = self.slot.kennel.tick.load(Relaxed);
        self.slot.reported.store(false, Relaxed);
        self.slot.since.store(tick, Relaxed);
        let polled = Pin::new(&mut self.future).poll(context);
        self.slot.since.store(0, Relaxed);
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_that_blocks_is_reported_once() {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let seen = reports.clone();
        let watchdog = Watchdog::start(Duration::from_millis(150), move |blocked| seen.lock().unwrap().push(blocked));
        let slot = watchdog.slot("mailer");
        let seen = reports.clone();
        let mut blocking = slot.watch(
            EventRef::new("events", 7),
            Box::pin(async move {
                // Until the report arrives: no time is assumed.
                while seen.lock().unwrap().is_empty() {
                    std::thread::yield_now();
                }
            }),
        );
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut blocking).poll(&mut context).is_ready());
        let reports = reports.lock().unwrap();
        assert_eq!(reports.len(), 1);
        assert_eq!((reports[0].inbox, reports[0].event.clone()), ("mailer", Some(EventRef::new("events", 7))));
    }
}
