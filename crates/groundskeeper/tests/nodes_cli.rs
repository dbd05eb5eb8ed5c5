//! The commands about nodes that leave, against a real API server. The operator's part is played by the tests, where they do not
//! say that it [lives](living).

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
#[path = "nodes_cli/living.rs"]
mod living;
#[path = "nodes_cli/maintenance.rs"]
mod maintenance;
#[path = "nodes_cli/plugins.rs"]
mod plugins;
mod support;
#[path = "nodes_cli/uninstall.rs"]
mod uninstall;
#[path = "departures/users.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod users;
#[path = "departures/yard.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod yard;
