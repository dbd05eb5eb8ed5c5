//! The frame around every controller: four methods are the controller's, everything else is here.
//!
//! A [`Controller`] says how a key is observed, decided, acted on and reported. The frame supplies the queue with its
//! urgencies, bounded concurrency, a deadline, isolation of panics, growing pauses for each key, the wait for our own last
//! writes, the slow scan that counts what events missed, the fence of the lease, a span, and the metrics by the names that
//! dashboards know. A controller can forget none of them.
//!
//! Invariant: nothing of a controller runs while its epoch is not valid, not even the rest of a call that was under way
//! when it ended.

mod guard;
mod queue;
#[cfg(test)]
mod tests;
mod work;

use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use jiff::Timestamp;

pub(crate) use guard::fenced;
pub use queue::Cause;
pub use work::{AtStop, Pace, Work, run};

use crate::error::Classify;
use crate::lease::Epoch;

/// What names one unit of a controller's work.
pub trait Key: Clone + Eq + Hash + Ord + fmt::Display + fmt::Debug + Send + Sync + 'static {}

impl<K: Clone + Eq + Hash + Ord + fmt::Display + fmt::Debug + Send + Sync + 'static> Key for K {}

/// One kind of work: observe, decide, apply, report.
pub trait Controller: Send + Sync + 'static {
    /// What names one unit of work.
    type Key: Key;
    /// What a decision is made on.
    type Snapshot: Send + Sync;
    /// What is to be done, and what is to be said.
    type Plan: Send + Sync;
    /// What became of what was to be done.
    type Outcome: Send + Sync;
    /// What may go wrong with observing and reporting. What goes wrong with a single act is an outcome.
    type Error: std::error::Error + Classify + Send;

    /// What it is called in metrics, logs and events.
    const NAME: &'static str;

    /// Reads what a decision needs: indexes, at most a few requests. None: what the key names is gone.
    fn observe(
        &self,
        key: &Self::Key,
    ) -> impl Future<Output = Result<Option<Self::Snapshot>, Self::Error>> + Send;

    /// Decides: pure and total. There is no `self`, so there is nothing else to decide on.
    fn decide(snapshot: &Self::Snapshot, now: Timestamp) -> Self::Plan;

    /// Does what the plan says, through the actuator, each act on its own.
    fn apply(
        &self,
        key: &Self::Key,
        plan: &Self::Plan,
        epoch: &Epoch,
    ) -> impl Future<Output = Self::Outcome> + Send;

    /// Says what came of it: one status, only if it changed; events, metrics.
    fn report(
        &self,
        key: &Self::Key,
        plan: Self::Plan,
        outcome: Self::Outcome,
    ) -> impl Future<Output = Result<Report, Self::Error>> + Send;
}

/// What a controller says after it has worked on a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// When the key comes again.
    pub requeue: Requeue,
    /// Whether there was anything to do. If there was when only the slow scan came by, an event was missed.
    pub did: Did,
}

/// Whether there was anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    /// All was as it should be.
    Nothing,
    /// Something was done or said.
    Something,
}

/// When a key comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requeue {
    /// When something changes.
    AwaitChange,
    /// At this time by the wall clock, for this reason; earlier if something changes.
    At(Timestamp, &'static str),
    /// After so much time, for this reason; earlier if something changes.
    After(Duration, &'static str),
}

impl Requeue {
    fn at(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::AwaitChange => None,
            Self::At(at, _) => Some(*at),
            Self::After(pause, _) => Some(now.checked_add(*pause).unwrap_or(Timestamp::MAX)),
        }
    }
}
