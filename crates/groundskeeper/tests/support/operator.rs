//! The program under test, as a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use testbed::{ControlPlane, ManagedProcess};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{DEADLINE, eventually, holds, identity};

/// A running operator; killed when dropped.
#[derive(Debug)]
pub(crate) struct Operator {
    pub(crate) process: ManagedProcess,
    metrics: SocketAddr,
    health: SocketAddr,
    pub(crate) name: String,
}

/// How an operator is started.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    kubeconfig: PathBuf,
    /// What it calls itself: in the ledger, in events, in the lease.
    pub(crate) name: String,
    log_level: Option<&'static str>,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Launch {
    /// With this identity, and a name of its own.
    pub(crate) fn new(kubeconfig: &Path) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("operator-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        Self {
            kubeconfig: kubeconfig.to_owned(),
            name,
            log_level: Some("info,chassis=debug,controllers=debug"),
            flags: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Under another name: a second start of the same name goes on with its ledger.
    pub(crate) fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// With one more flag, such as `--lease-duration=4s`.
    pub(crate) fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// With a lease that changes hands within seconds.
    pub(crate) fn quick_lease(self) -> Self {
        self.flag("--lease-duration=4s").flag("--lease-renew-deadline=3s").flag("--lease-retry-period=1s")
    }

    /// With the log level that its configuration says.
    pub(crate) fn log_level_untold(mut self) -> Self {
        self.log_level = None;
        self
    }

    /// Without one of its safeties.
    pub(crate) fn mutant(self, mutant: control::Mutant) -> Self {
        self.env(control::MUTANT_VARIABLE, mutant.name())
    }

    /// With a variable in its environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it, and waits until it listens.
    pub(crate) async fn start(self, cluster: &ControlPlane) -> Operator {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut command = Command::new(env!("CARGO_BIN_EXE_groundskeeper"));
        command
            .args(["run", "--own-namespace", "groundskeeper-system"])
            .args(self.log_level.map(|level| format!("--log-level={level}")))
            .args(["--metrics-bind-address", "127.0.0.1:0", "--health-probe-bind-address", "127.0.0.1:0"])
            .arg("--ledger-dir")
            .arg(cluster.directory().join("ledger"))
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(&self.flags)
            .env("POD_NAME", &self.name)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        let log = format!("{}-{}", self.name, NUMBER.fetch_add(1, Ordering::Relaxed));
        let process = cluster.spawn(command, &log).unwrap();
        let (metrics, health) = eventually(cluster, "the operator listens", async || {
            let log = lines(&process);
            address(&log, "metrics").zip(address(&log, "health")).ok_or_else(|| format!("{log:?}"))
        })
        .await;
        Operator { process, metrics, health, name: self.name }
    }
}

impl Operator {
    /// Starts an operator under its own identity, and waits until it is ready.
    pub(crate) async fn start(cluster: &ControlPlane) -> Self {
        let operator = Self::launch(cluster, identity(cluster).kubeconfig()).await;
        operator.ready(cluster).await;
        operator
    }

    /// Starts an operator with nothing special, and waits until it listens.
    pub(crate) async fn launch(cluster: &ControlPlane, kubeconfig: &Path) -> Self {
        Launch::new(kubeconfig).start(cluster).await
    }

    /// Where it answers admission reviews, once it does.
    pub(crate) fn webhook(&self) -> Option<SocketAddr> {
        address(&self.log(), "webhook")
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&self, cluster: &ControlPlane) {
        eventually(cluster, "the operator is ready", async || {
            let (code, text) = self.readiness().await;
            holds(code == 200, text)
        })
        .await;
    }

    pub(crate) fn metrics_address(&self) -> SocketAddr {
        self.metrics
    }

    pub(crate) fn health_address(&self) -> SocketAddr {
        self.health
    }

    pub(crate) async fn readiness(&self) -> (u16, String) {
        get(self.health, "/readyz").await
    }

    pub(crate) async fn liveness(&self) -> (u16, String) {
        get(self.health, "/healthz").await
    }

    pub(crate) async fn metrics(&self) -> String {
        let (code, text) = get(self.metrics, "/metrics").await;
        assert_eq!(code, 200, "{text}");
        text
    }

    /// The value of a series, if it is there; `labels` are parts that it must have, such as `outcome="deleted"`.
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let text = self.metrics().await;
        let series = |line: &&str| {
            line.split(['{', ' ']).next() == Some(name) && labels.iter().all(|label| line.contains(label))
        };
        text.lines().find(series).map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    /// What it has logged: every whole line, and every one must be a JSON object.
    pub(crate) fn log(&self) -> Vec<Value> {
        lines(&self.process)
    }

    /// What it has logged as an error of its own: nothing, unless something is wrong with it. The client library calls
    /// it an error whenever a server cannot be reached.
    pub(crate) fn errors(&self) -> Vec<Value> {
        let own = |line: &Value| !line["target"].as_str().unwrap_or_default().starts_with("kube_client");
        self.log().into_iter().filter(|line| line["level"] == "ERROR" && own(line)).collect()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.exit_status().unwrap().is_none()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(self) -> ExitStatus {
        self.process.terminate().unwrap();
        self.process.wait_exit(DEADLINE).await.unwrap().expect("the operator stops when it is asked to")
    }

    /// Kills it, as a node does that loses power.
    pub(crate) fn kill(self) {
        self.process.kill().unwrap();
    }
}

fn lines(process: &ManagedProcess) -> Vec<Value> {
    let log = process.log().unwrap();
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect()
}

fn address(log: &[Value], purpose: &str) -> Option<SocketAddr> {
    let listening = |line: &&Value| line["message"] == "listening" && line["purpose"] == purpose;
    log.iter().find(listening).map(|line| line["address"].as_str().unwrap().parse().unwrap())
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    ask(address, &format!("GET {path}"), "").await
}

/// One request over plain HTTP, with further headers, each with its line end: status and body.
pub(crate) async fn ask(address: SocketAddr, request: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
