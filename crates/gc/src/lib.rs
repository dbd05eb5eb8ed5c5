//! The garbage collection engine: which objects a policy matches, when each expires, why, in which order they go.
//!
//! Pure: no I/O, no clock, no randomness; the caller passes objects and `now`. The controller, `groundskeeper plan` and
//! the tests all ask the same [`decide`].
//!
//! Knows neither tasks nor HTTP nor how a deletion is done. What can fail is [`Policy::compile`], and only because of what
//! the policy says; [`decide`] is total, and every refusal carries its reason.
//!
//! Invariants: nothing is due before its time; nothing protected is ever due; after a plan is carried out, the same
//! question yields an empty plan.

#![forbid(unsafe_code)]

mod decide;
mod ground;
mod object;
mod plan;
mod policy;
mod selector;
mod words;

pub use decide::{Kept, Standing, Unresolved, Verdict, decide, standing};
pub use ground::{Counts, Due, Ground, Settled};
pub use object::Object;
pub use plan::{Item, ObjectName, Plan, Summary};
pub use policy::{Invalid, Mode, Policy};
pub use selector::{InvalidSelector, Selector};
