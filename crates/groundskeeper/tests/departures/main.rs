//! Nodes leave a real control plane: with a scheduler, controllers and nodes whose pods start and end.
//!
//! One operator runs for all tests; each has nodes of its own, told apart by a label.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod blockers;
mod defects;
mod drains;
mod dry_run;
mod endings;
mod guard;
mod maintenances;
mod path;
mod races;
#[path = "../support/mod.rs"]
mod support;
mod target;
mod turns;
mod users;
mod wrong;
mod yard;
