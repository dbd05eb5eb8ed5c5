//! Plugins against servers that keep to their published interfaces, and against servers that do not; Secrets and Jobs on a
//! real control plane.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod cmdb;
mod declared;
mod docs;
mod example;
mod hook;

mod job;
mod outbound;
mod secrets;
mod slack;
mod support;
