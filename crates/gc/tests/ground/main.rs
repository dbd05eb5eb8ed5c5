//! What the index and the decisions promise, shown on small grounds and on random ones.
//!
//! Policies and objects go through the real parsing, so that no test holds an impossible state.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
#![allow(clippy::needless_pass_by_value, reason = "JSON is written where it is needed")]

mod approvals;
mod counts;
mod finalizers;
mod hours;
mod input;
mod keep;
mod lateness;
mod listings;
mod namespaces;
mod notices;
mod objects;
mod overlaps;
mod owners;
mod plans;
mod support;
mod turns;
mod unread;
