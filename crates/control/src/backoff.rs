//! How long to wait after the n-th failure in a row.
//!
//! Delays double from `first` up to `most`. Jitter is drawn from the key and the attempt, so that many keys which
//! failed together do not come back together, and a test sees the same delays each time.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// The first delay, unless there is reason for another: as long as a call or two take.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// The longest delay, unless there is reason for another: what a user waits at most after having put things right.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);

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

/// A backoff for each key that has failed. Keys that never failed, or were reset, take no room.
///
/// A key that finds no room waits as long as a key waits at most, so that a flood of failures cannot grow the memory, and
/// what is not remembered does not run hot.
#[derive(Clone, Debug)]
pub struct Backoffs<K> {
    first: Duration,
    most: Duration,
    keys_max: usize,
    by_key: HashMap<K, Backoff>,
}

impl<K: Clone + Eq + Hash> Backoffs<K> {
    /// Backoffs from [`BACKOFF_FIRST`] to [`BACKOFF_MAX`] for at most `keys_max` keys at a time.
    pub fn new(keys_max: usize) -> Self {
        Self::between(BACKOFF_FIRST, BACKOFF_MAX, keys_max)
    }

    /// Backoffs that start at `first` and never exceed `most`, for at most `keys_max` keys at a time.
    pub fn between(first: Duration, most: Duration, keys_max: usize) -> Self {
        Self { first, most, keys_max, by_key: HashMap::new() }
    }

    /// How long this key has to wait now that it failed once more.
    pub fn after_failure(&mut self, key: &K) -> Duration {
        if let Some(backoff) = self.by_key.get_mut(key) {
            return backoff.after_failure();
        }
        if self.by_key.len() >= self.keys_max {
            return Backoff::new(self.most, self.most, key).after_failure();
        }
        let backoff = Backoff::new(self.first, self.most, key);
        self.by_key.entry(key.clone()).or_insert(backoff).after_failure()
    }

    /// It worked, or the key is gone: its next failure starts from the beginning.
    pub fn forget(&mut self, key: &K) {
        self.by_key.remove(key);
    }

    /// Failures in a row of this key so far; 0 for a key that is not remembered.
    pub fn failures(&self, key: &K) -> u32 {
        self.by_key.get(key).map_or(0, Backoff::failures)
    }

    /// How many keys are waiting for their first success since they failed.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether no key is.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIRST: Duration = BACKOFF_FIRST;
    const MOST: Duration = BACKOFF_MAX;

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

    proptest! {
        #[test]
        fn keys_wait_each_for_themselves_and_never_more_are_kept_than_allowed(
            acts in prop::collection::vec((0..12_u8, prop::bool::weighted(0.8)), 0..300),
            keys_max in 1..8_usize,
        ) {
            let mut backoffs = Backoffs::new(keys_max);
            let mut model: HashMap<u8, Backoff> = HashMap::new();
            for (key, has_failed) in acts {
                if !has_failed {
                    backoffs.forget(&key);
                    model.remove(&key);
                } else if model.contains_key(&key) || model.len() < keys_max {
                    let alone = model.entry(key).or_insert_with(|| Backoff::new(FIRST, MOST, &key));
                    prop_assert_eq!(backoffs.after_failure(&key), alone.after_failure());
                    prop_assert_eq!(backoffs.failures(&key), alone.failures());
                } else {
                    prop_assert!(backoffs.after_failure(&key) >= MOST / 2);
                }
                prop_assert_eq!(backoffs.len(), model.len());
            }
        }
    }
}
