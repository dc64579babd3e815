//! Waking the dispatcher of this process: after a recording, and after a commit.

/// Something was recorded on a connection; it may not be committed yet.
pub(crate) fn hint() {}

/// A transaction begun by [`transact`](crate::Transact::transact) was committed.
pub(crate) fn committed() {}
