//! Whether to call a dependency that has been failing (a circuit breaker; Nygard, "Release It!").
//!
//! One breaker per dependency. *Closed*: calls go through, and are counted over a sliding window. When enough of them
//! failed it *opens*: calls are refused at once, so that nobody waits for what will not come and the dependency can
//! recover. After a cool-down it is *half-open*: a few probes go through. If they all succeed it closes; if one fails it
//! opens again.
//!
//! Knows no clock and no calls. Always holds: while open nothing is admitted, while half-open at most the probes are, and an
//! answer to a call that was admitted before the last change of state changes nothing.

use std::time::Duration;

use crate::Steady;

/// Slices of the sliding window: what is older than the window is forgotten a tenth of it at a time.
const SLICES: usize = 10;

/// When a breaker opens, upon a failure, and how it closes again.
#[derive(Clone, Copy, Debug)]
pub struct BreakerRules {
    /// The span over which calls are counted. Zero counts as 10 ns.
    pub window: Duration,
    /// Calls within the window below which it does not open, at least 1: one failure at night is no outage.
    pub calls_min: u32,
    /// The share of failures, in percent of the calls within the window, from which on it opens. Above 100: never.
    pub failures_percent: u8,
    /// How long it stays open; also how long probes without an answer block others.
    pub cool_down: Duration,
    /// How many probes go through at a time, and have to succeed; at least 1.
    pub probes: u32,
}

/// What a breaker lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// Nothing.
    Open,
    /// Probes.
    HalfOpen,
}

impl BreakerState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// The name, as metric labels give it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// Leave for one call. Its result is to be told with [`Breaker::record`]; one that is dropped counts as no call.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "without a result the breaker learns nothing"]
pub struct Permit {
    phase: u64,
}

/// The call is not to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused, for the dependency has been failing")]
pub struct BreakerOpen {
    /// When asking again may make sense.
    pub until: Steady,
}

/// How a call went, as far as it says something about the dependency: an orderly refusal, such as 404, is a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// The dependency answered as it should.
    Success,
    /// It did not answer, or with a fault of its own.
    Failure,
}

/// The breaker of one dependency.
#[derive(Clone, Debug)]
pub struct Breaker {
    rules: BreakerRules,
    slices: [Slice; SLICES],
    /// Grows at each change of state, so that late answers are known as such.
    phase: u64,
    mode: Mode,
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    Closed,
    Open { until: Steady },
    HalfOpen { admitted: u32, succeeded: u32, until: Steady },
}

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    /// Which slice of time this is, counted from the clock's start.
    number: u128,
    calls: u32,
    failures: u32,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(rules: BreakerRules) -> Self {
        Self { rules, slices: [Slice::default(); SLICES], phase: 0, mode: Mode::Closed }
    }

    /// Its state at this moment.
    pub fn state(&self, now: Steady) -> BreakerState {
        match self.mode {
            Mode::Closed => BreakerState::Closed,
            Mode::Open { until } if now < until => BreakerState::Open,
            Mode::Open { .. } | Mode::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Asks for leave to make one call.
    pub fn admit(&mut self, now: Steady) -> Result<Permit, BreakerOpen> {
        match &mut self.mode {
            Mode::Closed => {}
            Mode::Open { until } if now < *until => return Err(BreakerOpen { until: *until }),
            Mode::HalfOpen { admitted, until, .. } if now < *until => {
                if *admitted >= self.rules.probes.max(1) {
                    return Err(BreakerOpen { until: *until });
                }
                *admitted += 1;
            }
            // The cool-down is over, or the probes have not said anything for as long: (other) probes may go.
            Mode::Open { .. } | Mode::HalfOpen { .. } => {
                let until = now.after(self.rules.cool_down);
                self.enter(Mode::HalfOpen { admitted: 1, succeeded: 0, until });
            }
        }
        Ok(Permit { phase: self.phase })
    }

    /// How an admitted call went.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a permit is for one call, and is used up by its result"
    )]
    pub fn record(&mut self, permit: Permit, result: CallResult, now: Steady) {
        if permit.phase != self.phase {
            return;
        }
        match (&mut self.mode, result) {
            (Mode::Closed, _) => {
                self.count(result, now);
                if result == CallResult::Failure && self.has_failed_too_much(now) {
                    self.open(now);
                }
            }
            (Mode::HalfOpen { .. }, CallResult::Failure) => self.open(now),
            (Mode::HalfOpen { succeeded, .. }, CallResult::Success) => {
                *succeeded += 1;
                if *succeeded >= self.rules.probes.max(1) {
                    self.slices = [Slice::default(); SLICES];
                    self.enter(Mode::Closed);
                }
            }
            (Mode::Open { .. }, _) => {}
        }
    }

    fn open(&mut self, now: Steady) {
        self.enter(Mode::Open { until: now.after(self.rules.cool_down) });
    }

    fn enter(&mut self, mode: Mode) {
        self.mode = mode;
        self.phase += 1;
    }

    fn count(&mut self, result: CallResult, now: Steady) {
        let number = self.slice_number(now);
        let index = usize::try_from(number % SLICES as u128).unwrap_or(0);
        let Some(slice) = self.slices.get_mut(index) else { return };
        if slice.number != number {
            *slice = Slice { number, ..Slice::default() };
        }
        slice.calls = slice.calls.saturating_add(1);
        slice.failures = slice.failures.saturating_add(u32::from(result == CallResult::Failure));
    }

    fn has_failed_too_much(&self, now: Steady) -> bool {
        let newest = self.slice_number(now);
        let recent = self.slices.iter().filter(|slice| newest.saturating_sub(slice.number) < SLICES as u128);
        let (calls, failures) = recent.fold((0_u64, 0_u64), |(calls, failures), slice| {
            (calls + u64::from(slice.calls), failures + u64::from(slice.failures))
        });
        calls >= u64::from(self.rules.calls_min.max(1))
            && failures * 100 >= calls * u64::from(self.rules.failures_percent)
    }

    fn slice_number(&self, now: Steady) -> u128 {
        now.since(Steady::default()).as_nanos() / (self.rules.window.as_nanos() / SLICES as u128).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: BreakerRules = BreakerRules {
        window: Duration::from_secs(10),
        calls_min: 4,
        failures_percent: 50,
        cool_down: Duration::from_secs(5),
        probes: 2,
    };

    fn second(second: u64) -> Steady {
        Steady::at(Duration::from_secs(second))
    }

    fn call(breaker: &mut Breaker, result: CallResult, now: Steady) {
        let permit = breaker.admit(now).unwrap();
        breaker.record(permit, result, now);
    }

    fn opened_at(now: Steady) -> Breaker {
        let mut breaker = Breaker::new(RULES);
        (0..4).for_each(|_| call(&mut breaker, CallResult::Failure, now));
        assert_eq!(breaker.state(now), BreakerState::Open);
        breaker
    }

    #[test]
    fn it_opens_when_half_of_enough_calls_failed_and_not_before() {
        let mut breaker = Breaker::new(RULES);
        call(&mut breaker, CallResult::Failure, second(1));
        call(&mut breaker, CallResult::Success, second(1));
        call(&mut breaker, CallResult::Success, second(1));
        assert_eq!(breaker.state(second(1)), BreakerState::Closed, "three calls are too few");
        call(&mut breaker, CallResult::Failure, second(1));
        assert_eq!(breaker.admit(second(2)), Err(BreakerOpen { until: second(6) }));
    }

    #[test]
    fn failures_older_than_the_window_are_forgotten() {
        let mut breaker = Breaker::new(RULES);
        (0..3).for_each(|_| call(&mut breaker, CallResult::Failure, second(0)));
        call(&mut breaker, CallResult::Failure, second(10));
        assert_eq!(breaker.state(second(10)), BreakerState::Closed);
    }

    #[test]
    fn after_the_cool_down_its_probes_close_it_or_open_it_again() {
        let mut breaker = opened_at(second(0));
        let [first, other] = [(); 2].map(|()| breaker.admit(second(5)).unwrap());
        assert!(breaker.admit(second(5)).is_err(), "two probes at a time");
        breaker.record(first, CallResult::Success, second(5));
        assert_eq!(breaker.state(second(5)), BreakerState::HalfOpen);
        breaker.record(other, CallResult::Success, second(6));
        assert_eq!(breaker.state(second(6)), BreakerState::Closed);

        let mut breaker = opened_at(second(0));
        call(&mut breaker, CallResult::Failure, second(5));
        assert_eq!(breaker.admit(second(6)), Err(BreakerOpen { until: second(10) }));
    }

    #[test]
    fn probes_that_never_answer_do_not_block_it_for_ever() {
        let mut breaker = opened_at(second(0));
        drop([(); 2].map(|()| breaker.admit(second(5)).unwrap()));
        assert!(breaker.admit(second(9)).is_err());
        assert!(breaker.admit(second(10)).is_ok());
    }

    #[test]
    fn a_late_answer_from_before_the_outage_changes_nothing() {
        let mut breaker = Breaker::new(RULES);
        let [first, other] = [(); 2].map(|()| breaker.admit(second(0)).unwrap());
        (0..4).for_each(|_| call(&mut breaker, CallResult::Failure, second(0)));
        breaker.record(first, CallResult::Success, second(1));
        assert_eq!(breaker.state(second(1)), BreakerState::Open);
        let probe = breaker.admit(second(5)).unwrap();
        breaker.record(other, CallResult::Failure, second(5));
        assert_eq!(breaker.state(second(5)), BreakerState::HalfOpen);
        breaker.record(probe, CallResult::Success, second(5));
    }

    #[test]
    fn names_tell_the_states_apart() {
        assert_eq!(BreakerState::ALL.map(BreakerState::name), ["closed", "open", "half-open"]);
    }

    proptest! {
        #[test]
        fn while_open_nothing_passes_and_while_half_open_no_more_than_the_probes(
            steps in prop::collection::vec((0..3_000_u64, any::<bool>(), any::<bool>()), 0..400),
        ) {
            let mut breaker = Breaker::new(RULES);
            let (mut now, mut open_until) = (second(0), second(0));
            let (mut pending, mut probes) = (Vec::new(), Vec::new());
            for (millis, has_failed, is_asking) in steps {
                now = now.after(Duration::from_millis(millis));
                let before = breaker.state(now);
                let result = if has_failed { CallResult::Failure } else { CallResult::Success };
                if is_asking {
                    let admitted = breaker.admit(now);
                    prop_assert!(now >= open_until || admitted.is_err());
                    match (&admitted, before) {
                        (Ok(_), BreakerState::HalfOpen) => {
                            probes.retain(|at: &Steady| now.since(*at) < RULES.cool_down);
                            probes.push(now);
                            prop_assert!(probes.len() <= 4, "at most the probes of two rounds within one cool-down");
                        }
                        (Err(refused), _) => prop_assert!(refused.until > now, "a refusal says when to come back"),
                        _ => {}
                    }
                    pending.extend(admitted.ok());
                } else if let Some(permit) = pending.pop() {
                    breaker.record(permit, result, now);
                }
                if before != BreakerState::Open && breaker.state(now) == BreakerState::Open {
                    prop_assert!(has_failed, "only a failure opens it");
                    open_until = now.after(RULES.cool_down);
                    probes.clear();
                }
                if breaker.state(now) == BreakerState::Closed {
                    probes.clear();
                }
            }
        }

        #[test]
        fn a_dependency_that_is_well_again_is_called_again(
            failures in 4..50_u64,
            wait in 5..100_u64,
        ) {
            let mut breaker = Breaker::new(RULES);
            for at in 0..failures {
                if let Ok(permit) = breaker.admit(second(at)) {
                    breaker.record(permit, CallResult::Failure, second(at));
                }
            }
            let now = second(failures + wait);
            (0..2).for_each(|_| call(&mut breaker, CallResult::Success, now));
            prop_assert_eq!(breaker.state(now), BreakerState::Closed);
        }
    }
}
