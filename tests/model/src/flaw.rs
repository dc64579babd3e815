//! The wrong variants of the protocol.

/// One wrong step. The model with any of these must be found wrong: that shows that it could find a fault of the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A cursor on bare ids: what is missing below a visible id counts as dead at once.
    BareId,
    /// The holders are listed before the hole is seen, and not anew after it.
    ListBeforeSeen,
    /// An id whose recorders are gone is settled without one more read.
    SettleWithoutRead,
    /// Only recorders below the newest completed transaction, as seen with the hole, are waited for: `pg_snapshot_xmin` has to
    /// pass the `pg_snapshot_xmax` of that time.
    XminPassesXmax,
    /// A session draws ids that it cached earlier, before its transaction takes the lock.
    SequenceCache,
    /// A commit lets go of its lock before it is visible. No database does; the proof rests on it.
    UnlockFirst,
    /// The worker reads what is not committed: READ UNCOMMITTED.
    DirtyReads,
    /// A page that was read without the missing ids is used, though one of their recorders left since.
    PageUnchecked,
    /// Such a page is used as long as the recorders' locks are held, or their slots taken.
    StillByLock,
    /// The save is fenced by the epoch alone, and repeated from memory when its acknowledgement is lost.
    EpochOnly,
    /// Fenced as it should be, but after an error the lane goes on with what it has in memory.
    NoReload,
    /// The cursor is loaded first, the epoch raised after it.
    LoadThenBump,
    /// The effects are committed before the cursor, in a transaction of their own.
    EffectsApart,
    /// What is in flight is left out of the save, as if it were done.
    InFlightLeftOut,
    /// What may have been started before a takeover is started like any other event.
    SuspectsAsOthers,
    /// The ceiling is raised in memory, and saved some time later.
    CeilingLater,
}
