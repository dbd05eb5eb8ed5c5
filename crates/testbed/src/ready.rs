//! When a server is ready: it says so itself.
//!
//! A server that ends while it is waited for is a failure at once; one that says nothing is a failure at the deadline.
//! Knows ports and paths, and no command line.
//!
//! Invariant: what answers is our own server, never another test run's on a port that was lost to it. All but etcd show
//! a certificate of this control plane's CA; etcd says its name.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::{Api, Client, Config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::clock::Stopwatch;
use crate::limits;
use crate::process::ManagedProcess;

/// Why a server is not ready.
#[derive(Debug)]
pub(crate) enum NotReady {
    Exited(String),
    Silent(String),
}

/// Repeats `probe` until it succeeds, at most for `within`.
pub(crate) async fn wait(
    process: &ManagedProcess,
    within: Duration,
    probe: impl AsyncFn() -> Result<(), String>,
) -> Result<(), NotReady> {
    let waited = Stopwatch::start();
    loop {
        match process.exit_status() {
            Ok(None) => {}
            Ok(Some(status)) => return Err(NotReady::Exited(status.to_string())),
            Err(error) => return Err(NotReady::Exited(error.to_string())),
        }
        // Who listens on the port of a server that has ended is somebody else, and may never answer.
        let said = tokio::select! {
            answer = timeout(limits::PROBE_DEADLINE, probe()) => match answer {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(said)) => said,
                Err(_) => format!("no answer within {} s", limits::PROBE_DEADLINE.as_secs()),
            },
            _ = process.wait_exit(within) => continue,
        };
        if waited.has_run(within) {
            return Err(NotReady::Silent(said));
        }
        sleep(limits::POLL_EVERY).await;
    }
}

/// That the etcd on `port` is healthy, and that its one member is `name`: it has no certificate to tell it from another
/// test run's, whose port this may have become.
pub(crate) async fn etcd(port: u16, name: &str) -> Result<(), String> {
    http(port, "GET /health", "").await?;
    let members = http(port, "POST /v3/cluster/member/list", "{}").await?;
    if members.contains(&format!("\"name\":\"{name}\"")) {
        Ok(())
    } else {
        Err(format!("its member is not yet `{name}`: {members}"))
    }
}

/// The body of a plain HTTP answer of 200.
async fn http(port: u16, what: &str, body: &str) -> Result<String, String> {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let length = body.len();
        let request = format!(
            "{what} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(limits::PROBE_BYTES_MAX).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = ask.await.map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.lines().next().unwrap_or_default();
    if status.contains(" 200 ") { Ok(body.to_owned()) } else { Err(format!("{what} answered `{status}`")) }
}

/// An HTTPS answer of success from a server that shows a certificate of `ca` (DER).
pub(crate) async fn https(client: &Client, path: &str) -> Result<(), String> {
    let request = http::Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
    client.request_text(request).await.map(drop).map_err(|error| describe(&error))
}

/// A client that shows no certificate of its own, for servers whose health anybody may ask for.
pub(crate) fn anonymous(url: http::Uri, ca: Vec<u8>) -> Result<Client, kube::Error> {
    let mut config = Config::new(url);
    config.root_cert = Some(vec![ca]);
    config.default_retry = false;
    Client::try_from(config)
}

/// The namespace that everything else lives in is made after the API server calls itself ready.
pub(crate) async fn default_namespace(client: &Client) -> Result<(), String> {
    Api::<Namespace>::all(client.clone()).get("default").await.map(drop).map_err(|error| describe(&error))
}

/// Without its default service account, a namespace refuses pods.
pub(crate) async fn service_account(client: &Client, namespace: &str) -> Result<(), String> {
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
    accounts.get("default").await.map(drop).map_err(|error| describe(&error))
}

/// Repeats `probe` until it succeeds or `within` has passed; then what it said last.
pub(crate) async fn poll(
    within: Duration,
    probe: impl AsyncFn() -> Result<(), String>,
) -> Result<(), String> {
    let waited = Stopwatch::start();
    loop {
        match probe().await {
            Ok(()) => return Ok(()),
            Err(said) if waited.has_run(within) => return Err(said),
            Err(_) => sleep(limits::POLL_EVERY).await,
        }
    }
}

/// An error with its causes: kube's own words stop before the one that matters.
fn describe(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !said.contains(&words) {
            said = format!("{said}: {words}");
        }
        cause = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::guard::Guard;

    fn running(guard: &Guard, script: &str) -> ManagedProcess {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        ManagedProcess::start(guard, command, "server").unwrap()
    }

    #[tokio::test]
    async fn a_server_that_ends_is_not_waited_for_and_a_silent_one_only_so_long() {
        let guard = Guard::over(tempfile::tempdir().unwrap().keep()).unwrap();
        let never = async || Err("not yet".to_owned());
        let long = Duration::from_hours(1);
        let short = Duration::from_millis(1);

        let ended = wait(&running(&guard, "exit 7"), long, never).await.unwrap_err();
        assert!(matches!(&ended, NotReady::Exited(status) if status.contains('7')), "{ended:?}");
        let silent = wait(&running(&guard, "sleep 600"), short, never).await.unwrap_err();
        assert!(matches!(&silent, NotReady::Silent(said) if said == "not yet"), "{silent:?}");
        wait(&running(&guard, "sleep 600"), short, async || Ok(())).await.unwrap();
    }
}
