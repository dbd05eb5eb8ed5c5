//! One process in the guarded group, with its log.
//!
//! Bound to no async runtime, so that a control plane can be shared by tests that each have their own. Knows nothing
//! of what it runs. Invariant: a signal is only ever sent to a process that has not been reaped, never to a number
//! that may meanwhile belong to somebody else.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Signal, kill_process};

use crate::clock::Stopwatch;
use crate::guard::{self, Guard};
use crate::limits;

/// A running process that is killed when this value is dropped, and when the test run ends in any other way.
#[derive(Debug)]
pub struct ManagedProcess {
    name: String,
    pid: u32,
    child: Mutex<Child>,
    log: PathBuf,
}

impl ManagedProcess {
    /// Starts `command` under the guard; both output streams go to `<directory>/logs/<name>.log`.
    pub(crate) fn start(guard: &Guard, mut command: Command, name: &str) -> io::Result<Self> {
        let logs = guard.directory().join("logs");
        fs::create_dir_all(&logs)?;
        let log = logs.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = guard.spawn(&mut command)?;
        Ok(Self { name: name.to_owned(), pid: child.id(), child: Mutex::new(child), log })
    }

    /// The name that it was started under; its log's file name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The file that takes both its output streams. It goes with the control plane's directory.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// What it has written so far to either stream (the last 16 MiB); bytes that are no UTF-8 are replaced.
    pub fn log(&self) -> io::Result<String> {
        read_end(&self.log)
    }

    /// Asks it to stop (SIGTERM). No effect on a process that has ended; a paused one is asked once it is resumed.
    pub fn terminate(&self) -> io::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Stops the clock for it, as a machine does that hangs (SIGSTOP): no instruction runs, memory and connections
    /// stay, and time goes on without it. No effect on a process that has ended, or is paused already.
    pub fn pause(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a paused process go on where it was (SIGCONT). No effect on one that runs, or has ended.
    pub fn resume(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Kills it (SIGKILL), paused or not, and waits until it is gone. No effect on a process that has ended.
    pub fn kill(&self) -> io::Result<()> {
        let mut child = self.child();
        child.kill()?;
        child.wait().map(drop)
    }

    /// How it ended, or `None` while it runs.
    pub fn exit_status(&self) -> io::Result<Option<ExitStatus>> {
        self.child().try_wait()
    }

    /// Waits for its end, at most for `within`; `None` if it still runs then.
    pub async fn wait_exit(&self, within: Duration) -> io::Result<Option<ExitStatus>> {
        let waited = Stopwatch::start();
        loop {
            let status = self.exit_status()?;
            if status.is_some() || waited.has_run(within) {
                return Ok(status);
            }
            tokio::time::sleep(limits::POLL_EVERY).await;
        }
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let mut child = self.child();
        if child.try_wait()?.is_none() {
            kill_process(guard::pid_of(&child), signal)?;
        }
        Ok(())
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ManagedProcess {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// The end of a file that may be large, as text.
pub(crate) fn read_end(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let skipped = file.metadata()?.len().saturating_sub(limits::LOG_BYTES_MAX);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(limits::LOG_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last lines of a text, as many as an error carries.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(limits::ERROR_LINES);
    lines.into_iter().skip(skipped).collect::<Vec<_>>().join("\n")
}
