//! How large the modelled system is.

use crate::bits::Bits;

/// The kind of the modelled inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Effects are written in the transaction that saves the cursor: exactly once.
    Transactional,
    /// Effects happen elsewhere, while the handler runs: at least once.
    Plain,
}

/// By what a missing id is proved dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// PostgreSQL: who holds the lock on the log. Each recorder is told from every other.
    Holders,
    /// MySQL and MariaDB: which of so many slots are taken. Recorders may share one, and one is taken again by others.
    Slots(i64),
}

/// How large the modelled system is, and what may happen in it.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// How many ids the log gives out.
    pub ids: i64,
    /// How many transactions record. Each takes its lock, draws as many ids as it likes, and commits or rolls back.
    pub recorders: i64,
    /// By what a missing id is proved dead.
    pub proof: Proof,
    /// Whether they roll back to savepoints, too.
    pub savepoints: bool,
    /// Whether a subject's order is watched over. It needs a memory of what was visible when, hence more states.
    pub ordered: bool,
    /// The inbox.
    pub kind: Kind,
    /// How many events a read brings at most from above `high`.
    pub page: usize,
    /// How many events a transaction delivers at most, or a plain inbox at once.
    pub batch: usize,
    /// Events that the inbox does not take.
    pub unwanted: Bits,
    /// Events whose handlers may fail.
    pub failing: Bits,
    /// Events whose handlers kill their process, each time. Where there are any, nothing else ends a lane.
    pub deadly: Bits,
    /// After so many attempts an event is a dead letter.
    pub max_attempts: u8,
    /// How often the inbox is claimed: at first, after a crash or an error, or since its lease ran out. The last owner neither
    /// crashes nor meets an error (unless an event kills it), so that what it leaves undone is a fault of the protocol.
    pub claims: u8,
    /// How many lanes live at once, all but one of them taken over while they were stopped.
    pub lanes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            ids: 2,
            recorders: 2,
            proof: Proof::Holders,
            savepoints: false,
            ordered: false,
            kind: Kind::Transactional,
            page: 8,
            batch: 2,
            unwanted: Bits::NONE,
            failing: Bits::NONE,
            deadly: Bits::NONE,
            max_attempts: 2,
            claims: 2,
            lanes: 1,
        }
    }
}
