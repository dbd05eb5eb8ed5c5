//! The loop around a controller: takes keys from the queue, keeps so many under way, and takes in how they ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use control::{Backoff, Clock, Steady};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use units::ResourceVersion;

use super::guard::{self, Ended};
use super::queue::{self, Queue, Taken};
use super::{Cause, Controller, Did, Key};
use crate::error::Class;
use crate::health::{Health, Ticker};
use crate::lease::{Epoch, Leadership};
use crate::limits::{
    CONFLICT_RETRY, LIVENESS_SILENCE_MAX, QUARANTINE_FIRST, QUARANTINE_MAX, RECONCILE_RETRY_FIRST,
    RECONCILE_RETRY_MAX, SHUTDOWN_WORK_TIMEOUT, WORK_SLEEP_MAX,
};
use crate::metrics::{MetricName, Metrics};
use crate::trace::Trace;

/// How fast a controller works.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Keys under way at one time.
    pub concurrency: u16,
    /// How long one key may take.
    pub deadline: Duration,
    /// How often every key is looked at again although nothing has told of a change.
    pub scan_interval: Duration,
    /// What is done with the keys that are ready when it is to stop.
    pub at_stop: AtStop,
}

/// What is done with the keys that are ready when a controller is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtStop {
    /// They are left to the next start; only what is under way is finished.
    Leave,
    /// They are worked on first: what is said last is said before the end, without a wait for the cache. For controllers
    /// that only report, and know what they wrote.
    FinishReady,
}

/// Where work is handed in.
#[derive(Debug)]
pub struct Work<K>(Arc<Shared<K>>);

#[derive(Debug)]
struct Shared<K> {
    name: &'static str,
    queue: Mutex<Queue<K>>,
    /// What caused the work on the keys that wait: the wait is a part of the trace.
    traces: Mutex<HashMap<K, Trace>>,
    added: Notify,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

impl<K> Clone for Work<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Key> Work<K> {
    /// An empty queue, for the controller of this name.
    pub fn new(name: &'static str, clock: Arc<dyn Clock>, metrics: Metrics) -> Self {
        Self(Arc::new(Shared {
            name,
            queue: Mutex::default(),
            traces: Mutex::default(),
            added: Notify::new(),
            clock,
            metrics,
        }))
    }

    /// A key is to be worked on.
    pub fn add(&self, key: &K, cause: Cause) {
        let now = self.0.clock.steady();
        if self.lock().add(key, cause, now) {
            let trace = Trace::begin(cause.name()).about(self.0.name, key);
            self.traces().insert(key.clone(), trace);
            self.0.metrics.count(MetricName::QueueAdds, &self.labels());
        }
        self.0.added.notify_one();
    }

    /// The cache shows this version of what the key names.
    pub fn shows(&self, key: &K, version: ResourceVersion) {
        let now = self.0.clock.steady();
        self.lock().shows(key, version, now);
        self.0.added.notify_one();
    }

    /// We have written what the key names: it waits until the cache shows this version.
    pub fn wrote(&self, key: &K, version: ResourceVersion) {
        let now = self.0.clock.steady();
        self.lock().wrote(key, version, now);
    }

    fn lock(&self) -> MutexGuard<'_, Queue<K>> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn traces(&self) -> MutexGuard<'_, HashMap<K, Trace>> {
        self.0.traces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn labels(&self) -> [(&'static str, &'static str); 2] {
        [("name", self.0.name), ("controller", self.0.name)]
    }
}

/// Works until told to stop, whenever there is an epoch to work in; then finishes what is under way.
pub async fn run<C: Controller>(
    controller: Arc<C>,
    work: Work<C::Key>,
    pace: Pace,
    leadership: Leadership,
    health: Health,
    stop: CancellationToken,
) {
    let now = work.0.clock.steady();
    let next_scan = now.after(pace.scan_interval);
    let running = Loop {
        controller,
        work,
        pace,
        leadership,
        pulse: health.register(C::NAME, LIVENESS_SILENCE_MAX),
        stop,
        next_scan,
        next_measure: now,
        under_way: JoinSet::new(),
        since: HashMap::new(),
        backoffs: HashMap::new(),
        quarantined: 0,
    };
    running.run().await;
}

struct Loop<C: Controller> {
    controller: Arc<C>,
    work: Work<C::Key>,
    pace: Pace,
    leadership: Leadership,
    pulse: Ticker,
    stop: CancellationToken,
    next_scan: Steady,
    next_measure: Steady,
    under_way: JoinSet<Finished<C::Key>>,
    since: HashMap<C::Key, Steady>,
    backoffs: HashMap<C::Key, Pauses>,
    quarantined: i64,
}

struct Finished<K> {
    key: K,
    cause: Cause,
    ended: Ended,
    took: Duration,
}

/// How long a key pauses after failures, and whether it has panicked last.
struct Pauses {
    backoff: Backoff,
    quarantine: Backoff,
    is_quarantined: bool,
}

enum Wake<K> {
    Stop,
    Finished(Box<Finished<K>>),
    Look,
}

impl<C: Controller> Loop<C> {
    async fn run(mut self) {
        let most = i64::from(self.pace.concurrency.max(1));
        self.metrics().set(MetricName::MaxConcurrentReconciles, &self.controller_label(), most);
        loop {
            self.pulse.tick();
            self.start_all();
            match self.wait().await {
                Wake::Stop => break,
                Wake::Finished(finished) => self.finish(*finished),
                Wake::Look => {}
            }
        }
        self.drain().await;
    }

    async fn wait(&mut self) -> Wake<C::Key> {
        let pause = self.pause();
        let work = self.work.clone();
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Wake::Stop,
            Some(finished) = self.under_way.join_next() => match finished {
                Ok(finished) => Wake::Finished(Box::new(finished)),
                // Panics are caught within; a task that is gone otherwise was aborted with the runtime.
                Err(_) => Wake::Look,
            },
            () = work.0.added.notified() => Wake::Look,
            () = self.leadership.changed() => Wake::Look,
            () = tokio::time::sleep(pause) => Wake::Look,
        }
    }

    fn pause(&self) -> Duration {
        let (now, wall) = (self.work.0.clock.steady(), self.work.0.clock.now());
        let next = self.work.lock().pause(now, wall);
        next.map_or(WORK_SLEEP_MAX, |pause| pause.clamp(Duration::from_millis(1), WORK_SLEEP_MAX))
    }

    /// Starts what may be started now.
    fn start_all(&mut self) {
        let Some(epoch) = self.leadership.epoch() else { return };
        self.scan_if_due();
        while self.under_way.len() < usize::from(self.pace.concurrency.max(1)) {
            let (now, wall) = (self.work.0.clock.steady(), self.work.0.clock.now());
            let (taken, is_stale) = {
                let mut queue = self.work.lock();
                let Some(taken) = queue.take(now, wall) else { break };
                let is_stale = queue.is_stale(&taken.key);
                (taken, is_stale)
            };
            if is_stale {
                self.refuse_stale(&taken.key);
            } else {
                self.start(taken, epoch.clone());
            }
        }
        if self.work.0.clock.steady() >= self.next_measure {
            self.measure();
        }
    }

    fn start(&mut self, taken: Taken<C::Key>, epoch: Epoch) {
        let Taken { key, cause, waited } = taken;
        let labels = self.work.labels();
        self.metrics().observe_with(MetricName::QueueDuration, &labels, waited.as_secs_f64());
        let started = self.work.0.clock.steady();
        self.since.insert(key.clone(), started);
        let (controller, clock) = (Arc::clone(&self.controller), Arc::clone(&self.work.0.clock));
        let (deadline, now) = (self.pace.deadline, clock.now());
        let waiting = self.work.traces().remove(&key);
        let trace = waiting.unwrap_or_else(|| Trace::begin(cause.name()).about(C::NAME, &key));
        let task = async move {
            let ended = guard::reconcile(&*controller, &key, &epoch, now, deadline).await;
            Finished { key, cause, ended, took: clock.steady().since(started) }
        };
        self.under_way.spawn(task.instrument(trace.step("reconcile")));
    }

    /// The cache has not shown our own last write: whatever it says may be older than what we did.
    fn refuse_stale(&mut self, key: &C::Key) {
        self.metrics().count(MetricName::StaleSyncSkips, &self.controller_label());
        let pause = self.pauses(key).backoff.after_failure();
        tracing::warn!(controller = C::NAME, %key, "the cache has not shown our own last write; waiting");
        let (now, wall) = (self.work.0.clock.steady(), self.work.0.clock.now());
        self.work.lock().ended(key, queue::Ended::RetryAfter(pause), now, wall);
    }

    /// Takes in how a reconciliation ended.
    fn finish(&mut self, finished: Finished<C::Key>) {
        let Finished { key, cause, ended, took } = finished;
        self.since.remove(&key);
        self.count(&ended, took);
        let next = self.after(&key, cause, &ended);
        let (now, wall) = (self.work.0.clock.steady(), self.work.0.clock.now());
        self.work.lock().ended(&key, next, now, wall);
    }

    /// What the end means for the key.
    fn after(&mut self, key: &C::Key, cause: Cause, ended: &Ended) -> queue::Ended {
        match ended {
            Ended::Done(report) => {
                self.forgive(key);
                if cause == Cause::Scan && report.did == Did::Something {
                    self.metrics().count(MetricName::MissedEvents, &self.controller_label());
                    tracing::warn!(controller = C::NAME, %key, "the slow scan found work that no event had told of");
                }
                queue::Ended::Done(report.requeue.clone())
            }
            Ended::Gone => {
                self.forgive(key);
                queue::Ended::Gone
            }
            // Whoever leads next, be it we, starts from what is there then.
            Ended::Fenced => queue::Ended::RetryAfter(Duration::ZERO),
            Ended::Failed(Class::Conflict, message) => {
                tracing::debug!(controller = C::NAME, %key, message, "somebody else was faster; looking again");
                queue::Ended::RetryAfter(CONFLICT_RETRY)
            }
            Ended::Failed(Class::Invalid, message) => {
                tracing::warn!(controller = C::NAME, %key, message, "cannot be acted on until it is changed");
                queue::Ended::AwaitEdit
            }
            Ended::Failed(class, message) => {
                let pause = self.pauses(key).backoff.after_failure();
                tracing::warn!(controller = C::NAME, %key, class = class.name(), message, pause_seconds = pause.as_secs_f64(), "failed; it is tried again");
                queue::Ended::RetryAfter(pause)
            }
            Ended::TimedOut => {
                let pause = self.pauses(key).backoff.after_failure();
                tracing::warn!(controller = C::NAME, %key, "took longer than it may; it is tried again");
                queue::Ended::RetryAfter(pause)
            }
            Ended::Panicked => queue::Ended::RetryAfter(self.quarantine(key)),
        }
    }

    /// A key that panicked is left alone for a while, and longer each time; the others go on.
    fn quarantine(&mut self, key: &C::Key) -> Duration {
        let pauses = self.pauses(key);
        let pause = pauses.quarantine.after_failure();
        let is_new = !std::mem::replace(&mut pauses.is_quarantined, true);
        self.quarantined += i64::from(is_new);
        self.metrics().set(MetricName::Quarantined, &self.controller_label(), self.quarantined);
        tracing::error!(controller = C::NAME, %key, pause_seconds = pause.as_secs_f64(), "panicked; it is left alone for a while; please report this");
        pause
    }

    fn forgive(&mut self, key: &C::Key) {
        if self.backoffs.remove(key).is_some_and(|pauses| pauses.is_quarantined) {
            self.quarantined -= 1;
            self.metrics().set(MetricName::Quarantined, &self.controller_label(), self.quarantined);
        }
    }

    fn pauses(&mut self, key: &C::Key) -> &mut Pauses {
        self.backoffs.entry(key.clone()).or_insert_with(|| Pauses {
            backoff: Backoff::new(RECONCILE_RETRY_FIRST, RECONCILE_RETRY_MAX, &(C::NAME, key)),
            quarantine: Backoff::new(QUARANTINE_FIRST, QUARANTINE_MAX, &(C::NAME, key)),
            is_quarantined: false,
        })
    }

    fn scan_if_due(&mut self) {
        let now = self.work.0.clock.steady();
        if now >= self.next_scan {
            self.next_scan = now.after(self.pace.scan_interval);
            self.work.lock().scan(now);
        }
    }

    /// Finishes what is under way, and what is ready if that is wished; what takes too long is given up.
    async fn drain(mut self) {
        let rest = async {
            loop {
                if self.pace.at_stop == AtStop::FinishReady {
                    // The watches have ended with the work: what we wrote last will not be shown any more.
                    let now = self.work.0.clock.steady();
                    self.work.lock().await_no_more(now);
                    self.start_all();
                }
                match self.under_way.join_next().await {
                    Some(Ok(finished)) => self.finish(finished),
                    Some(Err(_)) => {}
                    None => break,
                }
            }
        };
        if tokio::time::timeout(SHUTDOWN_WORK_TIMEOUT, rest).await.is_err() {
            tracing::warn!(controller = C::NAME, "work was still under way at the end; it is given up");
        }
        self.under_way.shutdown().await;
    }

    fn count(&self, ended: &Ended, took: Duration) {
        let result = match ended {
            Ended::Done(report) if report.requeue == super::Requeue::AwaitChange => "success",
            Ended::Done(_) => "requeue_after",
            Ended::Gone | Ended::Fenced => "success",
            Ended::Failed(Class::Conflict, _) => "requeue",
            Ended::Failed(..) | Ended::TimedOut | Ended::Panicked => "error",
        };
        let label = self.controller_label();
        let metrics = self.metrics();
        metrics.count(MetricName::ReconcileTotal, &[("controller", C::NAME), ("result", result)]);
        metrics.observe_with(MetricName::ReconcileTime, &label, took.as_secs_f64());
        metrics.observe_with(MetricName::QueueWorkDuration, &self.work.labels(), took.as_secs_f64());
        match ended {
            Ended::Failed(Class::Invalid, _) => metrics.count(MetricName::TerminalReconcileErrors, &label),
            Ended::TimedOut => metrics.count(MetricName::ReconcileTimeouts, &label),
            Ended::Panicked => metrics.count(MetricName::ReconcilePanics, &label),
            _ => {}
        }
        if result == "error" {
            metrics.count(MetricName::ReconcileErrors, &label);
            metrics.count(MetricName::QueueRetries, &self.work.labels());
        }
    }

    fn measure(&mut self) {
        self.next_measure = self.work.0.clock.steady().after(WORK_SLEEP_MAX);
        let metrics = self.metrics();
        let under_way = i64::try_from(self.under_way.len()).unwrap_or(i64::MAX);
        metrics.set(MetricName::ActiveWorkers, &self.controller_label(), under_way);
        let [name, controller] = self.work.labels();
        for (cause, depth) in self.work.lock().depths() {
            metrics.set(MetricName::QueueDepth, &[name, controller, ("priority", cause.name())], depth);
        }
        let now = self.work.0.clock.steady();
        let ages = self.since.values().map(|since| now.since(*since));
        let (sum, longest) =
            ages.fold((Duration::ZERO, Duration::ZERO), |(sum, longest), age| (sum + age, longest.max(age)));
        metrics.set_seconds(MetricName::QueueUnfinishedWork, &[name, controller], sum.as_secs_f64());
        metrics.set_seconds(MetricName::QueueLongestRunning, &[name, controller], longest.as_secs_f64());
    }

    fn metrics(&self) -> &Metrics {
        &self.work.0.metrics
    }

    #[allow(clippy::unused_self, reason = "reads like the others")]
    fn controller_label(&self) -> [(&'static str, &'static str); 1] {
        [("controller", C::NAME)]
    }
}
