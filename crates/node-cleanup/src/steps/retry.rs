//! How often a failed step is tried again, and after which pause.

use std::hash::{DefaultHasher, Hash, Hasher};

use api::node_cleanup::StepRetry;
use jiff::SignedDuration;
use units::Span;

use super::InvalidSteps;
use super::step::{bounded, span};
use crate::limits::{
    BACKOFF_PERCENT_DEFAULT, BACKOFF_PERCENT_MAX, BACKOFF_PERCENT_MIN, RETRY_DELAY_MAX_SECONDS_DEFAULT,
    RETRY_DELAY_SECONDS_DEFAULT, RETRY_DELAY_SECONDS_MAX, STEP_RETRIES_DEFAULT, STEP_RETRIES_MAX,
};

/// How often a failed step is tried again, and after which pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// So many times after the first attempt.
    pub retries_max: u32,
    /// The pause before the first retry.
    pub first_pause: Span,
    /// The longest pause.
    pub longest_pause: Span,
    /// How long a pause is in percent of the one before, from 100 on.
    pub growth_percent: u32,
}

impl Retry {
    /// Reads what a step says.
    pub(super) fn compile(step: &str, given: Option<&StepRetry>) -> Result<Self, InvalidSteps> {
        let StepRetry { max_retries, initial_delay, max_delay, backoff_percent } =
            given.cloned().unwrap_or_default();
        let pause = |field, text: Option<&str>, seconds| {
            span(step, field, text, RETRY_DELAY_SECONDS_MAX)
                .map(|pause| pause.unwrap_or(Span::from_seconds(seconds)))
        };
        let first_pause = pause("retry.initialDelay", initial_delay.as_deref(), RETRY_DELAY_SECONDS_DEFAULT)?;
        let longest = pause("retry.maxDelay", max_delay.as_deref(), RETRY_DELAY_MAX_SECONDS_DEFAULT)?;
        if max_delay.is_some() && longest < first_pause {
            return Err(InvalidSteps::PausesCrossed { step: step.into(), first_pause, longest });
        }
        let growth = backoff_percent.unwrap_or(BACKOFF_PERCENT_DEFAULT);
        let growth_percent =
            bounded(step, "retry.backoffPercent", growth, BACKOFF_PERCENT_MIN..=BACKOFF_PERCENT_MAX)?;
        let retries = max_retries.unwrap_or(STEP_RETRIES_DEFAULT);
        let retries_max = bounded(step, "retry.maxRetries", retries, 0..=STEP_RETRIES_MAX)?;
        Ok(Self { retries_max, first_pause, longest_pause: longest.max(first_pause), growth_percent })
    }

    /// Whether a step of which so many attempts have failed is tried again.
    pub const fn allows(&self, attempts: u32) -> bool {
        attempts <= self.retries_max
    }

    /// How long to wait after so many failed attempts: between four fifths of the pause and the whole of it, drawn from the
    /// seed, so that nodes whose steps failed together do not come back together.
    pub fn pause_after(&self, attempts: u32, seed: u64) -> SignedDuration {
        let longest = self.longest_pause.milliseconds();
        let mut pause = self.first_pause.milliseconds();
        for _ in 1..attempts {
            let longer = pause.saturating_mul(u64::from(self.growth_percent)) / 100;
            if pause >= longest || longer == pause {
                break;
            }
            pause = longer;
        }
        let pause = pause.min(longest);
        let least = pause / 5 * 4;
        let jitter = drawn(seed, attempts) % (pause - least + 1);
        SignedDuration::from_millis(i64::try_from(least + jitter).unwrap_or(i64::MAX))
    }
}

fn drawn(seed: u64, attempts: u32) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, attempts).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn retry(text: &str) -> Retry {
        Retry::compile("tell", serde_json::from_str(text).ok().as_ref()).unwrap()
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let retry =
            retry(r#"{"initialDelay": "10s", "maxDelay": "1m", "backoffPercent": 200, "maxRetries": 9}"#);
        for (attempts, seconds) in [(1, 10), (2, 20), (3, 40), (4, 60), (1_000, 60)] {
            for seed in 0..50 {
                let pause = retry.pause_after(attempts, seed).as_millis();
                assert!((seconds * 800..=seconds * 1_000).contains(&pause), "{pause} after {attempts}");
            }
        }
        let pauses: std::collections::BTreeSet<_> = (0..100).map(|seed| retry.pause_after(1, seed)).collect();
        assert!(pauses.len() > 80, "steps that failed together come back apart");
        assert!(retry.allows(9) && !retry.allows(10));
    }

    #[test]
    fn what_is_not_said_is_as_documented() {
        let wanted = Retry {
            retries_max: 5,
            first_pause: Span::from_seconds(10),
            longest_pause: Span::from_seconds(300),
            growth_percent: 200,
        };
        assert_eq!(Retry::compile("tell", None), Ok(wanted));
        assert_eq!(retry(r#"{"initialDelay": "10m"}"#).longest_pause, Span::from_seconds(600));
    }

    proptest! {
        #[test]
        fn no_pause_leaves_its_bounds(
            first in 1..86_400_u64, longest in 1..86_400_u64, growth in 100..=1_000_u32, attempts in 0..2_000_u32, seed: u64,
        ) {
            let longest = longest.max(first);
            let retry = Retry {
                retries_max: 1_000,
                first_pause: Span::from_seconds(first),
                longest_pause: Span::from_seconds(longest),
                growth_percent: growth,
            };
            let pause = retry.pause_after(attempts, seed).as_millis();
            prop_assert!(pause >= i128::from(first) * 800 && pause <= i128::from(longest) * 1_000);
        }
    }
}
