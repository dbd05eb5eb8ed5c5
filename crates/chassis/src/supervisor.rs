//! Owns every task, and ends them in order.
//!
//! A task that panics does not vanish: it is named in the log, and the program stops with an error, for what it did is
//! not being done any more. Stopping is asked for once and goes stage by stage: no new work and what is under way is
//! finished, then events and ledger are flushed, then the lease is released, then the listeners close. Every stage has a
//! bound; what does not end within it is given up and named.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use control::Mutant;
use futures::FutureExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::{
    SHUTDOWN_LEAD_TIMEOUT, SHUTDOWN_LISTEN_TIMEOUT, SHUTDOWN_RECORD_TIMEOUT, SHUTDOWN_WORK_TIMEOUT,
};

/// When a task ends, in the order of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Watches and controllers.
    Work,
    /// What tells and records: events, ledger, traces.
    Record,
    /// The lease.
    Lead,
    /// What answers others: probes, metrics, admission.
    Listen,
}

impl Stage {
    const IN_ORDER: [Self; 4] = [Self::Work, Self::Record, Self::Lead, Self::Listen];

    /// What it is called in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Record => "record",
            Self::Lead => "lead",
            Self::Listen => "listen",
        }
    }

    /// How long its end may take. The sum stays below Kubernetes' default grace period of 30 s.
    const fn patience(self) -> Duration {
        match self {
            Self::Work => SHUTDOWN_WORK_TIMEOUT,
            Self::Record => SHUTDOWN_RECORD_TIMEOUT,
            Self::Lead => SHUTDOWN_LEAD_TIMEOUT,
            Self::Listen => SHUTDOWN_LISTEN_TIMEOUT,
        }
    }
}

/// Owns the tasks of a program.
#[derive(Clone, Debug, Default)]
pub struct Supervisor {
    stages: Arc<[Tasks; 4]>,
    failed: Arc<OnceLock<&'static str>>,
}

/// The tasks of a stage.
#[derive(Debug, Default)]
struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    running: Mutex<Vec<&'static str>>,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was asked to stop, and everything was finished.
    Clean,
    /// This task panicked.
    Panicked(&'static str),
    /// It was asked to stop, and something of this stage did not finish in time.
    TimedOut(Stage),
}

impl Exit {
    /// The exit status of the process, which says why it ended.
    pub const fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Panicked(_) => 70,
            Self::TimedOut(_) => 75,
        }
    }
}

impl Supervisor {
    /// Starts a task of the first stage.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_in(Stage::Work, name, task);
    }

    /// Starts a task of a stage.
    #[allow(clippy::disallowed_methods, reason = "the one place that starts tasks")]
    pub fn spawn_in(
        &self,
        stage: Stage,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let tasks = self.tasks(stage);
        tasks.note(name, 1);
        let this = self.clone();
        let guarded = async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                tracing::error!(task = name, "a task panicked; stopping");
                this.failed.get_or_init(|| name);
                this.stop();
            }
            this.tasks(stage).note(name, -1);
        };
        drop(tasks.tracker.spawn(guarded));
    }

    /// Asks everything to stop.
    pub fn stop(&self) {
        self.tasks(Stage::Work).stop.cancel();
    }

    /// Hears that stopping was asked for.
    pub fn stopping(&self) -> &CancellationToken {
        self.stopping_in(Stage::Work)
    }

    /// Hears that the tasks of a stage are to end.
    pub fn stopping_in(&self, stage: Stage) -> &CancellationToken {
        match stage {
            Stage::Lead if Mutant::ReleasedBeforeStopped.is_on() => self.stopping(),
            stage => &self.tasks(stage).stop,
        }
    }

    /// Waits for SIGTERM, SIGINT or the failure of a task, then for all tasks to end, stage by stage.
    pub async fn run(&self) -> std::io::Result<Exit> {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "stopping"),
            _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "stopping"),
            () = self.stopping().cancelled() => {}
        }
        Ok(self.wind_down().await)
    }

    async fn wind_down(&self) -> Exit {
        let mut late = None;
        for stage in Stage::IN_ORDER {
            let tasks = self.tasks(stage);
            tasks.stop.cancel();
            tasks.tracker.close();
            if tokio::time::timeout(stage.patience(), tasks.tracker.wait()).await.is_err() {
                let running = tasks.running();
                tracing::error!(stage = stage.name(), ?running, "did not end in time; given up");
                late = late.or(Some(stage));
            }
        }
        match (self.failed.get(), late) {
            (Some(name), _) => Exit::Panicked(name),
            (None, None) => Exit::Clean,
            (None, Some(stage)) => Exit::TimedOut(stage),
        }
    }

    fn tasks(&self, stage: Stage) -> &Tasks {
        let [work, record, lead, listen] = &*self.stages;
        match stage {
            Stage::Work => work,
            Stage::Record => record,
            Stage::Lead => lead,
            Stage::Listen => listen,
        }
    }
}

impl Tasks {
    /// Notes that a task has begun or ended.
    fn note(&self, name: &'static str, change: i8) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match running.iter().position(|known| *known == name) {
            Some(at) if change < 0 => drop(running.swap_remove(at)),
            _ if change > 0 => running.push(name),
            _ => {}
        }
    }

    fn running(&self) -> Vec<&'static str> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn a_panic_stops_the_program_and_is_named() {
        let supervisor = Supervisor::default();
        let stop = supervisor.stopping().clone();
        supervisor.spawn("waits", async move { stop.cancelled().await });
        supervisor.spawn("breaks", async { panic!("on purpose") });
        assert_eq!(supervisor.run().await.unwrap(), Exit::Panicked("breaks"));
    }

    #[tokio::test]
    async fn stages_end_in_order_and_each_waits_for_what_is_under_way() {
        let supervisor = Supervisor::default();
        let (ended, mut order) = mpsc::channel(4);
        for stage in [Stage::Listen, Stage::Lead, Stage::Record, Stage::Work] {
            let (stop, ended) = (supervisor.stopping_in(stage).clone(), ended.clone());
            supervisor.spawn_in(stage, stage.name(), async move {
                stop.cancelled().await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                ended.send(stage).await.unwrap();
            });
        }
        supervisor.stop();
        assert_eq!(supervisor.run().await.unwrap(), Exit::Clean);
        for stage in Stage::IN_ORDER {
            assert_eq!(order.recv().await, Some(stage));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_is_given_up_and_the_rest_still_ends_in_order() {
        let supervisor = Supervisor::default();
        supervisor.spawn("hangs", std::future::pending());
        let stop = supervisor.stopping_in(Stage::Lead).clone();
        let (done, released) = tokio::sync::oneshot::channel();
        supervisor.spawn_in(Stage::Lead, "lease", async move {
            stop.cancelled().await;
            done.send(()).unwrap();
        });
        supervisor.stop();
        assert_eq!(supervisor.run().await.unwrap(), Exit::TimedOut(Stage::Work));
        released.await.unwrap();
    }
}
