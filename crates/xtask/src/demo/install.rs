//! What a cluster needs before the operator runs: its kind of object, and exactly its rights.

use anyhow::{Result, ensure};

use super::site::Site;

const COLLECTED: [&str; 2] = ["configmaps", "jobs.batch"];

/// The line that prints the operator's rights.
pub(super) fn rbac_line(namespace: Option<&str>) -> String {
    let namespace = namespace.map(|namespace| format!(" --namespace {namespace}")).unwrap_or_default();
    format!("groundskeeper rbac{namespace} --collect {}", COLLECTED.join(" --collect "))
}

/// Applies what the program itself prints.
pub(super) async fn apply(site: &Site) -> Result<()> {
    site.shell.show(&format!("groundskeeper crds | {}", site.kubectl("apply --server-side -f -"))).await?;
    site.shell.show(&format!("{} | {}", rbac_line(None), site.kubectl("apply -f -"))).await?;
    Ok(())
}

/// Waits until all of it is in force, and shows what the operator may do, and may not.
pub(super) async fn check(site: &Site) -> Result<()> {
    let established = site.kubectl(
        "wait --for=condition=Established --timeout=60s crd/garbagecollectionpolicies.groundskeeper.dev",
    );
    site.shell.quietly(&established).await?;
    let may = |resource: &str| {
        format!("kubectl --kubeconfig {} auth can-i delete {resource}", site.operator_kubeconfig.display())
    };
    for resource in COLLECTED {
        let is_granted = |output: &str| output.trim() == "yes";
        site.shell
            .eventually(&format!("the operator may delete {resource}"), &may(resource), is_granted)
            .await?;
    }
    site.shell.show(&may(COLLECTED[1])).await?;
    let refused = site.shell.show_refused(&may("secrets")).await?;
    ensure!(refused.trim() == "no", "the operator's rights cannot be told: {refused}");
    Ok(())
}
