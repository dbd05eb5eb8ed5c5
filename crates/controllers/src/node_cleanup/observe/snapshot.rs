//! A node and all around it at one moment, as a drain is decided on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use node_cleanup::drain::Scene;
use units::{NamespacedName, Uid};
use views::{Controller, DisruptionBudget, Node, Pod, VolumeAttachment};

use super::stock::Stock;

/// A node and all around it.
#[derive(Debug)]
pub(in super::super) struct Around {
    pub(in super::super) node: Arc<Node>,
    neighbours: Neighbours,
}

/// What is around a node.
#[derive(Debug, Default)]
pub(in super::super) struct Neighbours {
    pods: Vec<Arc<Pod>>,
    budgets: Vec<Arc<DisruptionBudget>>,
    attachments: Vec<Arc<VolumeAttachment>>,
    terminating_namespaces: BTreeSet<Box<str>>,
    daemon_sets: BTreeSet<Uid>,
    volumes: BTreeMap<NamespacedName, Box<str>>,
    replicas: BTreeMap<Uid, i64>,
}

impl Stock {
    /// What is around a node; none before its pods have been read.
    pub(in super::super) fn neighbours(&self, node: &Node) -> Option<Neighbours> {
        let name = &node.metadata.name;
        let shelf = self.pods.get(name).filter(|shelf| shelf.is_read())?;
        let pods: Vec<_> = shelf.iter().cloned().collect();
        let namespaces: BTreeSet<_> = pods.iter().filter_map(|pod| pod.metadata.namespace.clone()).collect();
        let concerned = |namespace: &Option<Box<str>>| {
            namespace.as_ref().is_some_and(|namespace| namespaces.contains(namespace))
        };
        let terminating = self.namespaces.iter().filter(|namespace| {
            namespace.metadata.deletion_timestamp.is_some() && namespaces.contains(&namespace.metadata.name)
        });
        Some(Neighbours {
            budgets: self
                .budgets
                .iter()
                .filter(|budget| concerned(&budget.metadata.namespace))
                .cloned()
                .collect(),
            attachments: self
                .attachments
                .iter()
                .filter(|attachment| attachment.node == *name)
                .cloned()
                .collect(),
            terminating_namespaces: terminating.map(|namespace| namespace.metadata.name.clone()).collect(),
            daemon_sets: self.daemon_sets.iter().filter_map(|set| set.metadata.uid.clone()).collect(),
            volumes: BTreeMap::new(),
            replicas: BTreeMap::new(),
            pods,
        })
    }
}

impl Around {
    pub(in super::super) fn new(node: Arc<Node>, neighbours: Neighbours) -> Self {
        Self { node, neighbours }
    }

    /// What the engine decides on.
    pub(in super::super) fn scene(&self) -> Scene<'_> {
        let Neighbours { pods, budgets, attachments, terminating_namespaces, daemon_sets, volumes, replicas } =
            &self.neighbours;
        Scene {
            pods: pods.iter().map(|pod| &**pod).collect(),
            budgets: budgets.iter().map(|budget| &**budget).collect(),
            attachments: attachments.iter().map(|attachment| &**attachment).collect(),
            terminating_namespaces: terminating_namespaces.clone(),
            daemon_sets: Some(daemon_sets.clone()),
            volumes: volumes.clone(),
            replicas: replicas.clone(),
            ..Scene::of(&self.node)
        }
    }
}

impl Neighbours {
    /// The claims of the node's pods, if any volume is attached to it: whose volumes they are has to be asked.
    pub(in super::super) fn claims(&self) -> BTreeSet<NamespacedName> {
        if self.attachments.is_empty() {
            return BTreeSet::new();
        }
        let claims = self.pods.iter().flat_map(|pod| {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            pod.claims.iter().map(move |claim| NamespacedName::new(namespace, &**claim))
        });
        claims.collect()
    }

    /// Which volumes the claims are bound to.
    pub(in super::super) fn knows_volumes(&mut self, volumes: BTreeMap<NamespacedName, Box<str>>) {
        self.volumes = volumes;
    }

    /// Who would create pods of the node again, each with its namespace.
    pub(in super::super) fn controllers(&self) -> impl Iterator<Item = (&str, &Controller)> {
        self.pods
            .iter()
            .filter_map(|pod| Some((pod.metadata.namespace.as_deref()?, pod.controller.as_ref()?)))
    }

    /// How many pods these controllers want.
    pub(in super::super) fn knows_replicas(&mut self, replicas: BTreeMap<Uid, i64>) {
        self.replicas = replicas;
    }

    /// The UIDs of the node's pods.
    pub(in super::super) fn pods(&self) -> BTreeSet<Uid> {
        self.pods.iter().filter_map(|pod| pod.metadata.uid.clone()).collect()
    }
}
