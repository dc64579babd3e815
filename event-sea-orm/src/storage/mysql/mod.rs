//! MySQL and MariaDB: connections set up as exactness needs them, the look at the slots, and the check of its preconditions.

mod check;
mod connect;
mod look;

pub(super) use check::check;
pub(super) use connect::connect;
