//! How many acts may be in flight: as many as the API server bears.
//!
//! The number falls when the server says that it is too much, does not answer in time, or has become slow; it grows again
//! while it answers well. Who stays above it after a fall is not cut off: there is no place for others until it fits.
//!
//! Always holds: 1 ≤ number ≤ the configured most.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use control::{Aimd, AimdRules, Clock, Steady};

use super::Outcome;
use crate::error::ApiError;
use crate::limits::{
    ACT_SLOW, ACTS_REMEMBERED, ACTS_SLOW_MAX, IN_FLIGHT_REMAINING_PERCENT, IN_FLIGHT_STEP, IN_FLIGHT_WINDOW,
};
use crate::metrics::{MetricName, Metrics};

/// The places for acts in flight.
#[derive(Debug)]
pub(super) struct Flow {
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    most: Aimd,
    in_flight: u32,
    /// A bit for each of the last acts, set for those that were slow; the latest is the lowest.
    slow: u32,
}

/// A place among the acts in flight; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Flow>);

/// What an answer says of how the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    /// It answered, after so long.
    Borne(Duration),
    /// It is too much.
    TooMuch,
    /// It says nothing of that.
    Unknown,
}

impl Flow {
    /// So many places at most. It begins with all of them: they are what somebody expects the server to bear.
    pub(super) fn new(most: u16, clock: Arc<dyn Clock>, metrics: Metrics) -> Arc<Self> {
        let state = Mutex::new(State::new(most));
        let this = Self { clock, metrics, state };
        this.show(this.lock().most.value());
        Arc::new(this)
    }

    /// Takes a place, if there is one.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Place> {
        let mut state = self.lock();
        if state.in_flight >= state.most.value() {
            return None;
        }
        state.in_flight += 1;
        drop(state);
        Some(Place(Arc::clone(self)))
    }

    /// The present moment, to measure how long an act takes.
    pub(super) fn begin(&self) -> Steady {
        self.clock.steady()
    }

    /// Takes in how the server answered what was sent then.
    pub(super) fn answered(&self, outcome: &Outcome, began: Steady) {
        let now = self.clock.steady();
        let mut state = self.lock();
        let before = state.most.value();
        state.take_in(load(outcome, now.since(began)), now);
        let after = state.most.value();
        if after != before {
            self.show(after);
            tracing::debug!(before, after, "another number of acts may be in flight");
        }
    }

    fn show(&self, most: u32) {
        self.metrics.set(MetricName::ActuatorInFlightMax, &[], i64::from(most));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
    }
}

impl State {
    fn new(most: u16) -> Self {
        let rules = AimdRules {
            floor: 1,
            ceiling: u32::from(most),
            step: IN_FLIGHT_STEP,
            remaining_percent: IN_FLIGHT_REMAINING_PERCENT,
            window: IN_FLIGHT_WINDOW,
        };
        Self { most: Aimd::new(rules, u32::from(most)), in_flight: 0, slow: 0 }
    }

    fn take_in(&mut self, load: Load, now: Steady) {
        match load {
            Load::Unknown => {}
            Load::TooMuch => self.most.was_refused(now),
            Load::Borne(took) => {
                let is_slow = took > ACT_SLOW;
                self.slow = (self.slow << 1 | u32::from(is_slow)) & ((1 << ACTS_REMEMBERED) - 1);
                if self.slow.count_ones() > ACTS_SLOW_MAX {
                    // What has made it fall once does not do so again.
                    self.slow = 0;
                    self.most.was_refused(now);
                } else if !is_slow {
                    self.most.succeeded(now);
                }
            }
        }
    }
}

fn load(outcome: &Outcome, took: Duration) -> Load {
    match outcome {
        Outcome::Throttled(_)
        | Outcome::Failed(ApiError::TimedOut(_) | ApiError::Refused { code: 503 | 504, .. }) => Load::TooMuch,
        Outcome::Failed(ApiError::Unreachable(_) | ApiError::Garbled(_))
        | Outcome::FoundDone(_)
        | Outcome::Fenced
        | Outcome::CutOff
        | Outcome::Unrecorded(_)
        | Outcome::Refused(_) => Load::Unknown,
        Outcome::Accepted
        | Outcome::Gone
        | Outcome::Changed
        | Outcome::Denied(_)
        | Outcome::Blocked { .. }
        | Outcome::Failed(ApiError::Refused { .. }) => Load::Borne(took),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::SystemClock;

    fn milli(milli: u64) -> Steady {
        Steady::at(Duration::from_millis(milli))
    }

    const FAST: Load = Load::Borne(Duration::from_millis(5));
    const SLOW: Load = Load::Borne(Duration::from_millis(1_001));

    fn refused(code: u16) -> Outcome {
        Outcome::Failed(ApiError::Refused {
            code,
            reason: String::new(),
            message: String::new(),
            retry_after: None,
        })
    }

    #[test]
    fn a_busy_server_is_asked_for_half_and_then_for_a_little_more_each_second() {
        let mut state = State::new(48);
        (0..20).for_each(|at| state.take_in(Load::TooMuch, milli(at)));
        assert_eq!(state.most.value(), 24);
        (20..4_000).for_each(|at| state.take_in(FAST, milli(at)));
        assert_eq!(state.most.value(), 24 + 3 * IN_FLIGHT_STEP);
        (1..100).for_each(|second| state.take_in(FAST, milli(4_000 + second * 1_000)));
        assert_eq!(state.most.value(), 48, "never more than was configured");
        (1..100).for_each(|second| state.take_in(Load::TooMuch, milli(200_000 + second * 1_000)));
        assert_eq!(state.most.value(), 1, "and never none");
    }

    #[test]
    fn a_server_that_has_become_slow_is_asked_for_less_and_one_slow_answer_is_none() {
        let mut state = State::new(48);
        for at in 0..200 {
            state.take_in(if at % 10 == 0 { SLOW } else { FAST }, milli(at * 100));
        }
        assert_eq!(state.most.value(), 48);
        (0..3).for_each(|at| state.take_in(SLOW, milli(30_000 + at)));
        assert_eq!(state.most.value(), 24);
        state.take_in(SLOW, milli(60_000));
        assert_eq!(state.most.value(), 24, "those that made it fall are forgotten");
    }

    #[test]
    fn answers_say_how_the_server_is_and_a_budgets_no_is_none_of_them() {
        let took = Duration::from_millis(3);
        let blocked = Outcome::Blocked { retry_after: took, message: String::new() };
        let table = [
            (Outcome::Throttled(took), Load::TooMuch),
            (refused(503), Load::TooMuch),
            (refused(504), Load::TooMuch),
            (Outcome::Failed(ApiError::TimedOut(took)), Load::TooMuch),
            (Outcome::Failed(ApiError::Unreachable(String::new())), Load::Unknown),
            (Outcome::CutOff, Load::Unknown),
            (Outcome::Accepted, Load::Borne(took)),
            (Outcome::Changed, Load::Borne(took)),
            (refused(422), Load::Borne(took)),
            (blocked, Load::Borne(took)),
        ];
        for (outcome, expected) in table {
            assert_eq!(load(&outcome, took), expected, "{outcome:?}");
        }
    }

    #[test]
    fn whoever_is_in_flight_after_a_fall_goes_on_and_nobody_comes_in_before_it_fits() {
        let metrics = Metrics::default();
        let flow = Flow::new(4, Arc::new(SystemClock), metrics.clone());
        let mut places: Vec<_> = (0..4).map(|_| flow.enter().unwrap()).collect();
        assert!(flow.enter().is_none());
        flow.answered(&Outcome::Throttled(Duration::from_secs(1)), flow.begin());
        let text = metrics.encode().unwrap();
        assert!(text.contains("groundskeeper_actuator_in_flight_max{} 2\n"), "{text}");
        places.truncate(2);
        assert!(flow.enter().is_none());
        places.truncate(1);
        assert!(flow.enter().is_some());
    }
}
