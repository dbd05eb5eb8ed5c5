//! How much may be destroyed: so many acts per second, and so many at one time.

use std::sync::Arc;

use control::TokenBucket;
use jiff::Timestamp;

use super::flow::{Flow, Place};

/// So many acts per second.
#[derive(Debug)]
pub struct Budget {
    rate: u32,
    bucket: TokenBucket,
    flow: Arc<Flow>,
}

/// The right to do one act; it counts as in flight until this is dropped.
#[derive(Debug)]
pub struct BudgetSlot {
    _place: Place,
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
    pub(super) fn new(rate: u32, now: Timestamp, flow: &Arc<Flow>) -> Self {
        // A burst of a tenth of a second evens out timers; more would break the promise of the rate.
        let burst = (rate / 10).max(1);
        Self { rate, bucket: TokenBucket::new(rate, burst, now), flow: Arc::clone(flow) }
    }

    /// The rate, in acts per second.
    pub const fn rate(&self) -> u32 {
        self.rate
    }

    /// Takes a slot.
    pub fn take(&mut self, now: Timestamp) -> Result<BudgetSlot, Exhausted> {
        let place = self.flow.enter().ok_or(Exhausted::InFlight)?;
        self.bucket.take(now).map_err(Exhausted::Until)?;
        Ok(BudgetSlot { _place: place })
    }

    /// Gives back a slot that nothing was done with.
    pub fn give_back(&mut self, slot: BudgetSlot) {
        drop(slot);
        self.bucket.give_back();
    }
}
