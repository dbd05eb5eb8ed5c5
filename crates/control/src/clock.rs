//! Where time comes from.
//!
//! Decisions take `now` as an argument; shells get it from a [`Clock`]. Only [`SystemClock`] reads the machine's time.
//! There are two times: the wall clock, which timestamps in a cluster are written in and which may jump, and the steady
//! clock, which only grows and is meant for spans.

use std::sync::OnceLock;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The environment variable that shifts the wall clock of a debug build by so many seconds, such as `-300`.
pub const CLOCK_OFFSET_VARIABLE: &str = "GROUNDSKEEPER_CLOCK_OFFSET_SECONDS";

/// The environment variable that makes both clocks of a debug build run at another rate, in percent, such as `140`.
pub const CLOCK_RATE_VARIABLE: &str = "GROUNDSKEEPER_CLOCK_RATE_PERCENT";

/// A source of time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present moment by the wall clock. Objects expire by it, for that is what their timestamps are written in.
    fn now(&self) -> Timestamp;

    /// The present moment by the steady clock.
    fn steady(&self) -> Steady;
}

/// A moment of the steady clock: the time since some moment before this process made its first use of it.
///
/// It never goes back, and it goes on while the process is stopped and while the machine sleeps, so that a lease does not
/// outlive the sleep of its holder. It means nothing to another process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Steady(Duration);

impl Steady {
    /// The moment at which so much time has passed on the steady clock.
    pub const fn at(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// The time from an earlier moment to this one; zero if that one is later.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment so much later.
    #[must_use]
    pub const fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

/// The machine's own clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        if !cfg!(debug_assertions) {
            return now;
        }
        let skew = skew();
        let gained = self.steady().0.saturating_sub(since_start());
        now.saturating_add(skew.offset).and_then(|now| now.saturating_add(gained)).unwrap_or(now)
    }

    fn steady(&self) -> Steady {
        let passed = since_start();
        if !cfg!(debug_assertions) {
            return Steady(passed);
        }
        Steady(passed.saturating_mul(skew().rate_percent) / 100)
    }
}

/// The time since this was first asked.
fn since_start() -> Duration {
    static STARTED: OnceLock<Duration> = OnceLock::new();
    let now = boot_time();
    now.saturating_sub(*STARTED.get_or_init(|| now))
}

/// The time since the machine started, its sleep included. `std::time::Instant` leaves that out on Linux.
fn boot_time() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    let now = rustix::time::clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// How the clocks of this process differ from the machine's, for tests.
#[derive(Clone, Copy, Debug)]
struct Skew {
    offset: SignedDuration,
    rate_percent: u32,
}

fn skew() -> Skew {
    static SKEW: OnceLock<Skew> = OnceLock::new();
    *SKEW.get_or_init(|| {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<i64>().ok());
        Skew {
            offset: SignedDuration::from_secs(number(CLOCK_OFFSET_VARIABLE).unwrap_or(0)),
            rate_percent: number(CLOCK_RATE_VARIABLE)
                .and_then(|rate| u32::try_from(rate).ok())
                .unwrap_or(100)
                .clamp(1, 1_000),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steady_clock_only_grows() {
        let clock = SystemClock;
        let earlier = clock.steady();
        let later = clock.steady();
        assert!(later >= earlier);
        assert_eq!(earlier.since(later.after(Duration::from_secs(1))), Duration::ZERO);
        assert_eq!(earlier.after(Duration::from_secs(2)).since(earlier), Duration::from_secs(2));
    }
}
