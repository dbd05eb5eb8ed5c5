//! How much to ask of a dependency that says when it is too much.
//!
//! Additive increase, multiplicative decrease (Chiu and Jain, 1989): several callers of one server that each do this come to
//! equal shares of what it can bear. The value may be a rate per second or a number of calls at once; this does not know.
//!
//! Always holds: floor ≤ value ≤ ceiling; within one window the value grows by at most one step and falls at most once, so
//! that a burst of refusals, all caused by the same excess, counts as one.

use std::time::Duration;

use crate::Steady;

/// How a value grows and falls.
#[derive(Clone, Copy, Debug)]
pub struct AimdRules {
    /// The least, at least 1: nothing would ever tell that the dependency is well again.
    pub floor: u32,
    /// The most. One below the floor counts as the floor.
    pub ceiling: u32,
    /// What is added after a window without a refusal.
    pub step: u32,
    /// What remains after a refusal, in percent (0 to 99; more counts as 99).
    pub remaining_percent: u8,
    /// The least time between two changes in the same direction, and from a fall to the next growth: as long as a
    /// change takes to show.
    pub window: Duration,
}

/// A value that follows what a dependency bears.
#[derive(Clone, Debug)]
pub struct Aimd {
    rules: AimdRules,
    value: u32,
    /// No growth before this moment.
    grow_at: Steady,
    /// No fall before this moment.
    fall_at: Steady,
}

impl Aimd {
    /// A value that starts at `value`, within the rules' bounds.
    pub fn new(rules: AimdRules, value: u32) -> Self {
        let floor = rules.floor.max(1);
        let rules = AimdRules {
            floor,
            ceiling: rules.ceiling.max(floor),
            remaining_percent: rules.remaining_percent.min(99),
            ..rules
        };
        let value = value.clamp(rules.floor, rules.ceiling);
        Self { rules, value, grow_at: Steady::default(), fall_at: Steady::default() }
    }

    /// The present value.
    pub fn value(&self) -> u32 {
        self.value
    }

    /// The dependency bore a call.
    pub fn succeeded(&mut self, now: Steady) {
        if now < self.grow_at {
            return;
        }
        self.value = self.value.saturating_add(self.rules.step).min(self.rules.ceiling);
        self.grow_at = now.after(self.rules.window);
    }

    /// The dependency said that it is too much (429, 503), or did not answer in time.
    pub fn was_refused(&mut self, now: Steady) {
        self.grow_at = self.grow_at.max(now.after(self.rules.window));
        if now < self.fall_at {
            return;
        }
        let remaining = u64::from(self.value) * u64::from(self.rules.remaining_percent) / 100;
        self.value = u32::try_from(remaining).unwrap_or(self.value).max(self.rules.floor);
        self.fall_at = now.after(self.rules.window);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: AimdRules =
        AimdRules { floor: 2, ceiling: 100, step: 5, remaining_percent: 50, window: Duration::from_secs(1) };

    fn milli(milli: u64) -> Steady {
        Steady::at(Duration::from_millis(milli))
    }

    #[test]
    fn a_burst_of_refusals_counts_as_one() {
        let mut aimd = Aimd::new(RULES, 80);
        (0..50).for_each(|at| aimd.was_refused(milli(at)));
        assert_eq!(aimd.value(), 40);
        aimd.was_refused(milli(1_000));
        assert_eq!(aimd.value(), 20);
    }

    #[test]
    fn it_grows_by_a_step_in_each_window_that_saw_no_refusal() {
        let mut aimd = Aimd::new(RULES, 10);
        (0..3_000).for_each(|at| aimd.succeeded(milli(at)));
        assert_eq!(aimd.value(), 25);
        aimd.was_refused(milli(3_000));
        aimd.succeeded(milli(3_999));
        assert_eq!(aimd.value(), 12);
        aimd.succeeded(milli(4_000));
        assert_eq!(aimd.value(), 17);
    }

    #[test]
    fn two_callers_of_one_server_come_to_equal_shares() {
        let mut callers = [Aimd::new(RULES, 90), Aimd::new(RULES, 5)];
        for at in (0..200_000).step_by(1_000) {
            let asked: u32 = callers.iter().map(Aimd::value).sum();
            for caller in &mut callers {
                if asked > 100 { caller.was_refused(milli(at)) } else { caller.succeeded(milli(at)) }
            }
        }
        let [left, right] = callers.map(|caller| caller.value());
        assert!(left.abs_diff(right) <= 5, "{left} {right}");
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds_and_changes_at_most_once_a_window_each_way(
            steps in prop::collection::vec((0..700_u64, any::<bool>()), 0..300),
            floor in 0..20_u32,
            ceiling in 0..200_u32,
            remaining_percent in 0..=120_u8,
            start: u32,
        ) {
            let rules = AimdRules { floor, ceiling, remaining_percent, ..RULES };
            let mut aimd = Aimd::new(rules, start);
            let (mut at, mut grown_at, mut fallen_at) = (0, None::<u64>, None::<u64>);
            for (millis, was_refused) in steps {
                at += millis;
                let before = aimd.value();
                if was_refused { aimd.was_refused(milli(at)) } else { aimd.succeeded(milli(at)) }
                prop_assert!(aimd.value() >= floor.max(1) && aimd.value() <= ceiling.max(floor).max(1));
                if aimd.value() > before {
                    prop_assert!(!was_refused && aimd.value() - before <= RULES.step);
                    prop_assert!([grown_at, fallen_at].into_iter().flatten().all(|last| at - last >= 1_000));
                    grown_at = Some(at);
                } else if aimd.value() < before {
                    prop_assert!(was_refused && fallen_at.is_none_or(|last| at - last >= 1_000));
                    fallen_at = Some(at);
                }
            }
        }
    }
}
