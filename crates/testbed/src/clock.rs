//! How long something takes.
//!
//! The only place that reads a clock: nothing here decides by the time of day, and what is timed are other
//! processes, whose time cannot be simulated.

use std::time::{Duration, Instant};

/// A measurement that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[allow(clippy::disallowed_methods, reason = "the one reading of a clock: real processes take real time")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    pub(crate) fn has_run(&self, limit: Duration) -> bool {
        self.elapsed() >= limit
    }
}
