//! The test kit: one inbox on one event, everything due to its end, a clock that moves when told, and assertions on what was
//! recorded.
//!
//! It works over any storage; [`TestKit::in_memory`] needs no database.

mod assertions;
mod kit;
mod processed;

pub use kit::{KitError, TestKit};
pub use processed::{KitEvent, Processed};
