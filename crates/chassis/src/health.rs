//! Whether we are alive, and whether we are ready.
//!
//! Alive: the main loop has ticked within its bound. Ready: everything that decisions rest on is up to date.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use control::Clock;

use crate::limits::LIVENESS_SILENCE_MAX;

/// The state of one program, written by its loops and read by probes.
#[derive(Clone, Debug)]
pub struct Health(Arc<State>);

#[derive(Debug)]
struct State {
    clock: Arc<dyn Clock>,
    last_tick_second: AtomicI64,
    ready: AtomicBool,
    why_not: Mutex<String>,
}

impl Health {
    /// Alive as of now, and not ready.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let last_tick_second = AtomicI64::new(clock.now().as_second());
        let why_not = Mutex::new("starting".to_owned());
        Self(Arc::new(State { clock, last_tick_second, ready: AtomicBool::new(false), why_not }))
    }

    /// The main loop has come round once more.
    pub fn tick(&self) {
        self.0.last_tick_second.store(self.0.clock.now().as_second(), Ordering::Relaxed);
    }

    /// Everything that decisions rest on is up to date.
    pub fn ready(&self) {
        self.0.ready.store(true, Ordering::Relaxed);
    }

    /// Something is not up to date.
    pub fn not_ready(&self, why: &str) {
        if self.0.ready.swap(false, Ordering::Relaxed) || self.why_not() != why {
            why.clone_into(&mut self.0.why_not.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Whether the main loop has ticked within its bound; else for how many seconds it has not.
    pub(crate) fn liveness(&self) -> Result<(), i64> {
        let silent = self.0.clock.now().as_second() - self.0.last_tick_second.load(Ordering::Relaxed);
        let most = i64::try_from(LIVENESS_SILENCE_MAX.as_secs()).unwrap_or(i64::MAX);
        if silent <= most { Ok(()) } else { Err(silent) }
    }

    /// Whether all is up to date; else what is not.
    pub(crate) fn readiness(&self) -> Result<(), String> {
        if self.0.ready.load(Ordering::Relaxed) { Ok(()) } else { Err(self.why_not()) }
    }

    fn why_not(&self) -> String {
        self.0.why_not.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
