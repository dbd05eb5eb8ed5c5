//! The thread that the controllers share.
//!
//! An object that goes takes some ten small steps, each handed from one task to the next: watch, loop, ledger, client,
//! connection, and back. On one thread none of them wakes another core or waits for a lock, which costs a tenth less CPU
//! than on two (docs/performance.md). And whatever the controllers do, they do not hold up what has to answer in time:
//! lease, probes and admission run elsewhere.
//!
//! What is started while the thread is entered runs there, and so does all that it starts itself. The end of the tasks is
//! the supervisor's; when this is dropped, what is left of them is given up.

use std::io;

use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};

/// The thread, and whatever its tasks wait for.
#[derive(Debug)]
pub struct ControllerThread {
    handle: Handle,
    /// There until this is dropped.
    runtime: Option<Runtime>,
}

impl ControllerThread {
    /// Starts the thread; it has nothing to do yet.
    ///
    /// # Errors
    ///
    /// If the system gives no more threads or files.
    pub fn start() -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("controllers").enable_all().build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Until the guard is dropped, tasks that the caller starts run on this thread.
    #[must_use = "without the guard tasks run where the caller does"]
    pub fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    /// Runs this on the thread, and waits for it: tasks that it starts stay there.
    ///
    /// # Panics
    ///
    /// If it does.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> io::Result<T> {
        match self.handle.spawn(work).await {
            Ok(result) => Ok(result),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(io::Error::other(error)),
            },
        }
    }
}

impl Drop for ControllerThread {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Nobody may wait for it within a task, and this may be dropped in one.
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Supervisor;

    fn name() -> String {
        std::thread::current().name().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn what_is_started_there_stays_there_and_what_is_not_does_not() {
        let (thread, supervisor) = (ControllerThread::start().unwrap(), Supervisor::default());
        let (sender, mut names) = tokio::sync::mpsc::channel(3);
        let tell = |tell: tokio::sync::mpsc::Sender<String>| async move { tell.send(name()).await.unwrap() };
        {
            let _entered = thread.enter();
            let (inner, told, sender) = (supervisor.clone(), tell(sender.clone()), sender.clone());
            supervisor.spawn("outer", async move {
                told.await;
                inner.spawn("inner", tell(sender));
            });
        }
        assert_eq!(names.recv().await.as_deref(), Some("controllers"));
        assert_eq!(names.recv().await.as_deref(), Some("controllers"));
        assert_eq!(thread.run(async { name() }).await.unwrap(), "controllers");
        supervisor.spawn("elsewhere", tell(sender));
        assert_ne!(names.recv().await.as_deref(), Some("controllers"));
    }
}
