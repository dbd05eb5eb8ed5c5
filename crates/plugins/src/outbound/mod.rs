//! The one way out: every call to somebody else's server goes through here.
//!
//! A name is resolved by us, every address that it has is judged, and the connection goes to an address that was judged, so
//! that a second answer of the name service changes nothing. Nothing of ours goes along: no token of our service account, no
//! proxy of the environment, no cookie. Redirects are answers, not ways. What comes back is bounded, and what it repeats of a
//! secret is taken out before anybody sees it.
//!
//! Knows no plugin and no contract.

mod address;
mod allowed;
mod call;
mod connect;
mod trust;
mod url;

pub use allowed::{Allowed, InvalidAllowed};
pub(crate) use call::header_name;
pub use call::{Answer, Call, InvalidHeader, Reach};
pub use connect::{CallError, Caller};
pub use trust::{InvalidBundle, Trust};
pub use url::{InvalidUrl, Url};

/// What the operator of the cluster allows.
#[derive(Clone, Debug, Default)]
pub struct Outbound {
    /// Hosts and networks that may be called although their addresses are private.
    pub allow_private: Vec<Allowed>,
    /// Whether loopback may be called: for tests and the demo. No policy can ask for it.
    pub allow_loopback: bool,
}
