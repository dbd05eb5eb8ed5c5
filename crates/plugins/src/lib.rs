//! What a departure asks of others: the plugins that come with us, those that are declared, and the one way out to them.
//!
//! [`Plugins`] knows them by name, gives each so many steps at one time, leaves alone what fails too often, and bounds every
//! call. All calls to other servers go through [`outbound`]. Knows neither departures nor policies: what is asked next, and
//! what becomes of an answer, the engine says.
//!
//! Invariants: whatever a plugin does, [`Plugins::execute`] comes back by the deadline and does not panic; no secret is in
//! what it says; nothing of ours goes along but what was written to go along.

#![forbid(unsafe_code)]

mod builtin;
mod cmdb;
mod declared;
mod gate;
mod hook;
mod invalid;
mod job;
pub mod limits;
mod log;
pub mod outbound;
mod plugins;
mod portworx;
mod scrub;
mod secrets;
mod settings;
mod slack;
mod template;

pub use invalid::InvalidPlugin;
pub use outbound::Outbound;
pub use plugins::{AskError, Means, Plugins};
pub use secrets::{SecretError, Secrets};
