//! What a cluster knows about a node that is to leave.
//!
//! Only reads: the node, its pods, and what may stand in their way. A kind that the cluster does not serve tells nothing; one
//! that may not be read is said, and the plan is made without it.

use anyhow::{Context as _, bail};
use chassis::ApiError;
use chassis::objects;
use serde_json::Value;

use super::OURS;
use super::stock::Stock;
use crate::cluster::Cluster;
use crate::progress::Progress;

/// What is read besides the node and its pods: API version and kind, and what a plan lacks without it.
const AROUND: [(&str, &str, &str); 12] = [
    ("policy/v1", "PodDisruptionBudget", "what disruption budgets keep"),
    ("storage.k8s.io/v1", "VolumeAttachment", "which volumes are attached"),
    ("v1", "Namespace", "which namespaces are being deleted"),
    ("v1", "PersistentVolumeClaim", "whose volumes are attached"),
    ("apps/v1", "DaemonSet", "which DaemonSets are gone"),
    ("apps/v1", "ReplicaSet", "which pods are the last of theirs"),
    ("apps/v1", "StatefulSet", "which pods are the last of theirs"),
    ("v1", "ReplicationController", "which pods are the last of theirs"),
    (OURS, "NodeCleanupPolicy", "what policies say of the node"),
    (OURS, "DrainRule", "which pods are treated in a way of their own"),
    (OURS, "CleanupPlugin", "which plugins steps may name"),
    (OURS, "NodeMaintenance", "what a maintenance says of the node"),
];

/// Reads what there is to know about a node into the stock. What could not be read is returned as warnings.
pub(super) async fn fill(
    stock: &mut Stock,
    cluster: &mut Cluster,
    node: &str,
) -> anyhow::Result<Vec<String>> {
    let progress = Progress::new();
    let mut warnings = Vec::new();
    let by_name = format!("metadata.name={node}");
    let nodes =
        list(cluster, ("v1", "Node"), Some(&by_name)).await?.context("the cluster serves no nodes")?;
    if nodes.is_empty() {
        bail!("the cluster has no node {node}: `kubectl get nodes` lists those that there are");
    }
    let of_node = format!("spec.nodeName={node}");
    let pods = list(cluster, ("v1", "Pod"), Some(&of_node)).await?.context("the cluster serves no pods")?;
    for object in nodes.into_iter().chain(pods) {
        stock.put(object)?;
    }
    for (api_version, kind, lacking) in AROUND {
        progress.say(&format!("reading {kind}"));
        match list(cluster, (api_version, kind), None).await {
            Ok(Some(objects)) => {
                stock.knows_daemon_sets |= kind == "DaemonSet";
                objects.into_iter().try_for_each(|object| stock.put(object))?;
            }
            Ok(None) => {}
            Err(error) => warnings.push(format!("it is not known {lacking}: {error:#}")),
        }
    }
    progress.clear();
    Ok(warnings)
}

/// All objects of a kind, as far as a field selector selects them; none if the cluster does not serve it.
async fn list(
    cluster: &mut Cluster,
    (api_version, kind): (&str, &str),
    fields: Option<&str>,
) -> anyhow::Result<Option<Vec<Value>>> {
    let Some(resource) = cluster.resource(api_version, kind).await? else { return Ok(None) };
    let listed = objects::list(&cluster.client, &resource, fields).await;
    let mut objects = listed.map_err(|error: ApiError| {
        anyhow::Error::new(error).context(format!("cannot list {}", resource.name()))
    })?;
    // Items of a list do not repeat its type.
    for object in objects.iter_mut().filter_map(Value::as_object_mut) {
        object.insert("apiVersion".to_owned(), api_version.into());
        object.insert("kind".to_owned(), kind.into());
    }
    Ok(Some(objects))
}
