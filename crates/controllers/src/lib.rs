//! The controllers: a module per controller, with `observe`, `apply` and `report` around its engine.
//!
//! Here the world meets the engines: watches become snapshots, decisions become calls, outcomes become status. What is
//! decided is not decided here.

#![forbid(unsafe_code)]

pub mod gc;
pub mod node_cleanup;
