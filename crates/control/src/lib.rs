//! Pure machinery: what decides when to act, how often, how much, and who.
//!
//! | question | machine |
//! |---|---|
//! | what time is it? | [`Clock`], [`Steady`] |
//! | which key wakes next? | [`Timers`] |
//! | how long to wait after a failure? | [`Backoff`], [`Backoffs`] |
//! | whether to call at all? | [`Breaker`] |
//! | how fast? | [`TokenBucket`], [`Aimd`] |
//! | how many destructive acts? | [`Budget`] |
//! | whether to believe a listing? | [`MassChange`] |
//! | who may act, and until when? | [`Election`], [`Epoch`] |
//!
//! No I/O, no tasks, no randomness: time comes in as an argument, jitter is drawn from the key. What is here can be
//! tested to its last branch without waiting for anything.

#![forbid(unsafe_code)]

mod aimd;
mod backoff;
mod breaker;
mod bucket;
mod budget;
mod clock;
mod lease;
mod mass_change;
mod mutant;
mod timers;

pub use aimd::{Aimd, AimdRules};
pub use backoff::{BACKOFF_FIRST, BACKOFF_MAX, Backoff, Backoffs};
pub use breaker::{Breaker, BreakerOpen, BreakerRules, BreakerState, CallResult, Permit};
pub use bucket::TokenBucket;
pub use budget::{Allowance, Base, Budget, Exhausted, Leave};
pub use clock::{CLOCK_OFFSET_VARIABLE, CLOCK_RATE_VARIABLE, Clock, Steady, SystemClock};
pub use lease::{Answer, Attempt, Election, Epoch, InvalidTerms, LeaseRecord, LeaseTerms, Move, Purpose};
pub use mass_change::{Belief, Confirmation, MassChange, MassChangeRules};
pub use mutant::{MUTANT_VARIABLE, Mutant};
pub use timers::Timers;
