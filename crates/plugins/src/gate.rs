//! How many steps a plugin is given, and whether it is called at all.
//!
//! A *place* belongs to a step from its first call until it has ended, however often it is asked in between. A breaker counts
//! calls, one for each server behind the plugin, so that a dead one does not stop the steps of the others. Knows neither
//! plugins nor what they answer.
//!
//! Invariant: there are never more places taken than there are, whatever is asked at one time.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use control::{Breaker, BreakerState, CallResult, Permit, Steady};

use crate::limits::{BREAKER, PLACE_GRACE, TARGETS_MAX};

/// The gate of one plugin.
#[derive(Debug)]
pub(crate) struct Gate(Mutex<State>);

#[derive(Debug)]
struct State {
    limit: u32,
    /// By idempotency key; until when a place is kept for a step that is not being asked.
    places: BTreeMap<String, Keep>,
    /// By server; [`WHOLE`] is that of a plugin with one.
    breakers: BTreeMap<Box<str>, Breaker>,
}

/// The server of a plugin that has one, and what servers share beyond [`TARGETS_MAX`].
pub(crate) const WHOLE: &str = "";

#[derive(Clone, Copy, Debug)]
enum Keep {
    /// So many calls are under way.
    Asked(u32),
    Until(Steady),
}

/// Why a step is not given to a plugin now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shut {
    /// It has as many as it is given.
    Full,
    /// It failed too often of late.
    Resting { until: Steady },
}

/// A step that has been let in. Gives its place up when it is dropped, unless it is kept.
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    gate: &'a Gate,
    key: &'a str,
    target: Box<str>,
    permit: Option<Permit>,
    kept: Option<Steady>,
}

impl Gate {
    pub(crate) fn new(limit: u32) -> Self {
        Self(Mutex::new(State { limit, places: BTreeMap::new(), breakers: BTreeMap::new() }))
    }

    /// The plugin is another one by the same name: what was said of the old one does not count.
    pub(crate) fn renew(&self, limit: u32) {
        let mut state = self.lock();
        state.limit = limit;
        state.breakers.clear();
    }

    /// Lets a step in, which asks this server.
    pub(crate) fn enter<'a>(&'a self, key: &'a str, target: &str, now: Steady) -> Result<Entered<'a>, Shut> {
        let mut state = self.lock();
        state.sweep(now);
        let has_place = state.places.contains_key(key);
        if !has_place && state.free() == 0 {
            return Err(Shut::Full);
        }
        let target = state.known(target, now);
        let breaker = state.breakers.entry(target.clone()).or_insert_with(|| Breaker::new(BREAKER));
        let permit = breaker.admit(now).map_err(|open| Shut::Resting { until: open.until })?;
        let calls = match state.places.get(key) {
            Some(Keep::Asked(calls)) => calls + 1,
            _ => 1,
        };
        state.places.insert(key.to_owned(), Keep::Asked(calls));
        Ok(Entered { gate: self, key, target, permit: Some(permit), kept: None })
    }

    /// How many more steps it may be given, and until when it rests. One with several servers never rests as a whole.
    pub(crate) fn capacity(&self, now: Steady) -> (u32, Option<Steady>) {
        let mut state = self.lock();
        state.sweep(now);
        let free = state.free();
        let Some(breaker) = state.breakers.get_mut(WHOLE) else { return (free, None) };
        match breaker.state(now) {
            BreakerState::Closed => (free, None),
            BreakerState::HalfOpen => (free.min(BREAKER.probes), None),
            // Asking an open breaker changes nothing.
            BreakerState::Open => (free, breaker.admit(now).err().map(|open| open.until)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn free(&self) -> u32 {
        self.limit.saturating_sub(u32::try_from(self.places.len()).unwrap_or(u32::MAX))
    }

    /// The name under which a server is known. What works is forgotten when there are too many.
    fn known(&mut self, target: &str, now: Steady) -> Box<str> {
        if !self.breakers.contains_key(target) && self.breakers.len() >= TARGETS_MAX {
            self.breakers.retain(|_, breaker| breaker.state(now) != BreakerState::Closed);
        }
        let is_full = !self.breakers.contains_key(target) && self.breakers.len() >= TARGETS_MAX;
        if is_full { WHOLE.into() } else { target.into() }
    }

    fn sweep(&mut self, now: Steady) {
        self.places.retain(|_, keep| !matches!(keep, Keep::Until(until) if *until <= now));
    }
}

impl Entered<'_> {
    /// The step has yet to end, and will be asked for again after this pause.
    pub(crate) fn keep(&mut self, now: Steady, pause: Duration) {
        self.kept = Some(now.after(pause).after(PLACE_GRACE));
    }

    /// How the call went.
    pub(crate) fn record(&mut self, result: CallResult, now: Steady) {
        if let Some(permit) = self.permit.take() {
            let mut state = self.gate.lock();
            if let Some(breaker) = state.breakers.get_mut(&self.target) {
                breaker.record(permit, result, now);
            }
        }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        let keep = match (state.places.get(self.key), self.kept) {
            (Some(Keep::Asked(calls @ 2..)), _) => Keep::Asked(calls - 1),
            (_, Some(until)) => Keep::Until(until),
            (_, None) => {
                state.places.remove(self.key);
                return;
            }
        };
        state.places.insert(self.key.to_owned(), keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: u64) -> Steady {
        Steady::at(Duration::from_secs(second))
    }

    #[test]
    fn a_place_is_kept_while_a_step_goes_on_and_given_up_when_it_ends() {
        let gate = Gate::new(2);
        let mut first = gate.enter("a", WHOLE, second(0)).unwrap();
        let other = gate.enter("b", WHOLE, second(0)).unwrap();
        assert_eq!(gate.enter("c", WHOLE, second(0)).err(), Some(Shut::Full));
        first.keep(second(0), Duration::from_secs(10));
        drop((first, other));
        assert_eq!(gate.capacity(second(1)), (1, None));
        assert!(gate.enter("a", WHOLE, second(9)).is_ok(), "it has its place");
        assert_eq!(gate.capacity(second(9)), (2, None), "it has ended");
    }

    #[test]
    fn a_step_that_nobody_asks_for_any_more_loses_its_place() {
        let gate = Gate::new(1);
        gate.enter("a", WHOLE, second(0)).unwrap().keep(second(0), Duration::from_secs(10));
        let after = second(10).after(PLACE_GRACE);
        assert_eq!(gate.capacity(second(11)), (0, None));
        assert_eq!(gate.capacity(after), (1, None));
    }

    #[test]
    fn a_plugin_that_fails_too_often_rests_and_then_is_asked_once() {
        let gate = Gate::new(9);
        for _ in 0..BREAKER.calls_min {
            gate.enter("a", WHOLE, second(1)).unwrap().record(CallResult::Failure, second(1));
        }
        let until = second(1).after(BREAKER.cool_down);
        assert_eq!(gate.enter("a", WHOLE, second(2)).err(), Some(Shut::Resting { until }));
        assert_eq!(gate.capacity(second(2)), (9, Some(until)));
        assert_eq!(gate.capacity(until), (1, None));
        let mut probe = gate.enter("a", WHOLE, until).unwrap();
        assert!(matches!(gate.enter("b", WHOLE, until), Err(Shut::Resting { .. })));
        probe.record(CallResult::Success, until);
        drop(probe);
        assert_eq!(gate.capacity(until), (9, None));
    }

    #[test]
    fn another_plugin_by_the_same_name_is_asked_at_once() {
        let gate = Gate::new(1);
        for _ in 0..BREAKER.calls_min {
            gate.enter("a", WHOLE, second(1)).unwrap().record(CallResult::Failure, second(1));
        }
        gate.renew(3);
        assert_eq!(gate.capacity(second(2)), (3, None));
    }

    #[test]
    fn a_dead_server_does_not_stop_the_steps_of_another() {
        let gate = Gate::new(9);
        for _ in 0..BREAKER.calls_min {
            gate.enter("a", "dead", second(1)).unwrap().record(CallResult::Failure, second(1));
        }
        assert!(gate.enter("a", "dead", second(2)).is_err());
        assert!(gate.enter("a", "alive", second(2)).is_ok());
        assert_eq!(gate.capacity(second(2)), (9, None));
        for number in 0..2 * TARGETS_MAX {
            assert!(gate.enter("a", &number.to_string(), second(2)).is_ok());
        }
        assert!(gate.enter("a", "dead", second(2)).is_err(), "what fails is remembered");
        assert!(gate.lock().breakers.len() <= TARGETS_MAX);
    }
}
