//! Installing into a real cluster, and out of it again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "installation/authors.rs"]
mod authors;
#[path = "installation/checks.rs"]
mod checks;
#[path = "installation/life.rs"]
mod life;
mod support;

use std::process::Output;

use serde_json::Value;
use testbed::{ControlPlane, Identity, Options, Turn, Turns};

use support::{groundskeeper, kubectl};

/// A control plane for a test that installs and uninstalls, from nothing.
async fn turn() -> (Turn, &'static ControlPlane) {
    static CLUSTERS: Turns<2> = Turns::new(options);
    let (turn, cluster) = CLUSTERS.take().await.unwrap();
    // A test that failed may have left something behind.
    done(cluster, "uninstall --yes --delete-policies");
    kubectl(cluster, &["delete", "namespace", "groundskeeper-system", "--ignore-not-found"], "");
    kubectl(cluster, &["wait", "--for=delete", "namespace/groundskeeper-system", "--timeout=60s"], "");
    (turn, cluster)
}

fn options() -> Options {
    Options::new().scheduler(false).kwok(false)
}

/// Runs the program as somebody.
fn run_as(identity: &Identity, arguments: &str) -> Output {
    let kubeconfig = identity.kubeconfig().to_str().unwrap();
    let arguments: Vec<_> = arguments.split_whitespace().chain(["--kubeconfig", kubeconfig]).collect();
    groundskeeper(&arguments)
}

/// Runs the program as the administrator, and expects that it succeeds; returns its lines.
fn done(cluster: &ControlPlane, arguments: &str) -> Vec<String> {
    let output = run_as(cluster.admin(), arguments);
    assert!(output.status.success(), "{arguments}: {output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(ToOwned::to_owned).collect()
}

/// The same, and expects that it fails; returns what it complains of.
fn refused(identity: &Identity, arguments: &str) -> String {
    let output = run_as(identity, arguments);
    assert!(!output.status.success(), "{arguments}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// What `kubectl get -o json` says.
fn get(cluster: &ControlPlane, arguments: &str) -> Value {
    let arguments: Vec<_> = ["get", "-o", "json"].into_iter().chain(arguments.split_whitespace()).collect();
    serde_json::from_str(&support::kubectl(cluster, &arguments, "")).unwrap()
}

/// Runs `kubectl` as somebody; the answer is what it prints, or its complaint.
fn kubectl_as(
    cluster: &ControlPlane,
    identity: &Identity,
    arguments: &str,
    input: &str,
) -> Result<String, String> {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut child = Command::new(cluster.kubectl())
        .args(arguments.split_whitespace())
        .arg("--kubeconfig")
        .arg(identity.kubeconfig())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let (said, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(format!("{said}{complaint}")) } else { Err(complaint.into_owned()) }
}
