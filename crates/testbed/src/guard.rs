//! No process outlives its runner, however the runner ends.
//!
//! A guard is two shells, started before anything else. Each reads from a pipe whose write end only this process
//! holds, so the kernel tells them when it is gone, be it by exit, panic or SIGKILL:
//!
//! - the *warden* leads a process group that every guarded process joins, and kills the whole group;
//! - the *sweeper*, in a group of its own, kills that group too (should the warden have been shot, or should a process
//!   have joined in the last moment) and then removes the directory.
//!
//! Knows nothing of Kubernetes. Why it holds:
//!
//! - A process joins the group before its first instruction, and does not start if it cannot.
//! - The pipes' write ends close on exec. Where the system cannot make a pipe so in one step (macOS), another thread
//!   might fork in between; all our spawns therefore go through one lock.
//! - The group is not the terminal's foreground group: Ctrl-C reaches the runner only, and the shells ignore it anyway.
//! - The warden is reaped last, so its group's number cannot be given to anybody else while it is still in use here.

use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::limits;

const WARDEN: &str = "trap '' INT TERM HUP; read -r _; kill -s KILL 0";

/// A line means "stand down"; the end of the pipe means that the runner is gone. The loop is bounded (1 s) because
/// orphans that nobody reaps keep their group alive.
const SWEEPER: &str = r#"
trap '' INT TERM HUP
if read -r _; then exit 0; fi
tries=0
while kill -s KILL -- "-$1" 2>/dev/null && [ "$tries" -lt 10 ]; do tries=$((tries + 1)); sleep 0.1; done
rm -rf -- "$2"
"#;

/// Pipes and processes are made one at a time; see the module's header.
static SPAWNING: Mutex<()> = Mutex::new(());

/// Owns a directory and a process group; both are gone when it is dropped, or when this process is.
#[derive(Debug)]
pub(crate) struct Guard {
    directory: PathBuf,
    group: Pid,
    warden: Child,
    sweeper: Child,
}

impl Guard {
    /// Guards `directory` (which must exist) and every process that [`Guard::spawn`] starts.
    pub(crate) fn over(directory: PathBuf) -> io::Result<Self> {
        let mut warden = shell(WARDEN, &[])?;
        let group = pid_of(&warden);
        let sweeper = shell(SWEEPER, &[group.as_raw_nonzero().to_string().as_ref(), directory.as_ref()]);
        match sweeper {
            Ok(sweeper) => Ok(Self { directory, group, warden, sweeper }),
            Err(error) => {
                let _ = warden.kill();
                let _ = warden.wait();
                Err(error)
            }
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts a process in the guarded group. The caller reaps it.
    pub(crate) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        spawn_alone(command.process_group(self.group.as_raw_nonzero().get()))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = kill_process_group(self.group, Signal::KILL);
        remove(&self.directory);
        if let Some(mut pipe) = self.sweeper.stdin.take() {
            let _ = pipe.write_all(b"stand down\n");
        }
        let _ = self.sweeper.wait();
        let _ = self.warden.wait();
    }
}

/// A shell in a process group of its own, with its end of a pipe. It holds none of our streams: whoever waits for the
/// end of our output must not wait for a guard.
fn shell(script: &str, arguments: &[&std::ffi::OsStr]) -> io::Result<Child> {
    spawn_alone(
        Command::new("/bin/sh")
            .args(["-c", script, "testbed-guard"])
            .args(arguments)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    )
}

fn spawn_alone(command: &mut Command) -> io::Result<Child> {
    let _alone = SPAWNING.lock().unwrap_or_else(PoisonError::into_inner);
    command.spawn()
}

pub(crate) fn pid_of(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn remove(directory: &Path) {
    for _ in 0..limits::REMOVE_ATTEMPTS {
        match fs::remove_dir_all(directory) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(_) => thread::sleep(limits::POLL_EVERY),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::os::unix::process::ExitStatusExt;
    use std::time::Duration;

    use rustix::process::kill_process;

    use super::*;
    use crate::clock::Stopwatch;

    const END: &str = "TESTBED_GUARD_END";
    const PLACE: &str = "TESTBED_GUARD_PLACE";
    const SOON: Duration = Duration::from_secs(20);

    /// How a runner ends: by itself, or by what is done to it.
    const ENDS: [&str; 6] =
        ["drop", "exit without drop", "abort", "interrupt", "kill", "kill after its warden"];

    #[test]
    fn however_the_runner_ends_its_processes_and_its_directory_are_gone() {
        thread::scope(|scope| {
            // What was started in the background by a shell ignores Ctrl-C, and so does all that it starts.
            for end in ENDS.into_iter().filter(|end| *end != "interrupt" || !ignores_interrupts()) {
                scope.spawn(move || nothing_is_left_after(end));
            }
        });
    }

    fn ignores_interrupts() -> bool {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
        u64::from_str_radix(ignored, 16).unwrap() & (1 << 1) != 0
    }

    fn nothing_is_left_after(end: &str) {
        let place = tempfile::tempdir().unwrap();
        let guarded = place.path().join("guarded");
        fs::create_dir(&guarded).unwrap();
        let mut runner = Command::new(env::current_exe().unwrap())
            .args(["--exact", "guard::tests::runner", "--nocapture"])
            .env(END, end)
            .env(PLACE, &guarded)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let ready = place.path().join("ready");
        eventually(end, "the runner is ready", || ready.exists());
        let pids: Vec<i32> =
            fs::read_to_string(&ready).unwrap().split_whitespace().map(|n| n.parse().unwrap()).collect();
        assert_eq!(pids.len(), 3, "warden, leader and its child: {pids:?}");

        let group = pid_of(&runner);
        match end {
            "interrupt" => kill_process_group(group, Signal::INT).unwrap(),
            "kill" => kill_process_group(group, Signal::KILL).unwrap(),
            "kill after its warden" => {
                kill_process(Pid::from_raw(pids[0]).unwrap(), Signal::KILL).unwrap();
                kill_process_group(group, Signal::KILL).unwrap();
            }
            _ => drop(runner.stdin.take()),
        }

        let status = runner.wait().unwrap();
        let signal = match end {
            "interrupt" => Some(2),
            "abort" => Some(6),
            "kill" | "kill after its warden" => Some(9),
            _ => None,
        };
        assert_eq!(status.signal(), signal, "{end}: the runner ended in another way: {status}");
        eventually(end, "no process is alive", || !pids.iter().any(|pid| is_alive(*pid)));
        eventually(end, "the directory is gone", || !guarded.exists());
    }

    /// The runner's body; a test that does nothing when run as one. It ends at the latest when its parent does.
    #[test]
    fn runner() {
        let (Ok(end), Some(place)) = (env::var(END), env::var_os(PLACE).map(PathBuf::from)) else { return };
        let guard = Guard::over(place.clone()).unwrap();
        // A process that neither a polite signal nor the end of its parent stops, with a child of its own.
        let script = "trap '' INT TERM HUP; sleep 600 & echo $$ $! >pids; wait";
        let child = guard.spawn(Command::new("/bin/sh").args(["-c", script]).current_dir(&place)).unwrap();
        let pids = place.join("pids");
        eventually(&end, "the child runs", || {
            fs::read_to_string(&pids).is_ok_and(|text| text.ends_with('\n'))
        });
        let report = format!("{} {}", guard.group.as_raw_nonzero(), fs::read_to_string(&pids).unwrap());
        let unfinished = place.with_file_name("unfinished");
        fs::write(&unfinished, report).unwrap();
        fs::rename(&unfinished, place.with_file_name("ready")).unwrap();

        let _ = io::stdin().read_line(&mut String::new());
        match end.as_str() {
            "drop" => drop((guard, child)),
            "abort" => std::process::abort(),
            _ => std::process::exit(0),
        }
    }

    fn is_alive(pid: i32) -> bool {
        let output = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
        let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        !state.is_empty() && !state.starts_with('Z')
    }

    fn eventually(end: &str, what: &str, holds: impl Fn() -> bool) {
        let waited = Stopwatch::start();
        while !holds() {
            assert!(!waited.has_run(SOON), "{end}: not within {SOON:?}: {what}");
            thread::sleep(limits::POLL_EVERY);
        }
    }
}
