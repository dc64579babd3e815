//! The lanes that move through a log's backlog together, so that each page is read once for all of them.
//!
//! Pages are kept for who comes a little later, but not for ever: a lane that fell behind the last one kept would read, parse and
//! decode everything for itself, be slower for that, and never come back. So before a page that one of them still needs is let
//! go, the first of them waits a moment for the last. Who takes longer than that moment is slow by itself (a handler that waits,
//! a pause), and is waited for no more until it has caught up.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::vitals::locked;

/// How long is waited for those behind.
const MOMENT: Duration = Duration::from_millis(250);

/// Nobody waits for a lane that is here.
const ALONE: i64 = i64::MAX;

#[derive(Debug, Default)]
pub(crate) struct Convoy {
    places: Mutex<Vec<Weak<AtomicI64>>>,
    moved: Notify,
}

/// Where a lane is: the id that its page starts after.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicI64>);

impl Convoy {
    /// A place for a lane; at first nobody waits for it.
    pub(crate) fn place(&self) -> Place {
        let place = Arc::new(AtomicI64::new(ALONE));
        let mut places = locked(&self.places);
        places.retain(|place| place.strong_count() > 0);
        places.push(Arc::downgrade(&place));
        Place(place)
    }

    /// The lane takes the shared page that starts after `after`.
    pub(crate) fn moves(&self, place: &Place, after: i64) {
        place.0.store(after, Relaxed);
        self.moved.notify_waiters();
    }

    /// The lane reads for itself.
    pub(crate) fn leaves(&self, place: &Place) {
        self.moves(place, ALONE);
    }

    /// Waits until nobody is before `start`, but for a moment only.
    pub(crate) async fn gather(&self, start: i64) {
        let enough = Instant::now() + MOMENT;
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            moved.as_mut().enable();
            if self.before(start).is_empty() {
                return;
            }
            if tokio::time::timeout_at(enough, moved).await.is_err() {
                return self.before(start).iter().for_each(|place| place.store(ALONE, Relaxed));
            }
        }
    }

    fn before(&self, start: i64) -> Vec<Arc<AtomicI64>> {
        let places = locked(&self.places);
        places.iter().filter_map(Weak::upgrade).filter(|place| place.load(Relaxed) < start).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_is_behind_is_waited_for_until_he_moves() {
        let convoy = Arc::new(Convoy::default());
        let (first, last) = (convoy.place(), convoy.place());
        convoy.moves(&first, 9);
        convoy.moves(&last, 3);
        let gathered = tokio::spawn({
            let convoy = convoy.clone();
            async move { convoy.gather(5).await }
        });
        tokio::time::sleep(MOMENT / 2).await;
        assert!(!gathered.is_finished());
        let moved = Instant::now();
        convoy.moves(&last, 5);
        gathered.await.unwrap();
        assert_eq!(moved.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_too_slow_is_waited_for_once() {
        let convoy = Convoy::default();
        let slow = convoy.place();
        convoy.moves(&slow, 3);
        let begun = Instant::now();
        convoy.gather(5).await;
        assert_eq!(begun.elapsed(), MOMENT);
        convoy.gather(7).await;
        assert_eq!(begun.elapsed(), MOMENT);
        // It caught up.
        convoy.moves(&slow, 7);
        convoy.gather(9).await;
        assert_eq!(begun.elapsed(), MOMENT * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_who_reads_alone_or_is_gone() {
        let convoy = Convoy::default();
        let (alone, gone) = (convoy.place(), convoy.place());
        convoy.moves(&alone, 3);
        convoy.moves(&gone, 3);
        convoy.leaves(&alone);
        drop(gone);
        let begun = Instant::now();
        convoy.gather(5).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
