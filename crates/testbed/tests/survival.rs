//! Nothing outlives its runner.
//!
//! The test program runs itself again as the runner: `runner` does nothing unless it is told to by its environment.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::env;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use testbed::{ControlPlane, Options, Shared, Tool};

mod support;
use support::{eventually, eventually_blocking, is_alive};

const REPORT: &str = "TESTBED_RUNNER_REPORT";
const LONG: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_secs(20);

static KEPT: Shared = Shared::new(Options::api_server_only);

#[test]
fn a_killed_runner_leaves_no_process_and_no_directory() {
    let place = tempfile::tempdir().unwrap();
    let mut runner = Runner::start(&place.path().join("report"));
    let report = runner.report();
    assert_eq!(report.pids.len(), 3, "etcd, the API server and the program under test: {report:?}");
    assert!(report.pids.iter().all(|pid| is_alive(*pid)), "{report:?}");
    assert!(report.directory.is_dir());

    runner.child.kill().unwrap();

    eventually_blocking(SOON, "every process is gone", || !report.pids.iter().any(|pid| is_alive(*pid)));
    eventually_blocking(SOON, "the directory is gone", || !report.directory.exists());
}

#[tokio::test]
async fn two_control_planes_do_not_disturb_each_other() {
    let start = || ControlPlane::start(Options::api_server_only());
    let (one, other) = tokio::try_join!(start(), start()).unwrap();
    assert_ne!(one.server_url(), other.server_url());
    let only_here = one.namespace("here").await.unwrap();
    let namespaces = kube::Api::<k8s_openapi::api::core::v1::Namespace>::all(other.admin().client().unwrap());
    assert!(namespaces.get_opt(&only_here).await.unwrap().is_none());

    let gone = (one.directory().to_owned(), one.processes());
    drop(one);

    assert!(!gone.0.exists());
    assert!(gone.1.iter().all(|(_, pid)| !is_alive(*pid)));
    namespaces.get("default").await.unwrap();
    assert_eq!(other.stop().await, [""; 0], "every server stops in peace");
}

#[tokio::test]
async fn a_spawned_process_is_heard_asked_to_stop_and_killed_with_the_rest() {
    let cluster = KEPT.get().await.unwrap();
    let script = "trap 'echo asked; exit 3' TERM; echo out; echo err >&2; while :; do sleep 0.05; done";
    let process = cluster.spawn(shell(script), "polite").unwrap();
    eventually(SOON, "both streams are heard", async || process.log().unwrap() == "out\nerr\n").await;
    assert_eq!(process.wait_exit(Duration::from_millis(1)).await.unwrap(), None);

    process.terminate().unwrap();

    let status = process.wait_exit(SOON).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(3));
    assert!(process.log().unwrap().ends_with("asked\n"));
    process.terminate().unwrap();

    let deaf = cluster.spawn(shell("trap '' TERM; echo deaf; while :; do sleep 0.05; done"), "deaf").unwrap();
    let pid = deaf.pid();
    eventually(SOON, "it has closed its ears", async || deaf.log().unwrap() == "deaf\n").await;
    deaf.terminate().unwrap();
    assert!(is_alive(pid));
    drop(deaf);
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn what_was_spawned_ends_with_its_control_plane() {
    let cluster = ControlPlane::start(Options::api_server_only()).await.unwrap();
    let process = cluster.spawn(shell("while :; do sleep 0.05; done"), "endless").unwrap();

    drop(cluster);

    assert!(process.wait_exit(SOON).await.unwrap().is_some());
}

#[tokio::test]
async fn a_refused_flag_fails_the_start_with_the_servers_own_words() {
    let options = Options::api_server_only().api_server_flag("--no-such-flag=1");
    let error = ControlPlane::start(options).await.unwrap_err();

    let testbed::StartError::Exited { server, log, last_lines, .. } = &error else { panic!("{error}") };
    assert_eq!(server, Tool::KubeApiserver.name());
    assert!(last_lines.contains("unknown flag: --no-such-flag"), "{error}");
    assert!(last_lines.lines().count() <= 20);
    assert!(fs::read_to_string(log).unwrap().contains("no-such-flag"), "the log survives the start");
    fs::remove_file(log).unwrap();
}

/// The body of the runner; a test that does nothing when run as one.
#[tokio::test]
async fn runner() {
    let Some(report) = env::var_os(REPORT).map(PathBuf::from) else { return };
    // The test that started this runner holds the other end: should it die, so does the runner.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(1);
    });
    let cluster = KEPT.get().await.unwrap();
    let program = cluster.spawn(shell("while :; do sleep 0.05; done"), "program").unwrap();
    let mut lines = vec![cluster.directory().display().to_string(), program.pid().to_string()];
    lines.extend(cluster.processes().into_iter().map(|(_, pid)| pid.to_string()));
    let unfinished = report.with_extension("unfinished");
    fs::write(&unfinished, lines.join("\n")).unwrap();
    fs::rename(&unfinished, &report).unwrap();
    std::future::pending::<()>().await;
}

struct Runner {
    child: Child,
    report: PathBuf,
}

#[derive(Debug)]
struct Report {
    directory: PathBuf,
    pids: Vec<u32>,
}

impl Runner {
    fn start(report: &Path) -> Self {
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "runner", "--nocapture"])
            .env(REPORT, report)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, report: report.to_owned() }
    }

    fn report(&self) -> Report {
        eventually_blocking(LONG, "the runner's control plane is up", || self.report.exists());
        let text = fs::read_to_string(&self.report).unwrap();
        let mut lines = text.lines();
        let directory = PathBuf::from(lines.next().unwrap());
        Report { directory, pids: lines.map(|line| line.parse().unwrap()).collect() }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}
