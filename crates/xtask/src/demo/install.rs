//! What a cluster needs before the operator runs: its kind of object, exactly its rights, and what guards both.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context as _, Result, ensure};

use super::site::Site;

/// The kinds that the demo of garbage collection collects.
pub(super) const COLLECTED: [&str; 2] = ["configmaps", "jobs.batch"];

/// The line that installs. The operator runs on this machine, so there is no workload in the cluster.
pub(super) fn line(namespace: Option<&str>, webhook: Option<SocketAddr>, collected: &[&str]) -> String {
    let namespace = namespace.map(|namespace| format!(" --namespace {namespace}")).unwrap_or_default();
    let webhook = webhook.map(|address| format!(" --webhook-url https://{address}")).unwrap_or_default();
    let mut line = format!("groundskeeper install{namespace} --no-workload");
    for kind in collected {
        line += " --collect ";
        line += kind;
    }
    line + &webhook
}

/// A free port on loopback for the webhook. Nobody holds it until the operator does.
pub(super) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    listener.local_addr().context("looking for a free port")
}

/// Waits until all of it is in force, and shows what the operator may do, and may not.
pub(super) async fn check(site: &Site, rights: &[&str]) -> Result<()> {
    let may = |right: &str| {
        format!("kubectl --kubeconfig {} auth can-i {right}", site.operator_kubeconfig.display())
    };
    for right in rights {
        let is_granted = |output: &str| output.trim() == "yes";
        site.shell.eventually(&format!("the operator may {right}"), &may(right), is_granted).await?;
    }
    if let Some(last) = rights.last() {
        site.shell.show(&may(last)).await?;
    }
    let refused = site.shell.show_refused(&may("delete secrets")).await?;
    ensure!(refused.trim() == "no", "the operator's rights cannot be told: {refused}");
    Ok(())
}
