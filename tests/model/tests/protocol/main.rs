//! The model checked: the protocol as it is holds, and every wrong variant is found.
//!
//! `cargo test -p model -- --nocapture` prints how many states there are. `MODEL_LARGE=1` widens the bounds of the exhaustive
//! runs: minutes instead of seconds.

mod exact;
mod flaws;
mod runs;
