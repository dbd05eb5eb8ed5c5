//! How much a policy may delete in a span of time, and of how many.

use std::time::Duration;

use api::garbage_collection::DeletionBudget;
use api::limits::BUDGET_COUNT_MAX;

use crate::invalid::Invalid;
use crate::limits::{
    BUDGET_COUNT_DEFAULT, BUDGET_PERCENT_DEFAULT, BUDGET_WINDOW_DEFAULT, BUDGET_WINDOW_MAX, BUDGET_WINDOW_MIN,
};
use crate::policy::{between, within};

/// How much a policy may delete in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetRule {
    allowance: Allowance,
    /// The span of time.
    pub window: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allowance {
    /// The larger of our count and our share: a small namespace is not held up, a large one not emptied.
    Default,
    /// The smaller of those that were given.
    Given { count: Option<u64>, percent: Option<u8> },
}

impl BudgetRule {
    pub(crate) fn compile(budget: Option<&DeletionBudget>) -> Result<Self, Invalid> {
        let Some(DeletionBudget { count, percent, window }) = budget else {
            return Ok(Self { allowance: Allowance::Default, window: BUDGET_WINDOW_DEFAULT });
        };
        if count.is_none() && percent.is_none() {
            let problem = "write count or percent; `percent: 100` sets no limit".to_owned();
            return Err(Invalid::Field { field: "budget", problem });
        }
        within("budget.count", count.unwrap_or(0), 0, BUDGET_COUNT_MAX)?;
        within("budget.percent", i64::from(percent.unwrap_or(0)), 0, 100)?;
        let window = match window {
            Some(text) => between("budget.window", text, BUDGET_WINDOW_MIN, BUDGET_WINDOW_MAX)?,
            None => BUDGET_WINDOW_DEFAULT,
        };
        let count = count.and_then(|count| u64::try_from(count).ok());
        Ok(Self { allowance: Allowance::Given { count, percent: *percent }, window })
    }

    /// At most so many deletions in the window, of so many objects that there are before anything is selected.
    ///
    /// A share is rounded down; of 100 percent there is no limit, for objects come and go within a window.
    pub fn limit(&self, base: u64) -> u64 {
        let share = |percent: u8| match percent {
            100.. => u64::MAX,
            _ => u64::try_from(u128::from(base) * u128::from(percent) / 100).unwrap_or(u64::MAX),
        };
        match self.allowance {
            Allowance::Default => BUDGET_COUNT_DEFAULT.max(share(BUDGET_PERCENT_DEFAULT)),
            Allowance::Given { count, percent } => {
                count.unwrap_or(u64::MAX).min(percent.map_or(u64::MAX, share))
            }
        }
    }

    /// Whether the limit depends on how many objects there are.
    pub fn is_share(&self) -> bool {
        match self.allowance {
            Allowance::Default => true,
            Allowance::Given { percent, .. } => percent.is_some_and(|percent| (1..100).contains(&percent)),
        }
    }

    /// Whether there is a limit, whatever the base.
    pub fn is_limited(&self) -> bool {
        self.limit(0) < u64::MAX
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn limit(count: Option<i64>, percent: Option<u8>, base: u64) -> u64 {
        BudgetRule::compile(Some(&DeletionBudget { count, percent, window: None })).unwrap().limit(base)
    }

    #[test]
    fn the_smaller_of_count_and_share_holds() {
        assert_eq!(limit(Some(5), Some(10), 1_000), 5);
        assert_eq!(limit(Some(500), Some(10), 1_000), 100);
        assert_eq!(limit(None, Some(10), 19), 1);
        assert_eq!(limit(None, Some(10), 9), 0);
        assert_eq!(limit(Some(0), None, 9), 0);
        assert_eq!(limit(None, Some(100), 9), u64::MAX);
    }

    #[test]
    fn only_a_share_asks_how_many_objects_there_are() {
        let is_share = |count, percent| {
            BudgetRule::compile(Some(&DeletionBudget { count, percent, window: None })).unwrap().is_share()
        };
        assert!(BudgetRule::compile(None).unwrap().is_share() && is_share(Some(9), Some(1)));
        assert!(!is_share(Some(9), None) && !is_share(None, Some(100)) && !is_share(None, Some(0)));
    }

    #[test]
    fn without_a_budget_fifty_or_a_tenth_may_go_in_an_hour() {
        let budget = BudgetRule::compile(None).unwrap();
        assert_eq!((budget.limit(0), budget.limit(400), budget.limit(10_000)), (50, 50, 1_000));
        assert_eq!(budget.window, Duration::from_hours(1));
    }

    #[test]
    fn a_budget_without_bounds_is_told_what_to_write() {
        let error = BudgetRule::compile(Some(&DeletionBudget::default())).unwrap_err().to_string();
        assert_eq!(error, "budget: write count or percent; `percent: 100` sets no limit");
        let odd = DeletionBudget { count: Some(1), percent: None, window: Some("5s".to_owned()) };
        let error = BudgetRule::compile(Some(&odd)).unwrap_err().to_string();
        assert!(error.contains("budget.window") && error.contains("1m"), "{error}");
    }
}
