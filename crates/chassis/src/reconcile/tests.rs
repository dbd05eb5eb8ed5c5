//! The frame around a controller that misbehaves in every way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use control::SystemClock;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{AtStop, Cause, Controller, Did, Pace, Report, Requeue, Work, run};
use crate::error::{Class, Classify};
use crate::health::Health;
use crate::lease::{Epoch, Leadership};
use crate::metrics::Metrics;

/// What is done with a key is in its name: `fails`, `panics`, `hangs`, `invalid`, `gone`, or anything else, which works.
#[derive(Debug, Default)]
struct Odd {
    visits: Mutex<BTreeMap<String, u32>>,
    at_once: AtomicU32,
    at_once_max: AtomicU32,
}

#[derive(Debug, thiserror::Error)]
#[error("on purpose")]
struct OnPurpose(Class);

impl Classify for OnPurpose {
    fn class(&self) -> Class {
        self.0
    }
}

impl Controller for Odd {
    type Key = String;
    type Snapshot = String;
    type Plan = String;
    type Outcome = ();
    type Error = OnPurpose;

    const NAME: &'static str = "odd";

    async fn observe(&self, key: &String) -> Result<Option<String>, OnPurpose> {
        *self.visits.lock().unwrap().entry(key.clone()).or_default() += 1;
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.at_once_max.fetch_max(at_once, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(2)).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        match key.as_str() {
            "gone" => Ok(None),
            "fails" => Err(OnPurpose(Class::Transient)),
            "invalid" => Err(OnPurpose(Class::Invalid)),
            "hangs" => std::future::pending().await,
            key => Ok(Some(key.to_owned())),
        }
    }

    fn decide(snapshot: &String, _: Timestamp) -> String {
        assert!(snapshot != "panics", "on purpose");
        snapshot.clone()
    }

    async fn apply(&self, _: &String, _: &String, _: &Epoch) {}

    async fn report(&self, _: &String, _: String, (): ()) -> Result<Report, OnPurpose> {
        Ok(Report { requeue: Requeue::AwaitChange, did: Did::Something })
    }
}

/// A frame around it that runs until this is dropped.
struct Running {
    odd: Arc<Odd>,
    work: Work<String>,
    metrics: Metrics,
    stop: CancellationToken,
    tasks: TaskTracker,
    epoch: Epoch,
}

impl Running {
    fn start(pace: Pace) -> Self {
        let (odd, metrics, stop) = (Arc::new(Odd::default()), Metrics::default(), CancellationToken::new());
        let work = Work::new(Odd::NAME, Arc::new(SystemClock), metrics.clone());
        let epoch = Epoch::lasting(Duration::from_mins(1));
        let (leadership, publish) = Leadership::in_epoch(&epoch);
        let health = Health::new(Arc::new(SystemClock));
        let running = run(Arc::clone(&odd), work.clone(), pace, leadership, health, stop.clone());
        let tasks = TaskTracker::new();
        tasks.spawn(async move {
            running.await;
            drop(publish);
        });
        tasks.close();
        Self { odd, work, metrics, stop, tasks, epoch }
    }

    fn add(&self, key: &str) {
        self.work.add(&key.to_owned(), Cause::Changed);
    }

    fn visits(&self, key: &str) -> u32 {
        self.odd.visits.lock().unwrap().get(key).copied().unwrap_or(0)
    }

    async fn visited(&self, key: &str, times: u32) {
        let look = async {
            while self.visits(key) < times {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), look).await.expect(key);
    }

    /// Waits until the metrics say so.
    async fn says(&self, line: &str) {
        let told = async {
            while !self.metrics.encode().unwrap().lines().any(|said| said.starts_with(line)) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), told).await.expect(line);
    }

    async fn stop(self) -> Arc<Odd> {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.tasks.wait()).await.expect("it ends");
        self.odd
    }
}

fn pace(concurrency: u16) -> Pace {
    Pace {
        concurrency,
        deadline: Duration::from_millis(100),
        scan_interval: Duration::from_hours(1),
        at_stop: AtStop::Leave,
    }
}

#[tokio::test]
async fn what_misbehaves_holds_up_nobody_else() {
    let running = Running::start(pace(3));
    for key in ["panics", "hangs", "fails", "invalid", "gone"] {
        running.add(key);
    }
    for number in 0..20 {
        running.add(&format!("works-{number}"));
    }
    for number in 0..20 {
        running.visited(&format!("works-{number}"), 1).await;
    }
    // What fails is tried again after a short pause, what panicked after a long one, what is invalid after an edit.
    running.visited("fails", 3).await;
    running.visited("hangs", 2).await;
    running.work.add(&"invalid".to_owned(), Cause::Edited);
    running.visited("invalid", 2).await;
    assert_eq!((running.visits("panics"), running.visits("gone")), (1, 1));
    running.says("controller_runtime_reconcile_panics_total{controller=\"odd\"} 1").await;
    running.says("groundskeeper_quarantined{controller=\"odd\"} 1").await;
    running.says("controller_runtime_terminal_reconcile_errors_total{controller=\"odd\"} 2").await;
    let odd = running.stop().await;
    assert!(odd.at_once_max.load(Ordering::SeqCst) <= 3);
}

#[tokio::test]
async fn a_change_during_a_pause_waits_and_an_edit_ends_a_quarantine() {
    let running = Running::start(pace(1));
    running.add("panics");
    running.visited("panics", 1).await;
    running.add("panics");
    running.add("works");
    running.visited("works", 1).await;
    assert_eq!(running.visits("panics"), 1);
    running.work.add(&"panics".to_owned(), Cause::Edited);
    running.visited("panics", 2).await;
    running.stop().await;
}

#[tokio::test]
async fn nothing_runs_once_the_epoch_has_ended_not_even_the_rest() {
    let running = Running::start(Pace { deadline: Duration::from_secs(30), ..pace(2) });
    running.add("hangs");
    running.visited("hangs", 1).await;
    running.epoch.end();
    running.add("works");
    let odd = running.stop().await;
    assert_eq!(odd.visits.lock().unwrap().get("works"), None);
}

#[tokio::test]
async fn a_scan_that_finds_work_says_that_an_event_was_missed() {
    let running = Running::start(Pace { scan_interval: Duration::from_millis(50), ..pace(1) });
    running.add("works");
    running.visited("works", 2).await;
    running.says("groundskeeper_missed_events_total{controller=\"odd\"}").await;
    running.stop().await;
}

#[tokio::test]
async fn what_is_ready_at_the_end_is_finished_if_that_is_wished() {
    let running = Running::start(Pace { at_stop: AtStop::FinishReady, ..pace(1) });
    let keys: Vec<_> = (0..10).map(|number| format!("works-{number}")).collect();
    keys.iter().for_each(|key| running.add(key));
    let odd = running.stop().await;
    let visits = odd.visits.lock().unwrap();
    assert!(keys.iter().all(|key| visits.get(key) == Some(&1)), "{visits:?}");
}
