//! Waking the dispatcher of this process: after a recording, and after a commit.

/// Something was recorded on a connection; it may not be committed yet. The dispatcher looks at once and polls quickly for a
/// while, so that a transaction of the user's own is noticed soon after its commit.
pub(crate) fn hint() {
    event_core::wake::recorded();
}

/// A transaction begun by [`transact`](crate::Transact::transact) was committed.
pub(crate) fn committed() {
    event_core::wake::recorded();
}
