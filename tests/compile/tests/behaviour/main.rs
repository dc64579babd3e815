//! What the macros' output does at run time.
#![allow(clippy::unwrap_used)]

mod actions;
mod inboxes;
mod metadata;
mod model;
mod registry;
mod schemas;
mod summaries;
