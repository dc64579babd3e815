//! When acknowledgements get lost in a worker's storage, and which wrong variant it is.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::options::Wrong;

pub(super) struct Faults {
    pub(super) wrong: Option<Wrong>,
    lease: Duration,
    /// Seconds between two lost acknowledgements, at least and at most; `None` if none gets lost.
    pace: Option<(f64, f64)>,
    next: Mutex<(Rng, Instant)>,
}

impl Faults {
    pub(super) fn new(seed: u64, some: bool, lease: Duration, wrong: Option<Wrong>) -> Self {
        let pace = match wrong {
            Some(Wrong::EpochOnly) => Some((0.2, 2.0)),
            _ => some.then_some((1.0, 8.0)),
        };
        let faults = Self { wrong, lease, pace, next: Mutex::new((Rng::with_seed(seed), Instant::now())) };
        // The first one is not due at once.
        faults.loses();
        faults
    }

    /// Whether the acknowledgement of what was just done gets lost.
    pub(super) fn loses(&self) -> bool {
        let Some((least, most)) = self.pace else { return false };
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let due = next.1 <= now;
        if due {
            next.1 = now + Duration::from_secs_f64(least + next.0.f64() * (most - least));
        }
        due
    }

    /// Heads or tails.
    pub(super) fn toss(&self) -> bool {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).0.bool()
    }

    /// How long a claim by load-then-bump stands between the two: longer than a lease sometimes.
    pub(super) fn between(&self) -> Duration {
        self.lease.mul_f64(self.next.lock().unwrap_or_else(PoisonError::into_inner).0.f64() * 1.2)
    }
}
