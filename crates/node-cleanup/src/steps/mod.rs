//! What is done besides the drain, in which order, and what happens if it fails.
//!
//! A [`Graph`] is compiled from what a policy says. [`advance`] says what is to be done now, and what is to be written down
//! first; [`settle`] what is written down once a plugin has answered. All that is known between two turns stands in the
//! record: whoever reads it goes on where another has stopped.
//!
//! Knows no plugin and no transport: the drain and the wait for volumes are steps like the others, and who asks them is the
//! caller's affair.
//!
//! Invariants: a step begins after all that it depends on, and after its attempt has been written down; a step that is done
//! is never asked for again; an attempt that was under way when a process died is asked for again as the same attempt.

mod advance;
mod graph;
mod invalid;
mod overrides;
mod retry;
mod settle;
mod step;
#[cfg(test)]
mod tests;
mod words;

pub use advance::{Advance, Asked, Facts, Health, Pace, PluginState, Standing, advance};
pub use graph::{Expected, Graph, Outlook, PluginFacts};
pub use invalid::{Circle, InvalidSteps};
pub use retry::Retry;
pub(crate) use settle::next_second;
pub use settle::{Moment, Outcome, settle};
pub use step::Step;
pub use words::{StepBlocker, StepReason, current};

/// The step that empties the node, and its plugin.
pub const DRAIN_STEP: &str = "drain";
/// See [`DRAIN_STEP`].
pub const DRAIN_PLUGIN: &str = "drain";

/// The step that waits until no volume is attached to the node.
pub const VOLUMES_STEP: &str = "wait-volume-detach";
/// The plugin of [`VOLUMES_STEP`].
pub const VOLUMES_PLUGIN: &str = "waitVolumeDetach";
