//! What a plan for a node is made of: objects, sorted by what they tell.
//!
//! The same from files and from a cluster. Kinds that tell nothing about a departure are passed over.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use api::{CleanupPlugin, DrainRule, NodeCleanupPolicy, NodeMaintenance};
use jiff::Timestamp;
use node_cleanup::drain::Scene;
use serde::de::DeserializeOwned;
use serde_json::Value;
use units::{NamespacedName, Uid};
use views::{DisruptionBudget, Node, Pod, VolumeAttachment};

use crate::cluster::text;

/// All that tells something about departures.
#[derive(Debug, Default)]
pub(super) struct Stock {
    /// With the manifest, for steps ask for any field.
    pub(super) nodes: Vec<(Node, Value)>,
    pub(super) pods: Vec<Pod>,
    pub(super) budgets: Vec<DisruptionBudget>,
    pub(super) attachments: Vec<VolumeAttachment>,
    pub(super) policies: Vec<NodeCleanupPolicy>,
    pub(super) rules: Vec<DrainRule>,
    pub(super) plugins: Vec<CleanupPlugin>,
    pub(super) maintenances: Vec<NodeMaintenance>,
    terminating_namespaces: BTreeSet<Box<str>>,
    daemon_sets: BTreeSet<Uid>,
    replicas: BTreeMap<Uid, i64>,
    volumes: BTreeMap<NamespacedName, Box<str>>,
    /// Whether DaemonSets have been looked for, so that one that is not here is not there.
    pub(super) knows_daemon_sets: bool,
}

impl Stock {
    /// Takes in an object. What tells nothing is passed over; what is no object of its kind is an error.
    pub(super) fn put(&mut self, object: Value) -> anyhow::Result<()> {
        let (api_version, kind) = (text(&object, "/apiVersion"), text(&object, "/kind"));
        match (api_version, kind) {
            ("v1", "Node") => self.nodes.push((read(object.clone())?, object)),
            ("v1", "Pod") => self.pods.push(read(object)?),
            ("v1", "Namespace") => self.put_namespace(&object),
            ("v1", "PersistentVolumeClaim") => self.put_claim(&object),
            ("policy/v1", "PodDisruptionBudget") => self.budgets.push(read(object)?),
            ("storage.k8s.io/v1", "VolumeAttachment") => self.attachments.push(read(object)?),
            ("apps/v1", "DaemonSet") => self.daemon_sets.extend(uid(&object)),
            ("apps/v1", "ReplicaSet" | "StatefulSet") | ("v1", "ReplicationController") => {
                self.put_controller(&object);
            }
            (version, _) if version.starts_with("groundskeeper.dev/") => {
                let name = text(&object, "/metadata/name").to_owned();
                self.put_ours(object).with_context(|| format!("the manifest {name}"))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn put_ours(&mut self, object: Value) -> anyhow::Result<()> {
        let kind = text(&object, "/kind").to_owned();
        ensure!(
            text(&object, "/apiVersion") == "groundskeeper.dev/v1alpha1",
            "{kind} is served as groundskeeper.dev/v1alpha1: write that as apiVersion"
        );
        match &*kind {
            "NodeCleanupPolicy" => self.policies.push(read(object)?),
            "DrainRule" => self.rules.push(read(object)?),
            "CleanupPlugin" => self.plugins.push(read(object)?),
            "NodeMaintenance" => self.maintenances.push(read(object)?),
            _ => {}
        }
        Ok(())
    }

    fn put_namespace(&mut self, object: &Value) {
        let is_terminating = object.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null());
        if is_terminating {
            self.terminating_namespaces.insert(text(object, "/metadata/name").into());
        }
    }

    fn put_claim(&mut self, object: &Value) {
        let volume = text(object, "/spec/volumeName");
        if !volume.is_empty() {
            let claim =
                NamespacedName::new(text(object, "/metadata/namespace"), text(object, "/metadata/name"));
            self.volumes.insert(claim, volume.into());
        }
    }

    fn put_controller(&mut self, object: &Value) {
        // A controller that does not say wants one pod.
        let wanted = object.pointer("/spec/replicas").map_or(Some(1), Value::as_i64);
        if let (Some(uid), Some(wanted)) = (uid(object), wanted) {
            self.replicas.insert(uid, wanted);
        }
    }

    /// The node of this name.
    pub(super) fn node(&self, name: &str) -> Option<&(Node, Value)> {
        self.nodes.iter().find(|(node, _)| *node.metadata.name == *name)
    }

    /// All that is known around a node.
    pub(super) fn scene<'a>(&'a self, node: &'a Node, cordoned_at: Option<Timestamp>) -> Scene<'a> {
        Scene {
            pods: self.pods.iter().collect(),
            budgets: self.budgets.iter().collect(),
            attachments: self.attachments.iter().collect(),
            terminating_namespaces: self.terminating_namespaces.clone(),
            daemon_sets: self.knows_daemon_sets.then(|| self.daemon_sets.clone()),
            replicas: self.replicas.clone(),
            volumes: self.volumes.clone(),
            cordoned_at,
            ..Scene::of(node)
        }
    }

    /// Whether anything but our own kinds is here.
    pub(super) fn has_objects(&self) -> bool {
        !self.nodes.is_empty() || !self.pods.is_empty()
    }

    /// Whether a DaemonSet is here.
    pub(super) fn has_daemon_sets(&self) -> bool {
        !self.daemon_sets.is_empty()
    }
}

fn read<T: DeserializeOwned>(object: Value) -> anyhow::Result<T> {
    let called = format!(
        "{} {}",
        text(&object, "/kind"),
        [text(&object, "/metadata/namespace"), text(&object, "/metadata/name")]
            .join("/")
            .trim_start_matches('/')
    );
    serde_json::from_value(object).with_context(|| called)
}

fn uid(object: &Value) -> Option<Uid> {
    Some(text(object, "/metadata/uid")).filter(|uid| !uid.is_empty()).map(Uid::from)
}
