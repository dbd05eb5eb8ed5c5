//! The node cleanup engine: how a node leaves, decided from a snapshot and a time.
//!
//! [`drain`] says which pods leave, in which order, and what stands in the way; [`steps`] what is done besides, and what
//! happens if it fails. Knows no client, no clock and no randomness.
//!
//! Invariant: nothing is decided twice on one answer: a step that has begun is written down before it is asked for.

#![forbid(unsafe_code)]

pub mod contract;
pub mod departure;
pub mod drain;
pub mod limits;
pub mod maintenance;
mod policy;
pub mod settings;
pub mod steps;
mod turn;
mod words;

pub use policy::{Governs, InvalidPolicy, Policy, Reach, deadlines};
pub use turn::{Member, MemberState, Turn, TurnRule};
pub use words::{DepartureBlocker, blocker_words};

/// The plugins that come with us, besides the two of the engine.
pub const BUILT_IN_PLUGINS: [&str; 6] = ["cmdb", "httpHook", "job", "log", "portworx", "slack"];
