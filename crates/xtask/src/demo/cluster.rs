//! Where the demo plays: on a control plane of its own.
//!
//! Programs, servers, a node. What runs beside it is guarded by it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use control::{Clock as _, SystemClock};
use testbed::{Binaries, ControlPlane, Family, Options, Provision, Tool};

use super::screen::Screen;

/// Whom the API server takes the operator for: what a pod with this service account would be.
const OPERATOR_USER: &str = "system:serviceaccount:groundskeeper-system:groundskeeper";
const OPERATOR_GROUPS: [&str; 2] = ["system:serviceaccounts", "system:serviceaccounts:groundskeeper-system"];

/// Builds the programs of a control plane, if that has not been done on this machine before.
pub(super) async fn provide(screen: &Screen) -> Result<Binaries> {
    let versions: Vec<_> = Family::ALL.iter().map(ToString::to_string).collect();
    screen.say(&format!(
        "{}: from their Go modules, once for you and this version; the next start takes seconds.",
        versions.join(", ")
    ));
    let (since, shown) = (SystemClock.now(), screen.clone());
    let building = tokio::task::spawn_blocking(move || {
        Binaries::ensure(&Provision::new(), &|progress| shown.progress(&progress.to_string()))
    });
    let binaries = building.await.context("the build was abandoned")??;
    let seconds = SystemClock.now().duration_since(since).as_secs_f64();
    let kept = binaries.path(Tool::Kubectl)?.parent().and_then(Path::parent);
    let kept = kept.map(|path| format!(" in {}", path.display())).unwrap_or_default();
    screen.holds(&if seconds < 2.0 {
        format!("they are there already{kept}")
    } else {
        format!("built in {seconds:.0} s, and kept{kept}")
    });
    Ok(binaries)
}

/// Starts the servers, and these nodes, on which Jobs complete.
pub(super) async fn start(screen: &Screen, nodes: &[&str]) -> Result<ControlPlane> {
    screen.fleeting("starting etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok");
    let since = SystemClock.now();
    let told = screen.clone();
    let options = Options::new().progress(move |progress| told.progress(&progress.to_string()));
    let cluster = ControlPlane::start(options).await?;
    for node in nodes {
        screen.fleeting("adding a node");
        cluster.add_kwok_node(node).await?;
    }
    let seconds = SystemClock.now().duration_since(since).as_secs_f64();
    let servers: Vec<_> =
        cluster.processes().into_iter().map(|(name, pid)| format!("{name} ({pid})")).collect();
    screen.holds(&format!("{}: ready at {} after {seconds:.1} s", servers.join(", "), cluster.server_url()));
    screen.aside(
        "Everything listens on loopback only, and ends with this demo. Nodes are played by kwok: pods \
         \"run\" and Jobs complete, but no container is started.",
    );
    Ok(cluster)
}

/// The operator's identity: the service account of the generated manifests, and nothing else.
pub(super) fn operator_kubeconfig(cluster: &ControlPlane) -> Result<PathBuf> {
    let identity = cluster.user(OPERATOR_USER, &OPERATOR_GROUPS)?;
    let file = cluster.directory().join("groundskeeper.yaml");
    fs::copy(identity.kubeconfig(), &file).with_context(|| format!("writing {}", file.display()))?;
    Ok(file)
}
