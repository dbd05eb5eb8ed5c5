//! Pure machinery: clocks, backoff, token buckets, timers.
//!
//! No I/O, no tasks, no randomness: time comes in as an argument, jitter is drawn from the key. What is here can be
//! tested to its last branch without waiting for anything.

#![forbid(unsafe_code)]

mod backoff;
mod bucket;
mod clock;
mod lease;
mod mutant;
mod timers;

pub use backoff::Backoff;
pub use bucket::TokenBucket;
pub use clock::{CLOCK_OFFSET_VARIABLE, CLOCK_RATE_VARIABLE, Clock, Steady, SystemClock};
pub use lease::{Answer, Attempt, Election, Epoch, InvalidTerms, LeaseRecord, LeaseTerms, Move, Purpose};
pub use mutant::{MUTANT_VARIABLE, Mutant};
pub use timers::Timers;
