//! The running operator: a process of its own, with an identity and rights of its own.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use control::{Clock as _, SystemClock};
use serde_json::Value;
use testbed::{ControlPlane, ManagedProcess};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::leash::Leash;
use super::limits::{COMMAND_DEADLINE, HTTP_BYTES_MAX, LOG_LINES, OPERATOR_READY, OPERATOR_STOP, POLL_EVERY};
use super::shell::{PROXY_SETTINGS, private_settings};
use super::site::{Authors, Site};

/// The operator's process, its log and where it listens.
#[derive(Debug)]
pub(super) struct Operator {
    name: &'static str,
    process: Process,
    log: PathBuf,
}

/// Who guards the process.
#[derive(Debug)]
enum Process {
    ControlPlane(ManagedProcess),
    Leash(Leash),
}

impl Operator {
    /// What a replica is told: its identity's kubeconfig, free ports, where the ledgers lie, a lease that changes hands
    /// within seconds so that it can be watched, and, if it is to answer them, where admission reviews come in.
    pub(super) fn arguments(site: &Site, webhook: Option<SocketAddr>) -> Vec<String> {
        let mut line = format!(
            "run --kubeconfig {}{} --metrics-bind-address 127.0.0.1:0 --health-probe-bind-address 127.0.0.1:0 \
             --ledger-dir {} --ledger-anchor-interval 5s --lease-duration 4s --lease-renew-deadline 3s \
             --lease-retry-period 1s",
            site.operator_kubeconfig.display(),
            site.own_namespace_flag("--own-namespace"),
            site.ledger().display(),
        );
        if let Some(address) = webhook {
            line += &format!(" --webhook-bind-address {address}");
        }
        if site.authors == Authors::Unknown {
            line += " --author-check off";
        }
        line += site.flags;
        line.split(' ').map(str::to_owned).collect()
    }

    /// Starts it beside a control plane of ours, which guards it.
    pub(super) fn start_beside(
        cluster: &ControlPlane,
        site: &Site,
        name: &'static str,
        arguments: &[String],
    ) -> Result<Self> {
        let mut command = std::process::Command::new(&site.program);
        command.args(arguments).current_dir(&site.directory);
        for setting in private_settings().into_iter().chain(PROXY_SETTINGS.map(Into::into)) {
            command.env_remove(setting);
        }
        command.env("POD_NAME", name);
        let process = cluster.spawn(command, name).context("running groundskeeper")?;
        let log = process.log_path().to_owned();
        Ok(Self { name, process: Process::ControlPlane(process), log })
    }

    /// Starts it for somebody's own cluster, with its log in a directory of ours.
    pub(super) fn start_alone(site: &Site, name: &'static str, arguments: &[String]) -> Result<Self> {
        let log = site.directory.join(format!("{name}.log"));
        let file = fs::File::create(&log).context("creating the operator's log")?;
        let second = file.try_clone().context("creating the operator's log")?;
        let words = std::iter::once(site.program.display().to_string()).chain(arguments.iter().cloned());
        let leash = Leash::start(words, |command| {
            command.current_dir(&site.directory).stdout(Stdio::from(file)).stderr(Stdio::from(second));
            for setting in private_settings() {
                command.env_remove(setting);
            }
            command.env("POD_NAME", name);
        });
        Ok(Self { name, process: Process::Leash(leash.context("running groundskeeper")?), log })
    }

    /// What it calls itself: in the ledger, in events, in the lease.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn log_path(&self) -> &Path {
        &self.log
    }

    /// The end of its log.
    pub(super) fn last_lines(&self) -> Vec<String> {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.iter().skip(lines.len().saturating_sub(LOG_LINES)).cloned().collect()
    }

    /// Waits until it says that it is ready.
    pub(super) async fn ready(&mut self) -> Result<()> {
        let since = SystemClock.now();
        let mut last = "it has not said where it listens".to_owned();
        loop {
            if let Some(status) = self.exit_status()? {
                bail!("groundskeeper ended before it was ready ({status})");
            }
            if let Ok(address) = self.address("health") {
                match get(address, "/readyz").await {
                    Ok((200, _)) => return Ok(()),
                    Ok((code, text)) => last = format!("/readyz answers {code}: {}", text.trim()),
                    Err(error) => last = format!("/readyz does not answer: {error:#}"),
                }
            }
            if SystemClock.now().duration_since(since).unsigned_abs() > OPERATOR_READY {
                bail!("groundskeeper is not ready after {} s: {last}", OPERATOR_READY.as_secs());
            }
            sleep(POLL_EVERY).await;
        }
    }

    /// Where it listens for a purpose (`metrics`, `health`), as its log says.
    pub(super) fn address(&self, purpose: &str) -> Result<SocketAddr> {
        let log = fs::read_to_string(&self.log).context("reading the operator's log")?;
        let address = log.lines().find_map(|line| listening(line, purpose));
        address.with_context(|| format!("its log does not say where it listens for {purpose}"))
    }

    /// Waits for its end, which is not meant to come.
    pub(super) async fn ended(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.exit_status()? {
                return Ok(status);
            }
            sleep(POLL_EVERY).await;
        }
    }

    /// Asks it to end, and returns how it did.
    pub(super) async fn stop(&mut self) -> Result<ExitStatus> {
        match &mut self.process {
            Process::ControlPlane(process) => process.terminate(),
            Process::Leash(leash) => leash.terminate().await,
        }
        .context("asking groundskeeper to end")?;
        match timeout(OPERATOR_STOP, self.ended()).await {
            Ok(status) => status,
            Err(_) => {
                bail!("groundskeeper has not ended {} s after it was asked to", OPERATOR_STOP.as_secs())
            }
        }
    }

    /// Kills it, as a node does that loses power, and waits until it is gone.
    pub(super) async fn kill(&mut self) -> Result<()> {
        match &mut self.process {
            Process::ControlPlane(process) => process.kill(),
            Process::Leash(leash) => leash.kill().await,
        }
        .context("killing groundskeeper")?;
        match timeout(OPERATOR_STOP, self.ended()).await {
            Ok(status) => status.map(drop),
            Err(_) => bail!("groundskeeper has not ended {} s after it was killed", OPERATOR_STOP.as_secs()),
        }
    }

    pub(super) fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        let status: io::Result<_> = match &mut self.process {
            Process::ControlPlane(process) => process.exit_status(),
            Process::Leash(leash) => leash.exit_status(),
        };
        status.context("looking after groundskeeper")
    }
}

/// The metrics that are served there.
pub(super) async fn metrics(address: SocketAddr) -> Result<String> {
    let (code, text) = get(address, "/metrics").await?;
    ensure!(code == 200, "/metrics answers {code}: {}", text.trim());
    Ok(text)
}

/// The address in a log line that says that it listens.
fn listening(line: &str, purpose: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let field = |name: &str| line.get(name).and_then(Value::as_str);
    let is_it = field("message") == Some("listening") && field("purpose") == Some(purpose);
    field("address").filter(|_| is_it)?.parse().ok()
}

/// Status and body of a page.
async fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let asking = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(HTTP_BYTES_MAX).read_to_end(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = timeout(COMMAND_DEADLINE, asking).await.context("no answer")??;
    let answer = String::from_utf8(answer).context("the answer is no text")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is no HTTP")?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((code.context("the answer has no status")?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_says_where_it_listens() {
        let line = r#"{"level":"INFO","message":"listening","purpose":"metrics","address":"127.0.0.1:4711"}"#;
        assert_eq!(listening(line, "metrics"), Some("127.0.0.1:4711".parse().unwrap()));
        assert_eq!(listening(line, "health"), None);
        assert_eq!(listening("{\"message\":\"started\"}", "metrics"), None);
        assert_eq!(listening("panicked", "metrics"), None);
    }
}
