//! The numbers that events are known by, independently of their ids.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// An answer's number is its question's and this.
pub(crate) const ECHOED: i64 = 1_000_000_000_000_000;
pub(crate) const RELAYED: i64 = 2_000_000_000_000_000;

/// How many numbers a recorder process has.
const BLOCK: i64 = 100_000_000;

/// A recorder's numbers; no two recorders of a run have the same block.
pub(crate) struct Numbers(AtomicI64);

impl Numbers {
    pub(crate) fn new(block: u32) -> Self {
        Self(AtomicI64::new(i64::from(block) * BLOCK + 1))
    }

    pub(crate) fn next(&self) -> i64 {
        self.0.fetch_add(1, Relaxed)
    }
}

/// Dice that fall the same way for the same number: what a handler has in mind for an event, whoever delivers it.
pub(crate) fn dice(number: i64, salt: u64) -> fastrand::Rng {
    fastrand::Rng::with_seed((number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt)
}
