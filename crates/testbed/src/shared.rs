//! One control plane for all tests of a program, or some of which each test has one to itself for its time.

use tokio::sync::{Mutex, MutexGuard, OnceCell, Semaphore, SemaphorePermit};

use crate::control_plane::{ControlPlane, StartError};
use crate::options::Options;

static SHARED: Shared = Shared::new(Options::new);

/// A place for a control plane that the first test starts and every other one uses.
///
/// Each test takes a namespace and clients of its own: a client belongs to the runtime of the test that made it. The
/// place is a static and is never dropped; the servers end with the program all the same.
///
/// ```no_run
/// static CLUSTER: testbed::Shared = testbed::Shared::new(testbed::Options::api_server_only);
/// # async fn a_test() {
/// let cluster = CLUSTER.get().await.unwrap();
/// # }
/// ```
#[derive(Debug)]
pub struct Shared {
    options: fn() -> Options,
    started: OnceCell<Result<ControlPlane, StartError>>,
}

impl Shared {
    /// An empty place; `options` are asked for when the first test comes.
    pub const fn new(options: fn() -> Options) -> Self {
        Self { options, started: OnceCell::const_new() }
    }

    /// The control plane, started if need be. A failed start is not repeated: every test gets the same error.
    pub async fn get(&'static self) -> Result<&'static ControlPlane, &'static StartError> {
        self.started.get_or_init(|| ControlPlane::start((self.options)())).await.as_ref()
    }
}

impl ControlPlane {
    /// The control plane with every part that all tests of this program share; see [`Shared`] for one with options.
    pub async fn shared() -> Result<&'static Self, &'static StartError> {
        SHARED.get().await
    }
}

/// Places for so many control planes, each of which one test at a time has to itself.
///
/// For tests that change what a whole cluster has, or that start programs of which a cluster may have but one. A place's
/// control plane is started by the first test that finds all earlier ones taken, so a test that runs alone starts one.
///
/// ```no_run
/// static CLUSTERS: testbed::Turns<2> = testbed::Turns::new(testbed::Options::api_server_only);
/// # async fn a_test() {
/// let (_turn, cluster) = CLUSTERS.take().await.unwrap();
/// # }
/// ```
#[derive(Debug)]
pub struct Turns<const PLACES: usize> {
    options: fn() -> Options,
    places: [Place; PLACES],
    free: Semaphore,
}

/// A test's turn: until it is dropped, nobody else has the control plane that came with it.
#[derive(Debug)]
#[must_use = "the turn ends when this is dropped"]
pub struct Turn {
    // In this order: the place is free before anybody is told that one is.
    _taken: MutexGuard<'static, ()>,
    _permit: SemaphorePermit<'static>,
}

#[derive(Debug)]
struct Place {
    taken: Mutex<()>,
    started: OnceCell<Result<ControlPlane, StartError>>,
}

impl<const PLACES: usize> Turns<PLACES> {
    /// Empty places; `options` are asked for as each control plane is started.
    pub const fn new(options: fn() -> Options) -> Self {
        const { assert!(PLACES > 0, "whoever waits for a turn would wait for ever") };
        let places =
            [const { Place { taken: Mutex::const_new(()), started: OnceCell::const_new() } }; PLACES];
        Self { options, places, free: Semaphore::const_new(PLACES) }
    }

    /// Waits for a place, and for its control plane. A failed start is not repeated.
    pub async fn take(&'static self) -> Result<(Turn, &'static ControlPlane), &'static StartError> {
        let (turn, place) = self.place().await;
        let cluster = place.started.get_or_init(|| ControlPlane::start((self.options)())).await.as_ref()?;
        Ok((turn, cluster))
    }

    async fn place(&'static self) -> (Turn, &'static Place) {
        loop {
            // Nobody closes the semaphore; if somebody did, there would be no turns.
            let Ok(permit) = self.free.acquire().await else { std::future::pending().await };
            let free = self.places.iter().find_map(|place| Some((place.taken.try_lock().ok()?, place)));
            // There is a free place for each permit.
            if let Some((taken, place)) = free {
                return (Turn { _taken: taken, _permit: permit }, place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn nobody_has_a_place_that_another_has() {
        static TURNS: Turns<2> = Turns::new(Options::api_server_only);
        let ((first, first_place), (second, second_place)) = (TURNS.place().await, TURNS.place().await);
        assert!(!std::ptr::eq(first_place, second_place));

        let mut third = pin!(TURNS.place());
        let waited = tokio::time::timeout(Duration::from_millis(50), &mut third).await;
        assert!(waited.is_err(), "both are taken");
        drop(first);
        let (_third, third_place) = third.await;
        assert!(std::ptr::eq(third_place, first_place));
        drop(second);
    }
}
