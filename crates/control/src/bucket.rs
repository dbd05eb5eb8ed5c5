//! A token bucket: so many acts per second, and a bounded burst.
//!
//! Knows no clock. Time that runs backwards adds nothing and takes nothing away. Integers only: tokens are counted in
//! nanoseconds of the time that one of them takes, so that nothing drifts.

use std::time::Duration;

use jiff::Timestamp;

/// At most `rate` tokens per second, of which at most `burst` may be saved up.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    /// Nanoseconds that one token takes to grow.
    cost: i128,
    /// Nanoseconds that may be saved up.
    most: i128,
    /// The moment from which on growth has been spent: what lies between it and now is saved up.
    spent_until: i128,
}

impl TokenBucket {
    /// A full bucket. A `rate` of 0 counts as 1, and the `burst` is at least one token.
    pub fn new(rate: u32, burst: u32, now: Timestamp) -> Self {
        let cost = 1_000_000_000 / i128::from(rate.max(1));
        let most = cost * i128::from(burst.max(1));
        Self { cost, most, spent_until: now.as_nanosecond() - most }
    }

    /// Takes a token, or says when the next one will be there.
    pub fn take(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        let at = self.available_at(now);
        if at > now {
            return Err(at);
        }
        self.spent_until = self.floor(now) + self.cost;
        Ok(())
    }

    /// Gives back a token that was taken and not used.
    pub fn give_back(&mut self) {
        self.spent_until -= self.cost;
    }

    /// The earliest moment at which a token can be taken: `now` if one is there.
    pub fn available_at(&self, now: Timestamp) -> Timestamp {
        let ready = self.floor(now) + self.cost;
        if ready <= now.as_nanosecond() {
            return now;
        }
        let wait = u64::try_from(ready - now.as_nanosecond()).unwrap_or(u64::MAX);
        now.checked_add(Duration::from_nanos(wait)).unwrap_or(Timestamp::MAX)
    }

    /// Where spending stands, without what was saved beyond the burst; a clock that was set back is believed.
    fn floor(&self, now: Timestamp) -> i128 {
        let now = now.as_nanosecond();
        self.spent_until.clamp(now - self.most, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn in_any_span_at_most_burst_plus_rate_times_the_span_are_taken(
            rate in 1..2_000_u32,
            burst in 1..100_u32,
            steps in prop::collection::vec(0..50_000_000_i64, 1..400),
        ) {
            let mut now = Timestamp::UNIX_EPOCH;
            let mut bucket = TokenBucket::new(rate, burst, now);
            let mut taken = 0_u64;
            for step in steps {
                now = now.checked_add(Duration::from_nanos(step.unsigned_abs())).unwrap();
                while bucket.take(now).is_ok() {
                    taken += 1;
                }
                // A cost that does not divide a second is rounded down: allow what that adds up to.
                let allowed = u64::from(burst) + u64::try_from(now.as_nanosecond()).unwrap() / (1_000_000_000 / u64::from(rate));
                prop_assert!(taken <= allowed, "{taken} taken of {allowed}");
            }
        }
    }

    #[test]
    fn a_token_is_there_when_the_bucket_said_it_would_be() {
        let now = Timestamp::UNIX_EPOCH;
        let mut bucket = TokenBucket::new(3, 1, now);
        assert_eq!(bucket.take(now), Ok(()));
        let at = bucket.take(now).unwrap_err();
        assert_eq!(bucket.take(at), Ok(()));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_the_bucket() {
        let late = Timestamp::from_second(1_000_000).unwrap();
        let early = Timestamp::from_second(10).unwrap();
        let mut bucket = TokenBucket::new(10, 1, late);
        assert_eq!(bucket.take(late), Ok(()));
        let at = bucket.available_at(early);
        assert!(at.duration_since(early).as_secs() < 1, "{at}");
    }

    #[test]
    fn a_token_given_back_can_be_taken_again() {
        let now = Timestamp::UNIX_EPOCH;
        let mut bucket = TokenBucket::new(1, 1, now);
        assert_eq!(bucket.take(now), Ok(()));
        bucket.give_back();
        assert_eq!(bucket.take(now), Ok(()));
        assert!(bucket.take(now).is_err());
    }
}
