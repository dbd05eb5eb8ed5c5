//! Who may act: the election of one holder through a record in the cluster, and the epoch that fences its acts.
//!
//! The rules are client-go's (`tools/leaderelection`): one record, written by compare-and-swap on its resourceVersion;
//! whether a foreign holder has died is judged by our own steady clock since the record last *changed* as we saw it,
//! never by the times that stand in it. client-go says of itself that this is no fence. Ours has one: each tenure has a
//! number, and each renewal a moment until which it is valid, counted from when the request was *decided*, not from when
//! its answer came. A holder that was paused, cut off, or told too late acts no more after that moment.
//!
//! [`Election`] is a machine without I/O and without a clock. It is driven like this:
//!
//! ```text
//! loop:
//!   match election.decide(clock.steady(), clock.now()):
//!     Look           => GET the record (a quorum read): election.observe(…), or election.look_failed(…)
//!     Write(attempt) => POST or PUT it:                 election.answered(&attempt, …)
//!     WaitUntil(at)  => sleep
//!     Stop           => abort all work, wait until it has stopped: election.stopped()
//! on the way out: workers stop, then election.release(…)
//! ```
//!
//! Always holds (`model.rs` explores all interleavings): at no real moment are the epochs of two candidates both valid,
//! as long as no clock runs faster than another by more than duration / renew deadline (1.5 by default); and the numbers
//! of epochs only grow.
//!
//! What it cannot know: a record that somebody removes while a candidate starts for the first time looks to that candidate
//! like one that never was. A candidate that has seen a record before waits until whoever may have held it has stopped;
//! numbers may then repeat, so that an epoch is told apart by its number and its holder.

mod election;
#[cfg(test)]
mod model;
mod record;
mod terms;

pub use election::{Election, Move};
pub use record::{Answer, Attempt, Epoch, LeaseRecord, Purpose};
pub use terms::{InvalidTerms, LeaseTerms};
