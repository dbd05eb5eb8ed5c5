//! `NodeMaintenance`: a node is emptied, held, and given back.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Blocker, DrainSettings};
use crate::conditions::Condition;
use crate::schema::structural;

/// The wish that a node be empty for a while.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "groundskeeper.dev",
    version = "v1alpha1",
    kind = "NodeMaintenance",
    plural = "nodemaintenances",
    singular = "nodemaintenance",
    shortname = "nm",
    category = "groundskeeper",
    status = "NodeMaintenanceStatus",
    derive = "PartialEq",
    doc = "The wish that a node be empty for a while: it is cordoned, drained and held. Deleting the wish takes off what it put on, and no more.",
    validation = Rule::new("self.spec.nodeName == oldSelf.spec.nodeName")
        .message("a NodeMaintenance belongs to one node: delete it, and create another one"),
    printcolumn(
        name = "Node",
        type_ = "string",
        json_path = ".spec.nodeName",
        description = "The node."
    ),
    printcolumn(
        name = "Phase",
        type_ = "string",
        json_path = ".status.phase",
        description = "How far it is."
    ),
    printcolumn(
        name = "Pods",
        type_ = "integer",
        json_path = ".status.podsLeft",
        description = "Pods that have yet to leave."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".spec.reason",
        description = "Why, in its author's words."
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since it was created."
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct NodeMaintenanceSpec {
    /// The node's name.
    #[schemars(length(min = 1, max = 253))]
    pub node_name: String,
    /// Why, in its author's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// How the pods are made to leave.
    #[serde(default)]
    pub drain: DrainSettings,
}

/// How far a maintenance is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum MaintenancePhase {
    /// Nothing has been done yet.
    #[default]
    Pending,
    /// Pods leave.
    Running,
    /// The node is empty, and held.
    Succeeded,
    /// The node was refused, or the time ran out; the message says why. What was cordoned stays so.
    Failed,
}

/// How far a maintenance is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeMaintenanceStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How far it is.
    pub phase: MaintenancePhase,
    /// The UID of the node that was seen; another node of the same name is left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_uid: Option<String>,
    /// Whether this maintenance cordoned the node, and so takes that back in the end.
    pub cordoned: bool,
    /// When it cordoned the node, or first saw it cordoned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cordon_time: Option<Time>,
    /// When the last pod had left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Pods that had to leave when the drain began.
    pub pods_total: i64,
    /// Pods that have yet to leave.
    pub pods_left: i64,
    /// How much of the drain is done, in percent.
    #[schemars(extend("format" = "int32"))]
    pub drain_progress: u8,
    /// What stands in the way, and what would lift it; at most 20.
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub blockers: Vec<Blocker>,
    /// What the drain costs, as it was before the first pod was asked to leave: data that is lost, services that have no other
    /// pod. It keeps nothing from leaving; at most 20.
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub risks: Vec<Blocker>,
    /// Ready, Reconciling, Stalled, Blocked and Drained.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
