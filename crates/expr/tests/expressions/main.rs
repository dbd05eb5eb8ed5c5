//! Expressions as their authors meet them.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod against_cel;
mod answers;
mod bounds;
mod messages;
mod reads;
mod stays;
mod support;
