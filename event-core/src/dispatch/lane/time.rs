//! The time, for what is asked at every event: a look at the clock each time took a twelfth of what a lane does for handlers that do
//! nothing.

use std::time::Duration;

use tokio::time::Instant;

use crate::dispatch::watchdog::{Slot, TICK};

/// How often the time is given before the clock is looked at again.
const GIVEN: u8 = 16;

/// The time when the clock was looked at last. It is looked at again after anything that was waited for, and while handlers hold the
/// thread at the watchdog's next tick: so it is never older than [`Self::AGE`], as long as there is a watchdog.
pub(super) struct RecentTime {
    at: Instant,
    tick: u64,
    left: u8,
}

impl RecentTime {
    /// How long ago the clock was looked at, at most: a tick that has just begun, and one that is late.
    pub(super) const AGE: Duration = TICK.saturating_mul(2);

    pub(super) fn new() -> Self {
        Self { at: Instant::now(), tick: 0, left: 0 }
    }

    pub(super) fn get(&mut self, slot: &Slot) -> Instant {
        let tick = slot.tick();
        // Without ticks nobody would notice a handler that holds the thread.
        if self.left == 0 || tick.is_none_or(|tick| tick != self.tick) {
            *self = Self { at: Instant::now(), tick: tick.unwrap_or_default(), left: GIVEN };
        }
        self.left -= 1;
        self.at
    }

    /// Something was waited for.
    pub(super) fn passed(&mut self) {
        self.left = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::watchdog::Watchdog;

    #[tokio::test(start_paused = true)]
    async fn the_clock_is_looked_at_now_and_then_and_after_every_wait() {
        let watchdog = Watchdog::start(Duration::MAX, |_| {});
        let slot = watchdog.slot("mailer");
        let mut time = RecentTime::new();
        let first = time.get(&slot);
        tokio::time::advance(Duration::from_secs(1)).await;
        let later: Vec<_> = (0..usize::from(GIVEN)).map(|_| time.get(&slot)).collect();
        assert_eq!(later.last(), Some(&(first + Duration::from_secs(1))), "after so many it is looked at anew");
        tokio::time::advance(Duration::from_secs(1)).await;
        time.passed();
        assert_eq!(time.get(&slot), first + Duration::from_secs(2));
    }

    #[tokio::test]
    async fn a_handler_that_holds_the_thread_is_noticed() {
        let watchdog = Watchdog::start(Duration::MAX, |_| {});
        let slot = watchdog.slot("mailer");
        let mut time = RecentTime::new();
        let (first, tick) = (time.get(&slot), slot.tick());
        while slot.tick() == tick {
            std::thread::yield_now();
        }
        assert!(time.get(&slot) > first);
    }
}
