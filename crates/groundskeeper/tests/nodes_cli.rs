//! The commands about nodes that leave, against a real API server, without an operator: its part is played by the tests.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    reason = "tests"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests delete as users do, and play the operator beside themselves"
)]

#[path = "nodes_cli/bed.rs"]
mod bed;
#[path = "nodes_cli/decisions.rs"]
mod decisions;
#[path = "nodes_cli/departures.rs"]
mod departures;
#[path = "nodes_cli/import.rs"]
mod import;
#[path = "nodes_cli/maintenance.rs"]
mod maintenance;
#[path = "nodes_cli/plugins.rs"]
mod plugins;
mod support;
#[path = "nodes_cli/uninstall.rs"]
mod uninstall;
