//! What the tests share: events, what handlers saw, and a storage with faults.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod faulty;
pub mod model;
pub mod seen;
pub mod veil;
