//! How much may be destroyed: so many acts per second, and so many at one time.

use std::sync::Arc;

use control::TokenBucket;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many acts per second.
#[derive(Debug)]
pub struct Budget {
    rate: u32,
    bucket: TokenBucket,
    in_flight: Arc<Semaphore>,
}

/// The right to do one act; it counts as in flight until this is dropped.
#[derive(Debug)]
pub struct BudgetSlot {
    _permit: OwnedSemaphorePermit,
}

/// Why there is no slot now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// The rate is used up; the next slot is there at this time.
    Until(Timestamp),
    /// Too many are in flight; the next slot is there when one of them ends.
    InFlight,
}

impl Budget {
    pub(super) fn new(rate: u32, now: Timestamp, in_flight: &Arc<Semaphore>) -> Self {
        // A burst of a tenth of a second evens out timers; more would break the promise of the rate.
        let burst = (rate / 10).max(1);
        Self { rate, bucket: TokenBucket::new(rate, burst, now), in_flight: Arc::clone(in_flight) }
    }

    /// The rate, in acts per second.
    pub const fn rate(&self) -> u32 {
        self.rate
    }

    /// Takes a slot.
    pub fn take(&mut self, now: Timestamp) -> Result<BudgetSlot, Exhausted> {
        let permit = Arc::clone(&self.in_flight).try_acquire_owned().map_err(|_| Exhausted::InFlight)?;
        self.bucket.take(now).map_err(Exhausted::Until)?;
        Ok(BudgetSlot { _permit: permit })
    }

    /// Gives back a slot that nothing was done with.
    pub fn give_back(&mut self, slot: BudgetSlot) {
        drop(slot);
        self.bucket.give_back();
    }
}
