//! Owns every task.
//!
//! A task that panics does not vanish: it is named in the log, and the program stops with an error, for what it did is
//! not being done any more. Stopping is asked for once; everybody hears it; waiting for the end is bounded.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use futures::FutureExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::SHUTDOWN_TIMEOUT;

/// Owns the tasks of a program.
#[derive(Clone, Debug, Default)]
pub struct Supervisor {
    tasks: TaskTracker,
    stop: CancellationToken,
    failed: Arc<OnceLock<&'static str>>,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was asked to stop, and everything was finished.
    Clean,
    /// This task panicked.
    Panicked(&'static str),
    /// It was asked to stop, and something did not finish in time.
    TimedOut,
}

impl Supervisor {
    /// Starts a task.
    #[allow(clippy::disallowed_methods, reason = "the one place that starts tasks")]
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (stop, failed) = (self.stop.clone(), Arc::clone(&self.failed));
        let guarded = async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                tracing::error!(task = name, "a task panicked; stopping");
                failed.get_or_init(|| name);
                stop.cancel();
            }
        };
        drop(self.tasks.spawn(guarded));
    }

    /// Asks everything to stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Hears that stopping was asked for.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    /// Waits for SIGTERM, SIGINT or the failure of a task, then for all tasks to end.
    pub async fn run(&self) -> std::io::Result<Exit> {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "stopping"),
            _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "stopping"),
            () = self.stop.cancelled() => {}
        }
        self.stop.cancel();
        self.tasks.close();
        let ended = tokio::time::timeout(SHUTDOWN_TIMEOUT, self.tasks.wait()).await;
        Ok(match (self.failed.get(), ended) {
            (Some(name), _) => Exit::Panicked(name),
            (None, Ok(())) => Exit::Clean,
            (None, Err(_)) => Exit::TimedOut,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_stops_the_program_and_is_named() {
        let supervisor = Supervisor::default();
        let stop = supervisor.stopping().clone();
        supervisor.spawn("waits", async move { stop.cancelled().await });
        supervisor.spawn("breaks", async { panic!("on purpose") });
        assert_eq!(supervisor.run().await.unwrap(), Exit::Panicked("breaks"));
    }

    #[tokio::test]
    async fn stopping_waits_for_what_is_under_way() {
        let supervisor = Supervisor::default();
        let stop = supervisor.stopping().clone();
        let (done, finished) = tokio::sync::oneshot::channel();
        supervisor.spawn("finishes", async move {
            stop.cancelled().await;
            tokio::task::yield_now().await;
            done.send(()).unwrap();
        });
        supervisor.stop();
        assert_eq!(supervisor.run().await.unwrap(), Exit::Clean);
        finished.await.unwrap();
    }
}
