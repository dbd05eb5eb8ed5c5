//! How long to wait after the n-th failure in a row.
//!
//! Delays double from `first` up to `most`. Jitter is drawn from the key and the attempt, so that many keys which
//! failed together do not come back together, and a test sees the same delays each time.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// A growing delay, capped, with jitter.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    seed: u64,
    failures: u32,
}

impl Backoff {
    /// A backoff that starts at `first` and never exceeds `most`; `key` seeds the jitter.
    pub fn new(first: Duration, most: Duration, key: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        Self { first, most, seed: hasher.finish(), failures: 0 }
    }

    /// How long to wait now that it failed once more: between half of the full delay and the whole of it.
    pub fn after_failure(&mut self) -> Duration {
        let doublings = self.failures.min(31);
        self.failures = self.failures.saturating_add(1);
        let full = self.first.saturating_mul(1 << doublings).min(self.most);
        full / 2 + (full / 2).mul_f64(self.jitter())
    }

    /// It worked: the next failure starts from the beginning.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row so far.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    fn jitter(&self) -> f64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, self.failures).hash(&mut hasher);
        f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIRST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_secs(30);

    proptest! {
        #[test]
        fn every_delay_lies_between_half_of_its_step_and_the_cap(key: u64, failures in 1..200_u32) {
            let mut backoff = Backoff::new(FIRST, MOST, &key);
            for failure in 0..failures {
                let step = FIRST.saturating_mul(1 << failure.min(20)).min(MOST);
                let delay = backoff.after_failure();
                prop_assert!(delay >= step / 2 && delay <= step, "{delay:?} of {step:?}");
            }
        }
    }

    #[test]
    fn keys_that_failed_together_come_back_apart() {
        let delays: std::collections::BTreeSet<_> =
            (0..100).map(|key| Backoff::new(FIRST, MOST, &key).after_failure()).collect();
        assert!(delays.len() > 90);
    }

    #[test]
    fn success_starts_it_over() {
        let mut backoff = Backoff::new(FIRST, MOST, &"key");
        (0..10).for_each(|_| _ = backoff.after_failure());
        backoff.reset();
        assert!(backoff.after_failure() <= FIRST);
    }
}
