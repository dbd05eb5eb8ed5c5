//! `NodeCleanupPolicy`: how the nodes that it selects leave.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CleanupStep, DrainSettings, EscalationRung};
use crate::conditions::Condition;
use crate::garbage_collection::LabelSelector;
use crate::limits::PRIORITY_MAX;
use crate::schema::structural;

/// How the nodes that it selects leave.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "groundskeeper.dev",
    version = "v1alpha1",
    kind = "NodeCleanupPolicy",
    plural = "nodecleanuppolicies",
    singular = "nodecleanuppolicy",
    shortname = "ncp",
    category = "groundskeeper",
    status = "NodeCleanupPolicyStatus",
    derive = "PartialEq",
    doc = "How the nodes that it selects leave: drained, their volumes detached, and forgotten by all that knew them, before the Node object goes.",
    printcolumn(
        name = "Nodes",
        type_ = "integer",
        json_path = ".status.nodes",
        description = "Nodes that the policy decides of."
    ),
    printcolumn(
        name = "Leaving",
        type_ = "integer",
        json_path = ".status.leaving",
        description = "Departures under way."
    ),
    printcolumn(
        name = "Held",
        type_ = "integer",
        json_path = ".status.held",
        description = "Departures that wait: for their turn, the storm brake, or somebody's help."
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the policy does what its spec says."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why, in one word."
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since the policy was created."
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct NodeCleanupPolicySpec {
    /// Only nodes whose labels match. Left out: all but those of the control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,
    /// What the policy may select although it would not otherwise; in words, so that nobody does it by mistake.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1), extend("x-kubernetes-list-type" = "set"))]
    pub unlock: Vec<NodeUnlock>,
    /// Which policy decides if several select one node: the one with the highest priority, and of equals the first by
    /// name. -1,000 to 1,000. Default: 0.
    #[serde(default)]
    #[schemars(range(min = -PRIORITY_MAX, max = PRIORITY_MAX), extend("format" = "int32"))]
    pub priority: i32,
    /// Who puts the finalizer on a node. The controller adds it wherever it is missing, whatever is said here. Default:
    /// Automatic.
    #[serde(default)]
    pub finalizer_by: FinalizerBy,
    /// What is done besides draining and waiting for volumes; at most 64 steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub steps: Vec<CleanupStep>,
    /// How the pods are made to leave.
    #[serde(default)]
    pub drain: DrainSettings,
    /// How long each part of a departure may take.
    #[serde(default)]
    pub deadlines: Deadlines,
    /// What is done when the drain is stuck, at most 8 rungs in the order of their times. Left out: nothing; the node
    /// is held, and an alert tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub escalation: Vec<EscalationRung>,
    /// How many nodes leave at one time.
    #[serde(default)]
    pub concurrency: Concurrency,
    /// Deletions of nodes that are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate_deletion: Option<DeletionGuard>,
    /// Whether departures are only planned and reported: nothing is cordoned, evicted or called, and no finalizer put
    /// on or taken off. Such a policy takes no node from one that acts. Default: false.
    #[serde(default)]
    pub dry_run: bool,
    /// Whether the policy rests: departures under way stop where they are, and nodes that are deleted wait. Default:
    /// false.
    #[serde(default)]
    pub paused: bool,
    /// How long the record of a departure that has ended is kept, such as `30d`: from `1m` to `366d`. Default: `30d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64))]
    pub keep_records_for: Option<String>,
}

/// What a policy may select because it says so in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum NodeUnlock {
    /// Nodes with the label control-plane, master or etcd of node-role.kubernetes.io.
    ControlPlaneNodes,
}

/// Who puts the finalizer on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum FinalizerBy {
    /// The API server by an admission policy where it has that (Kubernetes 1.36), else the webhook, else the controller.
    #[default]
    Automatic,
    /// The API server, by a MutatingAdmissionPolicy.
    AdmissionPolicy,
    /// The webhook, as the node is created.
    Webhook,
    /// The controller, as soon as it sees the node.
    Controller,
}

/// How long each part of a departure may take. A part that is not done by then is stuck: it is reported, and goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(transform = structural)]
pub struct Deadlines {
    /// From the first eviction until no pod is left that has to leave: from `1s` to `7d`. Default: `1h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64))]
    pub drain: Option<String>,
    /// From the end of the drain until no volume is attached: from `1s` to `7d`. Default: `15m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64))]
    pub volume_detach: Option<String>,
    /// All in all, from the deletion of the node: from `1s` to `30d`. Default: `6h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64))]
    pub total: Option<String>,
}

/// How many nodes leave at one time. The others wait, oldest deletion first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(transform = structural)]
pub struct Concurrency {
    /// In all: 1 to 5,000. Default: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5_000), extend("format" = "int32"))]
    pub max: Option<u32>,
    /// With one value of a label, such as a zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_label: Option<LabelConcurrency>,
    /// Holds all departures that have not begun while more than so many percent of the policy's nodes leave or are
    /// not ready: 1 to 100. 100 never holds. Default: 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100), extend("format" = "int32"))]
    pub storm_brake_percent: Option<u8>,
}

/// How many nodes with one value of a label leave at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct LabelConcurrency {
    /// The label's key, such as `topology.kubernetes.io/zone`.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// So many at one time: 1 to 5,000.
    #[schemars(range(min = 1, max = 5_000), extend("format" = "int32"))]
    pub max: u32,
}

/// Deletions of nodes that are refused when they are asked for.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
#[x_kube(validation = Rule::new("has(self.lastOf) || (has(self.brokenBudgets) && self.brokenBudgets)")
    .message("say which deletions are refused: lastOf, brokenBudgets, or both"))]
pub struct DeletionGuard {
    /// The key of a label, such as that of a pool: the last node with a value of it may not be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317))]
    pub last_of: Option<String>,
    /// Whether a node may not be deleted while a disruption budget would keep one of its pods. Default: false.
    #[serde(default)]
    pub broken_budgets: bool,
}

/// What the policy sees and does.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeCleanupPolicyStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Nodes that the policy decides of.
    pub nodes: i64,
    /// Of them, those with the finalizer.
    pub finalized: i64,
    /// Departures under way.
    pub leaving: i64,
    /// Departures that wait: for their turn, the storm brake, or somebody's help.
    pub held: i64,
    /// Departures that have come to their end since the policy was created. A crash may lose the last second's.
    pub completed: i64,
    /// Ready, Reconciling and Stalled.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
