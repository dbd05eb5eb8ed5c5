//! How many destructive acts a span of time may see: so many, and so large a share.
//!
//! The share is of the [`Base`]: all there were *before* anything was filtered out. A base that shrinks with what is
//! excluded, excused or already gone would let a budget of 10 % take everything, bit by bit.
//!
//! Knows no clock. Always holds: within any window, however it lies, no more acts were allowed than the smaller of count
//! and share, as it was when the last of them was allowed; and the share is rounded down, so that of nine objects 10 % is
//! none.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Steady;

/// Slices of a window. An act counts until the slice in which it happened has left the window, so up to a sixtieth longer
/// than it must: that bounds what is remembered.
const SLICES: u32 = 60;

/// All the objects that a share is of, before any was filtered out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Base(pub u64);

/// What a window may see. Without count and share it is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// At most so many.
    pub count: Option<u64>,
    /// At most so many percent of the base, rounded down; 100 and above is all of it.
    pub percent: Option<u8>,
    /// The length of the window. Zero counts as 60 ns.
    pub window: Duration,
}

impl Allowance {
    /// The most that a window may see: the smaller of count and share.
    pub fn limit(&self, base: Base) -> u64 {
        let share = self.percent.map(|percent| {
            let share = u128::from(base.0) * u128::from(percent.min(100)) / 100;
            u64::try_from(share).unwrap_or(base.0)
        });
        self.count.unwrap_or(u64::MAX).min(share.unwrap_or(u64::MAX))
    }
}

/// The budget has nothing left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the budget of {limit} is used up")]
pub struct Exhausted {
    /// What the window may see.
    pub limit: u64,
    /// When the next act is allowed, if the base stays; `None` if it never is, for the limit is 0.
    pub until: Option<Steady>,
}

/// Leave for one act, of a budget with this window: until when it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leave {
    counts_until: Steady,
    window: Duration,
}

/// An allowance, and what of it has been used.
#[derive(Clone, Debug)]
pub struct Budget {
    allowance: Allowance,
    used: u64,
    /// Acts by the moment until which they count, in order.
    slices: VecDeque<(Steady, u64)>,
}

impl Budget {
    /// An unused budget.
    pub fn new(allowance: Allowance) -> Self {
        Self { allowance, used: 0, slices: VecDeque::new() }
    }

    /// Takes leave for one act, or says when there will be one.
    pub fn take(&mut self, base: Base, now: Steady) -> Result<Leave, Exhausted> {
        self.take_within(self.allowance.limit(base), now)
    }

    /// The same with a limit of the caller's own instead of the allowance's.
    pub fn take_within(&mut self, limit: u64, now: Steady) -> Result<Leave, Exhausted> {
        self.forget_what_left_the_window(now);
        if self.used >= limit {
            return Err(Exhausted { limit, until: self.free_at(limit) });
        }
        let (counts_until, window) = (self.counts_until(now), self.allowance.window);
        self.used += 1;
        match self.slices.back_mut() {
            // Also if `now` went back: then it counts for longer.
            Some((until, count)) if *until >= counts_until => {
                *count += 1;
                Ok(Leave { counts_until: *until, window })
            }
            _ => {
                self.slices.push_back((counts_until, 1));
                Ok(Leave { counts_until, window })
            }
        }
    }

    /// Gives back leave that was taken and not used. Another act's leave, taken before or after, counts as long as it did;
    /// what counts no more, or was taken of a budget with another
    /// window, cannot be given back.
    pub fn give_back(&mut self, leave: Leave) {
        if leave.window != self.allowance.window {
            return;
        }
        let is_its = |(until, _): &(Steady, u64)| *until == leave.counts_until;
        let Some(at) = self.slices.iter().position(is_its) else { return };
        let Some((_, count)) = self.slices.get_mut(at) else { return };
        *count = count.saturating_sub(1);
        self.used = self.used.saturating_sub(1);
        if *count == 0 {
            self.slices.remove(at);
        }
    }

    /// Counts acts that somebody else did, as if they had been done now: the window may then see fewer, never more.
    pub fn charge(&mut self, acts: u64, now: Steady) {
        let counts_until = self.counts_until(now);
        match self.slices.back_mut() {
            Some((until, count)) if *until >= counts_until => *count += acts,
            _ if acts > 0 => self.slices.push_back((counts_until, acts)),
            _ => {}
        }
        self.used += acts;
    }

    /// How many acts count at this moment.
    pub fn used(&self, now: Steady) -> u64 {
        let gone: u64 =
            self.slices.iter().take_while(|(until, _)| *until <= now).map(|(_, count)| count).sum();
        self.used - gone
    }

    /// How many more acts there is leave for at this moment.
    pub fn left(&self, base: Base, now: Steady) -> u64 {
        self.allowance.limit(base).saturating_sub(self.used(now))
    }

    fn forget_what_left_the_window(&mut self, now: Steady) {
        while let Some((_, count)) = self.slices.pop_front_if(|(until, _)| *until <= now) {
            self.used -= count;
        }
    }

    /// When fewer than `limit` of the acts still count.
    fn free_at(&self, limit: u64) -> Option<Steady> {
        let mut used = self.used;
        self.slices.iter().find_map(|(until, count)| {
            used -= count;
            (used < limit).then_some(*until)
        })
    }

    /// The end of the slice that `now` lies in, and a window more.
    fn counts_until(&self, now: Steady) -> Steady {
        let slice = (self.allowance.window / SLICES).max(Duration::from_nanos(1));
        let since_start = now.since(Steady::default());
        let into_slice = u64::try_from(since_start.as_nanos() % slice.as_nanos()).unwrap_or(0);
        now.after(slice.saturating_sub(Duration::from_nanos(into_slice))).after(self.allowance.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn second(second: u64) -> Steady {
        Steady::at(Duration::from_secs(second))
    }

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn the_smaller_of_count_and_share_holds_and_a_share_is_rounded_down() {
        let rows = [
            (Some(5), Some(10), 100, 5),
            (Some(50), Some(10), 100, 10),
            (None, Some(10), 19, 1),
            (None, Some(10), 9, 0),
            (None, Some(200), 9, 9),
            (Some(3), None, 0, 3),
            (None, None, 0, u64::MAX),
        ];
        for (count, percent, base, limit) in rows {
            assert_eq!(Allowance { count, percent, window: HOUR }.limit(Base(base)), limit);
        }
    }

    #[test]
    fn what_somebody_else_did_counts_as_if_it_were_done_now() {
        let mut budget = Budget::new(Allowance { count: Some(5), percent: None, window: HOUR });
        budget.charge(3, second(10));
        assert_eq!((budget.used(second(10)), budget.left(Base(9), second(10))), (3, 2));
        assert_eq!(budget.used(second(10 + 2 * 3_600)), 0);
        assert_eq!(budget.take_within(3, second(20)).unwrap_err().limit, 3);
        assert!(budget.take_within(4, second(20)).is_ok());
    }

    #[test]
    fn a_budget_comes_back_when_it_said_it_would() {
        let mut budget = Budget::new(Allowance { count: Some(2), percent: None, window: HOUR });
        let base = Base(1_000);
        assert!(budget.take(base, second(10)).is_ok());
        assert!(budget.take(base, second(1_800)).is_ok());
        let until = budget.take(base, second(1_900)).unwrap_err().until.unwrap();
        assert!(until >= second(3_610) && until <= second(3_670), "{until:?}");
        assert_eq!(budget.left(base, until), 1);
        assert!(budget.take(base, until).is_ok());
        assert!(budget.take(base, until).is_err());
    }

    #[test]
    fn of_nothing_no_share_is_ever_allowed() {
        let mut budget = Budget::new(Allowance { count: None, percent: Some(50), window: HOUR });
        assert_eq!(budget.take(Base(1), second(0)), Err(Exhausted { limit: 0, until: None }));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_once() {
        let mut budget = Budget::new(Allowance { count: Some(1), percent: None, window: HOUR });
        let leave = budget.take(Base(1), second(0)).unwrap();
        budget.give_back(leave);
        budget.give_back(leave);
        assert!(budget.take(Base(1), second(0)).is_ok());
        assert!(budget.take(Base(1), second(0)).is_err());
    }

    #[test]
    fn what_is_given_back_late_takes_nothing_from_a_later_act() {
        let mut budget = Budget::new(Allowance { count: Some(2), percent: None, window: HOUR });
        let first = budget.take(Base(9), second(0)).unwrap();
        budget.take(Base(9), second(1_800)).unwrap();
        budget.give_back(first);
        assert!(budget.take(Base(9), second(1_900)).is_ok());
        // Both still count when the first would not.
        assert!(budget.take(Base(9), second(3_700)).is_err());
        budget.give_back(first);
        assert!(budget.take(Base(9), second(3_700)).is_err());
        let shorter = Allowance { count: Some(1), percent: None, window: HOUR / 2 };
        let foreign = Budget::new(shorter).take(Base(9), second(3_700)).unwrap();
        budget.give_back(foreign);
        assert!(budget.take(Base(9), second(3_700)).is_err());
    }

    proptest! {
        #[test]
        fn no_window_ever_sees_more_than_allowed(
            steps in prop::collection::vec((0..900_u64, 0..200_u64), 1..300),
            count in prop::option::of(0..20_u64),
            percent in prop::option::of(0..=100_u8),
        ) {
            let allowance = Allowance { count, percent, window: HOUR };
            let mut budget = Budget::new(allowance);
            let mut taken: Vec<u64> = Vec::new();
            let mut now = 0;
            for (step, base) in steps {
                now += step;
                let left = budget.left(Base(base), second(now));
                let allowed = budget.take(Base(base), second(now));
                prop_assert_eq!(allowed.is_ok(), left > 0);
                if allowed.is_ok() {
                    taken.push(now);
                    let within = taken.iter().filter(|at| now - **at < 3_600).count();
                    prop_assert!(u64::try_from(within).unwrap() <= allowance.limit(Base(base)));
                }
                prop_assert!(budget.slices.len() <= 2 + SLICES as usize);
            }
        }
    }
}
