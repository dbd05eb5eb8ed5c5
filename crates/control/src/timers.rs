//! Which key wakes next.
//!
//! One time per key, ordered by time. Knows no clock: the caller asks for what is due at `now`. Derived state: whoever
//! loses it sets the timers again.
//!
//! Invariant: a key never comes out before its time, and setting it anew replaces its time.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use jiff::Timestamp;

/// A set of keys, each with the time at which it is to be looked at: wall-clock time, unless another is named.
#[derive(Clone, Debug)]
pub struct Timers<K, T = Timestamp> {
    times: HashMap<K, T>,
    order: BTreeSet<(T, K)>,
}

impl<K, T> Default for Timers<K, T> {
    fn default() -> Self {
        Self { times: HashMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Clone + Eq + Hash + Ord, T: Copy + Ord> Timers<K, T> {
    /// Sets or replaces the time of a key; `None` takes the key out.
    pub fn set(&mut self, key: &K, at: Option<T>) {
        let before = match at {
            Some(at) => self.times.insert(key.clone(), at),
            None => self.times.remove(key),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.order.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.order.insert((at, key.clone()));
        }
    }

    /// Sets the time of a key, unless it is due earlier already.
    pub fn set_no_later(&mut self, key: &K, at: T) {
        if self.times.get(key).is_none_or(|&before| at < before) {
            self.set(key, Some(at));
        }
    }

    /// Takes out the key that has been due longest at `now`, if one is.
    pub fn pop_due(&mut self, now: T) -> Option<K> {
        let (at, _) = self.order.first()?;
        if *at > now {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.times.remove(&key);
        Some(key)
    }

    /// When the next key falls due.
    pub fn next(&self) -> Option<T> {
        self.order.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    proptest! {
        #[test]
        fn what_comes_out_is_due_in_order_and_was_set_last(sets in prop::collection::vec((0..20_u8, prop::option::of(0..50_i64)), 0..200)) {
            let mut timers = Timers::default();
            let mut model = HashMap::new();
            for (key, at) in sets {
                timers.set(&key, at.map(second));
                match at {
                    Some(at) => drop(model.insert(key, at)),
                    None => drop(model.remove(&key)),
                }
            }
            prop_assert_eq!(timers.next(), model.values().min().copied().map(second));
            let mut last = i64::MIN;
            for now in 0..50 {
                while let Some(key) = timers.pop_due(second(now)) {
                    let at = model.remove(&key);
                    prop_assert_eq!(at, Some(now));
                    prop_assert!(now >= last);
                    last = now;
                }
            }
            prop_assert!(model.is_empty());
        }
    }

    #[test]
    fn an_earlier_time_stands_against_a_later_wish() {
        let mut timers = Timers::default();
        timers.set_no_later(&"a", second(5));
        timers.set_no_later(&"a", second(9));
        assert_eq!(timers.next(), Some(second(5)));
        timers.set_no_later(&"a", second(2));
        assert_eq!(timers.next(), Some(second(2)));
    }
}
