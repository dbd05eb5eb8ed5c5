//! How long a lease lasts, and how its holder keeps it.

use std::time::Duration;

/// The longest lease: nobody acts for that long after its holder died, and no record in a cluster is believed to promise
/// more, lest a typing error locks everybody out.
const DURATION_MAX: Duration = Duration::from_mins(10);

/// The shortest pause between two tries: less would be felt by the API server.
const RETRY_PERIOD_MIN: Duration = Duration::from_millis(100);

/// The terms of a lease. client-go's names and defaults: 15 s, 10 s, 2 s.
///
/// `duration / renew_deadline` is how much faster a standby's clock may run than the holder's before two could believe
/// themselves the holder: 1.5 by default. Takeover after a sudden death takes at most the duration and 0.6 retry periods,
/// and one round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseTerms {
    pub(super) duration: Duration,
    pub(super) renew_deadline: Duration,
    pub(super) retry_period: Duration,
}

/// Terms that contradict each other, or that a lease cannot express.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTerms {
    /// The cluster counts a lease's duration in whole seconds.
    #[error("a lease duration of {0:?} cannot be written: write whole seconds, from 1s to {DURATION_MAX:?}")]
    Duration(Duration),
    /// The holder has to stop before another may begin.
    #[error(
        "a renew deadline of {renew_deadline:?} does not end before the lease of {duration:?}: write less, such as {:?}",
        *duration * 2 / 3
    )]
    RenewDeadline {
        /// What was asked for.
        renew_deadline: Duration,
        /// The lease duration beside it.
        duration: Duration,
    },
    /// The holder needs more than one try within its deadline.
    #[error(
        "a retry period of {retry_period:?} leaves no second try within the renew deadline of {renew_deadline:?}: \
         write from {RETRY_PERIOD_MIN:?} to less than {:?}",
        *renew_deadline * 5 / 6
    )]
    RetryPeriod {
        /// What was asked for.
        retry_period: Duration,
        /// The renew deadline beside it.
        renew_deadline: Duration,
    },
}

impl LeaseTerms {
    /// 15 s, 10 s, 2 s.
    pub const DEFAULT: Self = Self {
        duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry_period: Duration::from_secs(2),
    };

    /// Terms that hold together: whole seconds of `duration`, from 1 s to 10 min; `renew_deadline` below it; and
    /// `retry_period` of at least 100 ms, such that 1.2 of it are below the renew deadline (client-go's rule).
    pub fn new(
        duration: Duration,
        renew_deadline: Duration,
        retry_period: Duration,
    ) -> Result<Self, InvalidTerms> {
        if duration.subsec_nanos() != 0 || duration < Duration::from_secs(1) || duration > DURATION_MAX {
            return Err(InvalidTerms::Duration(duration));
        }
        if renew_deadline >= duration {
            return Err(InvalidTerms::RenewDeadline { renew_deadline, duration });
        }
        if retry_period < RETRY_PERIOD_MIN || retry_period.saturating_mul(6) >= renew_deadline * 5 {
            return Err(InvalidTerms::RetryPeriod { retry_period, renew_deadline });
        }
        Ok(Self { duration, renew_deadline, retry_period })
    }

    /// How long a standby waits after the record last changed before it takes over.
    pub const fn duration(self) -> Duration {
        self.duration
    }

    /// How long after a renewal was decided its holder may act.
    pub const fn renew_deadline(self) -> Duration {
        self.renew_deadline
    }

    /// How often the holder renews, and how long it waits after a refusal.
    pub const fn retry_period(self) -> Duration {
        self.retry_period
    }

    /// How long a foreign record's promise lasts: what it says, within bounds; our own duration if it says nothing.
    pub(super) fn promised(self, by_record: Duration) -> Duration {
        if by_record.is_zero() { self.duration } else { by_record.min(DURATION_MAX) }
    }
}

impl Default for LeaseTerms {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(duration: u64, renew_deadline: u64, retry_period: u64) -> Result<LeaseTerms, InvalidTerms> {
        let [duration, renew_deadline, retry_period] =
            [duration, renew_deadline, retry_period].map(Duration::from_millis);
        LeaseTerms::new(duration, renew_deadline, retry_period)
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(terms(15_000, 10_000, 2_000), Ok(LeaseTerms::DEFAULT));
        assert!(terms(4_000, 3_000, 1_000).is_ok());
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_words_that_say_what_to_write() {
        let rows = [
            (
                1_500,
                1_000,
                200,
                "a lease duration of 1.5s cannot be written: write whole seconds, from 1s to 600s",
            ),
            (0, 0, 0, "a lease duration of 0ns cannot be written: write whole seconds, from 1s to 600s"),
            (
                601_000,
                10_000,
                2_000,
                "a lease duration of 601s cannot be written: write whole seconds, from 1s to 600s",
            ),
            (
                15_000,
                15_000,
                2_000,
                "a renew deadline of 15s does not end before the lease of 15s: write less, such as 10s",
            ),
            (
                15_000,
                12_000,
                10_000,
                "a retry period of 10s leaves no second try within the renew deadline of 12s: write from 100ms to less than 10s",
            ),
            (
                15_000,
                10_000,
                99,
                "a retry period of 99ms leaves no second try within the renew deadline of 10s: write from 100ms to less than 8.333333333s",
            ),
        ];
        for (duration, renew_deadline, retry_period, words) in rows {
            let error = terms(duration, renew_deadline, retry_period).unwrap_err();
            assert_eq!(error.to_string(), words);
        }
    }
}
