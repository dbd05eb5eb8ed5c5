//! Which pods leave a node, in which order, and what stands in the way.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod answers;
mod budgets;
mod escalation;
mod filters;
mod input;
mod properties;
mod rules;
mod support;
mod turns;
