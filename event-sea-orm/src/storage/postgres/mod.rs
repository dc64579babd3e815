//! PostgreSQL: connections set up as exactness needs them, the listing of recorders, and the check of its preconditions.

mod check;
mod connect;
mod listen;
mod look;

pub(super) use check::check;
pub(super) use connect::{Looker, connect};
pub(super) use listen::listen;
