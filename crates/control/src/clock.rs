//! Where time comes from.
//!
//! Decisions take `now` as an argument; shells get it from a [`Clock`]. Only [`SystemClock`] reads the machine's time.

use jiff::Timestamp;

/// A source of wall-clock time. Objects expire by the wall clock, for that is what their timestamps are written in.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
