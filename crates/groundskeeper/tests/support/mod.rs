//! What these tests share: a cluster with our manifests, the operator as a process, a namespace for each test, and the
//! API server's audit log as the witness of what the operator asked for.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's aid"
)]
#![allow(clippy::disallowed_methods, reason = "tests look at the clock, and delete as users do")]

pub(crate) mod audit;
pub(crate) mod checks;
pub(crate) mod drafts;
pub(crate) mod operator;
pub(crate) mod proxy;
pub(crate) mod scenery;
pub(crate) mod team;
pub(crate) mod webhook;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use testbed::{ControlPlane, Identity, Options, Turn, Turns};

/// How long anything may take that is to come by itself. It bounds a failure; nothing is measured by it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Whom RBAC takes the operator for.
pub(crate) const OPERATOR: &str = "system:serviceaccount:groundskeeper-system:groundskeeper";

/// A control plane whose API server writes down what the operator asks for. The controller manager fills the
/// aggregated role.
pub(crate) fn audited() -> Options {
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/audit-policy.yaml");
    Options::new()
        .scheduler(false)
        .kwok(false)
        .api_server_flag(format!("--audit-policy-file={policy}"))
        .api_server_flag("--audit-log-path=-")
}

/// A control plane with our manifests for those tests that start operators of their own: each has it to itself.
pub(crate) async fn turn() -> (Turn, &'static ControlPlane) {
    static CLUSTERS: Turns<2> = Turns::new(audited);
    let (turn, cluster) = CLUSTERS.take().await.unwrap();
    install_crds(cluster);
    install_rbac(cluster, &["configmaps"]);
    (turn, cluster)
}

/// The operator's own identity: never an administrator's.
pub(crate) fn identity(cluster: &ControlPlane) -> Identity {
    let groups = ["system:serviceaccounts", "system:serviceaccounts:groundskeeper-system"];
    cluster.user(OPERATOR, &groups).unwrap()
}

/// Runs the binary to its end.
pub(crate) fn groundskeeper(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_groundskeeper")).args(arguments).output().unwrap()
}

/// What the binary prints, if it succeeds.
pub(crate) fn printed(arguments: &[&str]) -> String {
    let output = groundskeeper(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `kubectl` as the administrator; returns what it prints.
pub(crate) fn kubectl(cluster: &ControlPlane, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(cluster.kubectl())
        .args(arguments)
        .arg("--kubeconfig")
        .arg(cluster.admin().kubeconfig())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Installs the CustomResourceDefinitions as the manual says, and waits until they are served.
pub(crate) fn install_crds(cluster: &ControlPlane) {
    kubectl(cluster, &["apply", "--server-side", "-f", "-"], &printed(&["crds"]));
    let crd = "crd/garbagecollectionpolicies.groundskeeper.dev";
    kubectl(cluster, &["wait", "--for=condition=Established", "--timeout=30s", crd], "");
}

/// Grants the operator what the manual says, with the right to collect these kinds.
pub(crate) fn install_rbac(cluster: &ControlPlane, collected: &[&str]) {
    let mut arguments = vec!["rbac"];
    collected.iter().for_each(|kind| arguments.extend(["--collect", kind]));
    kubectl(cluster, &["apply", "-f", "-"], &printed(&arguments));
}

/// The time.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Asks again and again until there is an answer; at the deadline fails the test with what was seen last and with the
/// operators' last words.
pub(crate) async fn eventually<T>(
    cluster: &ControlPlane,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let begun = Instant::now();
    loop {
        let seen = match look().await {
            Ok(answer) => return answer,
            Err(seen) => seen,
        };
        assert!(
            begun.elapsed() < DEADLINE,
            "not within {DEADLINE:?}: {what}\nseen last: {seen}\n{}",
            last_words(cluster)
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// For [`eventually`]: it holds, or this is how it is instead.
pub(crate) fn holds(condition: bool, otherwise: impl std::fmt::Display) -> Result<(), String> {
    if condition { Ok(()) } else { Err(otherwise.to_string()) }
}

/// The end of every operator's log.
pub(crate) fn last_words(cluster: &ControlPlane) -> String {
    let mut words = String::new();
    for entry in std::fs::read_dir(cluster.directory().join("logs")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("operator") {
            let text = std::fs::read_to_string(&path).unwrap();
            let lines: Vec<_> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(40)..].join("\n");
            writeln!(words, "--- {name}\n{tail}").unwrap();
        }
    }
    words
}
