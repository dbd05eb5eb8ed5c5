//! What a drain is decided on: the node and all around it, as it was seen at one moment.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use units::{NamespacedName, Uid};
use views::{DisruptionBudget, Node, Pod, VolumeAttachment};

/// The node and all around it, as it was seen at one moment.
///
/// What is not known may be left out: the plan then says less in advance, and the server decides.
#[derive(Clone, Debug)]
pub struct Scene<'a> {
    /// The node.
    pub node: &'a Node,
    /// The pods of the node, in any order; those that are bound to another one are passed over.
    pub pods: Vec<&'a Pod>,
    /// The budgets of these pods' namespaces; those of others are passed over.
    pub budgets: Vec<&'a DisruptionBudget>,
    /// The volumes that are attached; those of other nodes are passed over.
    pub attachments: Vec<&'a VolumeAttachment>,
    /// The namespaces that are being deleted.
    pub terminating_namespaces: BTreeSet<Box<str>>,
    /// The UIDs of all DaemonSets of `apps`; absent if nobody has looked, and they then count as there.
    pub daemon_sets: Option<BTreeSet<Uid>>,
    /// How many pods a controller wants, by its UID, as far as it is known.
    pub replicas: BTreeMap<Uid, i64>,
    /// The PersistentVolumes of claims, as far as they are known.
    pub volumes: BTreeMap<NamespacedName, Box<str>>,
    /// When the node was cordoned, or first seen so; absent if it is not, and nothing is then asked to leave.
    pub cordoned_at: Option<Timestamp>,
    /// When the drain began, from which escalation and timeout count: the node settles in that time.
    pub began_at: Option<Timestamp>,
}

impl<'a> Scene<'a> {
    /// A node about which nothing else is known yet.
    pub fn of(node: &'a Node) -> Self {
        Self {
            node,
            pods: Vec::new(),
            budgets: Vec::new(),
            attachments: Vec::new(),
            terminating_namespaces: BTreeSet::new(),
            daemon_sets: None,
            replicas: BTreeMap::new(),
            volumes: BTreeMap::new(),
            cordoned_at: None,
            began_at: None,
        }
    }
}
