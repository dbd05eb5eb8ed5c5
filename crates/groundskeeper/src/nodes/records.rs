//! The records of departures, as a cluster holds them.
//!
//! Knows which of several records is that of the node as it is now: a record belongs to one incarnation, by its UID.

use anyhow::{Context as _, bail};
use api::NodeCleanup;
use api::node_cleanup::{CleanupPhase, NODE_FINALIZER};
use chassis::Resource;
use chassis::objects::{self, ObjectRef};
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

use super::OURS;
use crate::cluster::{Cluster, text};

/// A node as a cluster holds it.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) name: String,
    pub(crate) uid: String,
    /// Since when it is being deleted.
    pub(crate) since: Option<Timestamp>,
    pub(crate) finalizers: Vec<String>,
}

impl Held {
    /// From an object, or from its metadata alone.
    pub(crate) fn of(object: &Value) -> Self {
        let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array);
        let finalizers = finalizers.into_iter().flatten().filter_map(Value::as_str);
        Self {
            name: text(object, "/metadata/name").to_owned(),
            uid: text(object, "/metadata/uid").to_owned(),
            since: text(object, "/metadata/deletionTimestamp").parse().ok(),
            finalizers: finalizers.map(ToOwned::to_owned).collect(),
        }
    }

    /// Whether our finalizer holds it.
    pub(crate) fn is_ours(&self) -> bool {
        self.finalizers.iter().any(|held| held == NODE_FINALIZER)
    }
}

/// All nodes that carry our finalizer.
pub(crate) async fn finalized(cluster: &mut Cluster) -> anyhow::Result<Vec<Held>> {
    let nodes = node_resource(cluster).await?;
    let found = objects::list_metadata(&cluster.client, &nodes).await.context("cannot list the nodes")?;
    Ok(found.iter().map(Held::of).filter(Held::is_ours).collect())
}

/// What the cluster calls nodes.
pub(crate) async fn node_resource(cluster: &mut Cluster) -> anyhow::Result<Arc<Resource>> {
    cluster.resource("v1", "Node").await?.context("the cluster serves no nodes")
}

/// The node of this name, as it is now.
pub(crate) async fn node(cluster: &mut Cluster, name: &str) -> anyhow::Result<Option<Held>> {
    let resource = node_resource(cluster).await?;
    let object = ObjectRef { resource: &resource, namespace: None, name };
    let found = objects::look_at(&cluster.client, object).await;
    Ok(found.with_context(|| format!("cannot read {object}"))?.as_ref().map(Held::of))
}

/// What the cluster calls one of our kinds of node cleanup.
pub(super) async fn kind(cluster: &mut Cluster, kind: &str) -> anyhow::Result<Arc<Resource>> {
    let resource = cluster.resource(OURS, kind).await?;
    resource.with_context(|| {
        format!("the cluster does not know {kind}: `groundskeeper install` makes it known, `groundskeeper check` looks for more")
    })
}

/// All records; of one node, if it is named. What cannot be read is passed over, and named.
pub(super) async fn all(
    cluster: &Cluster,
    resource: &Resource,
) -> anyhow::Result<(Vec<NodeCleanup>, Vec<String>)> {
    let found = objects::list(&cluster.client, resource, None).await;
    let found = found.context("cannot list the records of departures")?;
    let (mut records, mut unreadable) = (Vec::new(), Vec::new());
    for object in found {
        let name = text(&object, "/metadata/name").to_owned();
        match serde_json::from_value(object) {
            Ok(record) => records.push(record),
            Err(error) => unreadable.push(format!("NodeCleanup {name} cannot be read: {error}")),
        }
    }
    Ok((records, unreadable))
}

/// A record by its name; none if it is not there.
pub(super) async fn read(
    cluster: &Cluster,
    resource: &Resource,
    name: &str,
) -> anyhow::Result<Option<NodeCleanup>> {
    let object = ObjectRef { resource, namespace: None, name };
    let found = objects::look_at(&cluster.client, object).await;
    let found = found.with_context(|| format!("cannot read {object}"))?;
    found
        .map(|found| serde_json::from_value(found).with_context(|| format!("cannot understand {object}")))
        .transpose()
}

/// How far a departure is; a record without a status waits.
pub(super) fn phase(record: &NodeCleanup) -> CleanupPhase {
    record.status.as_ref().map(|status| status.phase).unwrap_or_default()
}

/// Whether a departure has come to its end.
pub(super) const fn is_over(phase: CleanupPhase) -> bool {
    matches!(phase, CleanupPhase::Completed | CleanupPhase::Released | CleanupPhase::Lost)
}

/// The record of the node as it is now: of the incarnation that is there, or of the last one if there is none.
pub(super) fn of_node<'r>(
    records: &'r [NodeCleanup],
    name: &str,
    node: Option<&Held>,
) -> Option<&'r NodeCleanup> {
    let began = |record: &NodeCleanup| {
        let start = record.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|at| at.0);
        start.or_else(|| record.metadata.creation_timestamp.as_ref().map(|at| at.0))
    };
    let mut of_it: Vec<_> = records.iter().filter(|record| record.spec.node_name == name).collect();
    if let Some(node) = node {
        return of_it.into_iter().find(|record| record.spec.node_uid == node.uid);
    }
    of_it.sort_by_key(|record| (!is_over(phase(record)), began(record)));
    of_it.pop()
}

/// The departure under way of a node, for somebody who wants to decide about it.
pub(super) async fn under_way(
    cluster: &mut Cluster,
    name: &str,
) -> anyhow::Result<(Arc<Resource>, NodeCleanup)> {
    let resource = kind(cluster, "NodeCleanup").await?;
    let node = node(cluster, name).await?;
    let (records, unreadable) = all(cluster, &resource).await?;
    let Some(record) = of_node(&records, name, node.as_ref()) else {
        let unreadable = unreadable.into_iter().next().map(|why| format!("; {why}")).unwrap_or_default();
        match node {
            None => bail!("there is no node {name}, nor a record of its departure{unreadable}"),
            Some(Held { since: None, .. }) => {
                bail!("node {name} is not leaving: nobody has deleted it{unreadable}")
            }
            Some(held) if held.is_ours() => bail!(
                "node {name} is being deleted, and its departure has no record yet: look whether the operator runs, by `groundskeeper check`; if it never will again, `groundskeeper nodes release {name} --stand-alone` lets the node go{unreadable}"
            ),
            Some(held) => bail!(
                "node {name} is being deleted, and not held by us but by {}{unreadable}",
                held.finalizers.join(", ")
            ),
        }
    };
    let phase = phase(record);
    if is_over(phase) {
        bail!("the departure of node {name} has ended: {phase:?}; nothing can be decided about it any more");
    }
    Ok((resource, record.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(uid: &str, phase: &str, start: &str) -> NodeCleanup {
        serde_json::from_value(json!({
            "metadata": {"name": uid},
            "spec": {"nodeName": "a", "nodeUid": uid, "policy": "p"},
            "status": {"phase": phase, "startTime": start},
        }))
        .unwrap()
    }

    fn named<'r>(records: &'r [NodeCleanup], node: Option<&Held>) -> Option<&'r str> {
        of_node(records, "a", node).map(|record| &*record.spec.node_uid)
    }

    #[test]
    fn a_node_that_came_back_is_another_one() {
        let records = [
            record("u-1", "Completed", "2026-11-21T10:00:00Z"),
            record("u-2", "Draining", "2026-11-21T09:00:00Z"),
            record("u-3", "Lost", "2026-11-21T11:00:00Z"),
        ];
        let node =
            |uid: &str| Held { name: "a".into(), uid: uid.into(), since: None, finalizers: Vec::new() };
        assert_eq!(named(&records, Some(&node("u-1"))), Some("u-1"));
        assert_eq!(named(&records, Some(&node("u-4"))), None);
        assert_eq!(named(&records, None), Some("u-2"), "what is under way comes before what has ended");
        assert_eq!(named(&[records[0].clone(), records[2].clone()], None), Some("u-3"), "then the last");
        assert_eq!(of_node(&records, "b", None), None);
    }
}
