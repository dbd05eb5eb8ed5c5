//! Expressions as their authors meet them.

#![allow(clippy::expect_used, clippy::panic, reason = "tests")]

mod against_cel;
mod answers;
mod bounds;
mod messages;
mod reads;
mod support;
