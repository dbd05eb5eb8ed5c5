//! The operator under measurement: optimised, a process of its own, with the rights of the generated RBAC.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use jiff::Timestamp;
use serde_json::Value;
use testbed::{ControlPlane, ManagedProcess};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::service_account::{BARE_CLIENT, ServiceAccount};
use super::watcher::{Lateness, Stopwatch};

/// The control plane of a bench has no controller manager to fill the aggregated role: it is bound as it is.
const BINDING: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: bench}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: groundskeeper-collect-custom}
subjects: [{kind: ServiceAccount, name: groundskeeper, namespace: groundskeeper-system}]
";

/// Builds the operator, optimised.
pub(super) fn build() -> Result<PathBuf> {
    println!("building the operator…");
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--package", "groundskeeper", "--message-format=json"])
        .stderr(Stdio::inherit())
        .output()
        .context("running cargo")?;
    ensure!(output.status.success(), "the operator does not build");
    let path = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| {
            message["executable"].as_str().filter(|path| path.contains("groundskeeper")).map(PathBuf::from)
        });
    path.context("cargo did not say where the operator is")
}

/// Installs all that an installation has but the workload: the kinds, the rights, the guards, the level of priority.
pub(super) fn install_all(cluster: &ControlPlane, binary: &Path) -> Result<()> {
    let args = ["install", "--print", "--no-workload", "--collect", "configmaps"];
    let manifests = Command::new(binary).args(args).output().context("running the operator")?;
    ensure!(manifests.status.success(), "{args:?}: {}", String::from_utf8_lossy(&manifests.stderr));
    kubectl(cluster, &["apply", "--server-side", "--filename=-"], &manifests.stdout)?;
    kubectl(cluster, &["apply", "--filename=-"], BINDING.as_bytes())?;
    kubectl(cluster, &["apply", "--filename=-"], BARE_CLIENT.as_bytes())?;
    // Its token is not part of what is timed later.
    ServiceAccount::operator(cluster)?;
    kubectl(cluster, &["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], b"")
}

/// Installs CRDs and RBAC.
pub(super) fn install(cluster: &ControlPlane, binary: &Path) -> Result<()> {
    for args in [vec!["crds"], vec!["rbac", "--collect", "configmaps"]] {
        let manifests = Command::new(binary).args(&args).output().context("running the operator")?;
        ensure!(manifests.status.success(), "{args:?}: {}", String::from_utf8_lossy(&manifests.stderr));
        kubectl(cluster, &["apply", "--filename=-"], &manifests.stdout)?;
    }
    kubectl(cluster, &["apply", "--filename=-"], BINDING.as_bytes())?;
    kubectl(cluster, &["apply", "--filename=-"], BARE_CLIENT.as_bytes())?;
    // Its token is not part of what is timed later.
    ServiceAccount::operator(cluster)?;
    kubectl(cluster, &["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], b"")
}

/// Waits until our kinds are served: a little after they are established.
pub(super) async fn served(cluster: &ControlPlane) -> Result<()> {
    let (client, clock) = (cluster.admin().client()?, Stopwatch::start());
    for kind in ["garbagecollectionpolicies", "clustergarbagecollectionpolicies"] {
        let path = format!("/apis/groundskeeper.dev/v1alpha1/{kind}");
        while let Err(error) = client.request_text(http::Request::get(&path).body(Vec::new())?).await {
            ensure!(clock.seconds() < 60.0, "{kind} are not served: {error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

fn kubectl(cluster: &ControlPlane, args: &[&str], input: &[u8]) -> Result<()> {
    let mut child = Command::new(cluster.kubectl())
        .arg("--kubeconfig")
        .arg(cluster.admin().kubeconfig())
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("running kubectl")?;
    child.stdin.take().context("no standard input")?.write_all(input)?;
    ensure!(child.wait()?.success(), "kubectl {args:?} failed");
    Ok(())
}

/// A running operator; it ends with this.
pub(super) struct Operator {
    process: ManagedProcess,
    /// Where it listens, once it has said so.
    addresses: Mutex<HashMap<String, String>>,
}

impl Operator {
    /// Starts it, and waits until it is ready. Nobody else leads.
    pub(super) async fn start(cluster: &ControlPlane, binary: &Path) -> Result<Self> {
        let operator = Self::spawn(cluster, binary)?;
        operator.ready().await?;
        Ok(operator)
    }

    /// Waits until it is ready.
    pub(super) async fn ready(&self) -> Result<()> {
        let operator = self;
        let clock = Stopwatch::start();
        while !operator.get("health", "/readyz").await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
        {
            ensure!(
                clock.seconds() < 60.0,
                "the operator does not become ready:\n{}",
                operator.process.log()?
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Starts it, after whoever led before has been forgotten: the lease of a process that was killed must run out first,
    /// and that is measured on its own.
    pub(super) fn spawn(cluster: &ControlPlane, binary: &Path) -> Result<Self> {
        let forget = [
            "delete",
            "lease",
            "groundskeeper-slot-0",
            "--namespace=groundskeeper-system",
            "--ignore-not-found",
        ];
        kubectl(cluster, &forget, b"")?;
        Self::spawn_with(cluster, binary, &[])
    }

    /// Starts it with more flags.
    pub(super) fn spawn_with(cluster: &ControlPlane, binary: &Path, flags: &[String]) -> Result<Self> {
        let identity = ServiceAccount::operator(cluster)?;
        let name = format!("groundskeeper-{}", cluster.directory().join("logs").read_dir()?.count());
        let mut command = Command::new(binary);
        command.arg("run").arg("--kubeconfig").arg(identity.kubeconfig());
        // Nothing stamps the authors of policies here, and the check of an author is not what is measured.
        command.arg("--author-check=off");
        command.args(["--metrics-bind-address", "127.0.0.1:0", "--health-probe-bind-address", "127.0.0.1:0"]);
        command.args(flags);
        command.arg("--ledger-dir").arg(cluster.directory().join("ledger")).env("POD_NAME", &name);
        Ok(Self { process: cluster.spawn(command, &name)?, addresses: Mutex::default() })
    }

    /// Deletions per second, from the first to the last of so many, by the log.
    pub(super) async fn deletion_rate(&self, objects: usize, timeout: Duration) -> Result<f64> {
        let lines = self.deletions(objects, timeout).await?;
        let at = |line: Option<&Value>| -> Result<Timestamp> {
            Ok(line.and_then(|line| line["timestamp"].as_str()).context("a line without a time")?.parse()?)
        };
        let span = at(lines.last())?.duration_since(at(lines.first())?);
        Ok((objects - 1) as f64 / span.as_secs_f64())
    }

    /// How late each of so many deletions was accepted.
    pub(super) async fn lateness(&self, count: usize, timeout: Duration) -> Result<Lateness> {
        let lines = self.deletions(count, timeout).await?;
        Ok(Lateness::new(lines.iter().filter_map(|line| line["lateness_seconds"].as_f64()).collect()))
    }

    /// The log's line for each of so many deletions, in order, once all are there. To ask how many there are costs the
    /// operator CPU: so it is asked seldom.
    async fn deletions(&self, count: usize, timeout: Duration) -> Result<Vec<Value>> {
        let clock = Stopwatch::start();
        while self.metric("groundskeeper_gc_deletion_lateness_seconds_count").await? < count as f64 {
            ensure!(clock.seconds() < timeout.as_secs_f64(), "the deletions did not come in time");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        let log = self.process.log()?;
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let lines: Vec<_> = lines.filter(|line| line["lateness_seconds"].is_f64()).collect();
        ensure!(lines.len() == count, "the log tells of {} deletions, not of {count}", lines.len());
        Ok(lines)
    }

    /// Waits until so many objects are tracked.
    pub(super) async fn tracks(&self, objects: usize, timeout: Duration) -> Result<()> {
        let clock = Stopwatch::start();
        while self.metric("groundskeeper_gc_tracked_objects").await? < objects as f64 {
            ensure!(clock.seconds() < timeout.as_secs_f64(), "the objects are not tracked in time");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    pub(super) fn resident_bytes(&self) -> Result<u64> {
        resident_bytes_of(self.process.pid())
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Waits until it leads.
    pub(super) async fn leads(&self, timeout: Duration) -> Result<()> {
        let clock = Stopwatch::start();
        while self.metric("leader_election_master_status").await.unwrap_or(0.0) < 1.0 {
            ensure!(clock.seconds() < timeout.as_secs_f64(), "it does not lead:\n{}", self.process.log()?);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Requests that it has sent by these methods.
    pub(super) async fn requests(&self, methods: &[&str]) -> Result<f64> {
        let text = self.get("metrics", "/metrics").await?;
        let is_counted = |line: &&str| {
            line.starts_with("rest_client_requests_total{")
                && methods.iter().any(|method| line.contains(&format!("method=\"{method}\"")))
        };
        let counts = text.lines().filter(is_counted).filter_map(|line| line.split("} ").nth(1));
        Ok(counts.filter_map(|rest| rest.split(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Ends it as a node does that loses power.
    pub(super) fn kill(&self) -> Result<()> {
        Ok(self.process.kill()?)
    }

    /// Asks it to end, and waits until it has.
    pub(super) async fn stop(&self) -> Result<()> {
        self.process.terminate()?;
        ensure!(self.process.wait_exit(Duration::from_secs(40)).await?.is_some(), "it does not end");
        Ok(())
    }

    /// Seconds of CPU that it has used so far.
    pub(super) fn cpu(&self) -> Result<f64> {
        cpu_of(self.process.pid())
    }

    async fn metric(&self, name: &str) -> Result<f64> {
        let text = self.get("metrics", "/metrics").await?;
        let line = text
            .lines()
            .find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
        Ok(line.and_then(|line| line.rsplit(' ').next()).map(str::parse).transpose()?.unwrap_or(0.0))
    }

    async fn get(&self, purpose: &str, path: &str) -> Result<String> {
        let address = self.address(purpose)?;
        let mut stream = TcpStream::connect(address).await?;
        stream
            .write_all(
                format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes(),
            )
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    fn address(&self, purpose: &str) -> Result<String> {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(address) = addresses.get(purpose) {
            return Ok(address.clone());
        }
        let log = self.process.log()?;
        let address = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|line| line["message"] == "listening" && line["purpose"] == purpose)
            .and_then(|line| line["address"].as_str().map(str::to_owned));
        let Some(address) = address else { bail!("it does not listen yet") };
        addresses.insert(purpose.to_owned(), address.clone());
        Ok(address)
    }
}

/// Memory that a process holds now.
pub(super) fn resident_bytes_of(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}

/// Seconds of CPU that a process has used so far; the kernel counts in hundredths.
pub(super) fn cpu_of(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after_name) = stat.rsplit_once(')').context("no name in stat")?;
    let ticks =
        after_name.split_whitespace().skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / 100.0)
}
