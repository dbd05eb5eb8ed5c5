//! Whether we are alive, whether we are ready, and whether we have started.
//!
//! Alive: each loop has ticked within its own bound. Ready: each named check passes. Both are registered by whoever runs
//! the loop or knows the answer; this module knows none of them. A standby is ready: it could take over.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use control::{Clock, Steady};

/// The state of one program, written by its loops and read by probes.
#[derive(Clone, Debug)]
pub struct Health(Arc<State>);

#[derive(Debug)]
struct State {
    clock: Arc<dyn Clock>,
    loops: Mutex<BTreeMap<&'static str, Arc<Loop>>>,
    checks: Mutex<BTreeMap<&'static str, Result<(), String>>>,
    started: AtomicBool,
}

#[derive(Debug)]
struct Loop {
    bound: Duration,
    /// Milliseconds of the steady clock.
    last_tick: AtomicU64,
}

/// A loop's pulse. Dropping it says that the loop has ended as it should.
#[derive(Debug)]
pub struct Ticker {
    name: &'static str,
    of: Arc<Loop>,
    health: Health,
}

/// Something that has to hold before we are ready. Dropping it takes the check away.
#[derive(Debug)]
pub struct Check {
    name: &'static str,
    health: Health,
}

/// The answer to a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// All is well.
    pub(crate) passed: bool,
    /// A line for each loop or check, as Kubernetes' own probes write it.
    pub(crate) lines: String,
}

impl Health {
    /// Of a program that has no loops and no checks yet, and has not started.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(State {
            clock,
            loops: Mutex::default(),
            checks: Mutex::default(),
            started: AtomicBool::new(false),
        }))
    }

    /// A loop that will tick at least once within every span of this length, from now on.
    pub fn register(&self, name: &'static str, bound: Duration) -> Ticker {
        let of = Arc::new(Loop { bound, last_tick: AtomicU64::new(milliseconds(self.0.clock.steady())) });
        locked(&self.0.loops).insert(name, Arc::clone(&of));
        Ticker { name, of, health: self.clone() }
    }

    /// Something that has to hold before we are ready; it does not hold yet.
    pub fn check(&self, name: &'static str) -> Check {
        locked(&self.0.checks).insert(name, Err("starting".to_owned()));
        Check { name, health: self.clone() }
    }

    /// The start is over: configuration is read, listeners are open, every loop and every check is registered.
    pub fn started(&self) {
        self.0.started.store(true, Ordering::Relaxed);
    }

    /// Whether every loop has ticked within its bound.
    pub(crate) fn liveness(&self) -> Report {
        let now = milliseconds(self.0.clock.steady());
        Report::of(locked(&self.0.loops).iter().map(|(name, of)| {
            let silent = Duration::from_millis(now.saturating_sub(of.last_tick.load(Ordering::Relaxed)));
            let late = (silent > of.bound).then(|| format!("has not come round for {} s", silent.as_secs()));
            (*name, late)
        }))
    }

    /// Whether every check passes, after the start.
    pub(crate) fn readiness(&self) -> Report {
        let started = ("start", (!self.has_started()).then(|| "not over yet".to_owned()));
        let checks = locked(&self.0.checks);
        let results = checks.iter().map(|(name, result)| (*name, result.clone().err()));
        Report::of(std::iter::once(started).chain(results))
    }

    /// Whether the start is over.
    pub(crate) fn startup(&self) -> Report {
        Report::of(std::iter::once(("start", (!self.has_started()).then(|| "not over yet".to_owned()))))
    }

    fn has_started(&self) -> bool {
        self.0.started.load(Ordering::Relaxed)
    }
}

impl Ticker {
    /// The loop has come round once more.
    pub fn tick(&self) {
        self.of.last_tick.store(milliseconds(self.health.0.clock.steady()), Ordering::Relaxed);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        let mut loops = locked(&self.health.0.loops);
        if loops.get(self.name).is_some_and(|known| Arc::ptr_eq(known, &self.of)) {
            loops.remove(self.name);
        }
    }
}

impl Check {
    /// It holds.
    pub fn pass(&self) {
        self.set(Ok(()));
    }

    /// It does not hold, and this is why: a sentence that says what to do.
    pub fn fail(&self, why: &str) {
        let mut checks = locked(&self.health.0.checks);
        if checks.get(self.name).is_none_or(|known| known.as_ref().err().map(String::as_str) != Some(why)) {
            checks.insert(self.name, Err(why.to_owned()));
        }
    }

    fn set(&self, result: Result<(), String>) {
        locked(&self.health.0.checks).insert(self.name, result);
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        locked(&self.health.0.checks).remove(self.name);
    }
}

impl Report {
    /// From names, each with what is wrong with it.
    fn of(results: impl Iterator<Item = (&'static str, Option<String>)>) -> Self {
        let (mut passed, mut lines) = (true, String::new());
        for (name, wrong) in results {
            passed &= wrong.is_none();
            lines += &match wrong {
                None => format!("[+] {name}: ok\n"),
                Some(wrong) => format!("[-] {name}: {wrong}\n"),
            };
        }
        Self { passed, lines }
    }
}

fn milliseconds(at: Steady) -> u64 {
    u64::try_from(at.since(Steady::default()).as_millis()).unwrap_or(u64::MAX)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[derive(Debug, Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }

        fn steady(&self) -> Steady {
            Steady::at(Duration::from_secs(self.0.load(Ordering::Relaxed)))
        }
    }

    #[test]
    fn every_loop_has_a_bound_of_its_own() {
        let clock = Arc::new(Hand::default());
        let health = Health::new(clock.clone());
        let quick = health.register("quick", Duration::from_secs(5));
        let slow = health.register("slow", Duration::from_mins(1));
        clock.0.store(6, Ordering::Relaxed);
        assert_eq!(
            health.liveness(),
            Report { passed: false, lines: "[-] quick: has not come round for 6 s\n[+] slow: ok\n".into() }
        );
        quick.tick();
        assert!(health.liveness().passed);
        clock.0.store(62, Ordering::Relaxed);
        drop(quick);
        assert_eq!(health.liveness().lines, "[-] slow: has not come round for 62 s\n");
        drop(slow);
        assert!(health.liveness().passed, "a loop that has ended owes no tick");
    }

    #[test]
    fn ready_is_when_the_start_is_over_and_every_check_passes() {
        let health = Health::new(Arc::new(Hand::default()));
        let (policies, ledger) = (health.check("policies"), health.check("ledger"));
        policies.pass();
        ledger.pass();
        assert!(!health.readiness().passed && !health.startup().passed);
        health.started();
        assert!(health.readiness().passed && health.startup().passed);
        ledger.fail("the disk is full");
        assert_eq!(
            health.readiness().lines,
            "[-] ledger: the disk is full\n[+] policies: ok\n".replace("[-]", "[+] start: ok\n[-]")
        );
        assert!(health.startup().passed);
        drop(ledger);
        assert!(health.readiness().passed);
    }
}
