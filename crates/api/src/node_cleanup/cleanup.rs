//! `NodeCleanup`: the record of one departure. It outlives the node, and every restart of ours.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::step::free_form;
use super::{CleanupStep, Deadlines, DrainSettings, EscalationRung};
use crate::conditions::Condition;
use crate::limits::GENERATION_MAX;
use crate::schema::structural;

/// The record of one departure of one node.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "groundskeeper.dev",
    version = "v1alpha1",
    kind = "NodeCleanup",
    plural = "nodecleanups",
    singular = "nodecleanup",
    shortname = "nc",
    category = "groundskeeper",
    status = "NodeCleanupStatus",
    derive = "PartialEq",
    doc = "The record of one departure of one node, named by the node's UID. Groundskeeper writes it; people change `overrides`, best by `groundskeeper nodes`.",
    validation = Rule::new("self.spec.nodeName == oldSelf.spec.nodeName && self.spec.nodeUid == oldSelf.spec.nodeUid")
        .message("a record belongs to one node: create another one instead"),
    printcolumn(
        name = "Node",
        type_ = "string",
        json_path = ".spec.nodeName",
        description = "The node that leaves."
    ),
    printcolumn(
        name = "Phase",
        type_ = "string",
        json_path = ".status.phase",
        description = "How far the departure is."
    ),
    printcolumn(
        name = "Step",
        type_ = "string",
        json_path = ".status.current",
        description = "The steps under way."
    ),
    printcolumn(
        name = "Pods",
        type_ = "integer",
        json_path = ".status.podsLeft",
        description = "Pods that have yet to leave."
    ),
    printcolumn(
        name = "Blocked",
        type_ = "string",
        json_path = ".status.blockers[0].reason",
        description = "What stands in the way, in one word."
    ),
    printcolumn(
        name = "Deadline",
        type_ = "string",
        json_path = ".status.deadline",
        description = "When the departure counts as stuck.",
        priority = 1
    ),
    printcolumn(
        name = "Since",
        type_ = "date",
        json_path = ".status.startTime",
        description = "When the node was deleted."
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct NodeCleanupSpec {
    /// The node's name.
    #[schemars(length(min = 1, max = 253))]
    pub node_name: String,
    /// The node's UID: another node of the same name is none of this record's business.
    #[schemars(length(min = 1, max = 128))]
    pub node_uid: String,
    /// The policy that said how.
    #[schemars(length(min = 1, max = 253))]
    pub policy: String,
    /// The generation of the policy's spec.
    #[serde(default)]
    #[schemars(range(min = 0, max = GENERATION_MAX))]
    pub policy_generation: i64,
    /// The steps as they were when the departure began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 66), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub steps: Vec<CleanupStep>,
    /// How the pods leave, as it was said when the departure began.
    #[serde(default)]
    pub drain: DrainSettings,
    /// How long each part may take, as it was said when the departure began.
    #[serde(default)]
    pub deadlines: Deadlines,
    /// What is done when the drain is stuck, as it was said when the departure began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub escalation: Vec<EscalationRung>,
    /// What people have decided about this departure.
    #[serde(default)]
    pub overrides: Overrides,
}

/// What people have decided about a departure. Each change needs the right to a verb of its own on nodecleanups: pause,
/// skip, retry, extend or release.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(transform = structural)]
pub struct Overrides {
    /// Whether the departure stops where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Said>,
    /// Steps that are not taken, or not tried again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 66), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["step"]))]
    pub skip: Vec<SaidOfStep>,
    /// Steps that are tried anew from their first attempt, as of the time that is said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 66), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["step"]))]
    pub retry: Vec<SaidOfStep>,
    /// A later deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extend: Option<Extension>,
    /// Whether the node goes at once, without what has not been done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Said>,
}

/// Who decided something, when and why.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct Said {
    /// The user's name; the API server refuses another's.
    #[schemars(length(min = 1, max = 1024))]
    pub by: String,
    /// When it was decided.
    pub at: Time,
    /// Why, in the user's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub why: Option<String>,
}

/// What somebody decided about one step.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct SaidOfStep {
    /// The step's name.
    #[schemars(length(min = 1, max = 63))]
    pub step: String,
    /// The user's name; the API server refuses another's.
    #[schemars(length(min = 1, max = 1024))]
    pub by: String,
    /// When it was decided.
    pub at: Time,
    /// Why, in the user's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub why: Option<String>,
}

/// A later deadline.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct Extension {
    /// The departure's new deadline.
    pub until: Time,
    /// The user's name; the API server refuses another's.
    #[schemars(length(min = 1, max = 1024))]
    pub by: String,
    /// When it was decided.
    pub at: Time,
    /// Why, in the user's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub why: Option<String>,
}

/// How far a departure is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
pub enum CleanupPhase {
    /// It waits for its turn.
    #[default]
    Waiting,
    /// The node is cordoned; after a moment the first pods are asked to leave.
    Settling,
    /// Pods leave.
    Draining,
    /// Volumes are being detached.
    Detaching,
    /// Steps are taken.
    CleaningUp,
    /// All is done; the finalizer is taken off.
    Releasing,
    /// The node is gone, and nothing of it is left.
    Completed,
    /// The node is gone although not all was done, because somebody said so.
    Released,
    /// The node was gone before all was done.
    Lost,
}

/// How far a departure is, and what has been done.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeCleanupStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How far the departure is.
    pub phase: CleanupPhase,
    /// The steps under way, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// When the node was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it was cordoned, which begins the settling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cordon_time: Option<Time>,
    /// When the departure came to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// When the departure counts as stuck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// Pods that had to leave when the drain began.
    pub pods_total: i64,
    /// Pods that have yet to leave.
    pub pods_left: i64,
    /// Volumes that are attached to the node.
    pub volumes_left: i64,
    /// The Node as it was when the departure began, as plugins are told of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeSnapshot>,
    /// What became of each step, in their order.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub steps: Vec<StepStatus>,
    /// What stands in the way, and what would lift it; at most 20.
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub blockers: Vec<Blocker>,
    /// What the drain costs, as it was before the first pod was asked to leave: data that is lost, services that have no other
    /// pod. It keeps nothing from leaving; at most 20.
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub risks: Vec<Blocker>,
    /// Ready, Reconciling, Stalled, Blocked, Drained and VolumesDetached.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// What plugins are told of a node, which may be gone by then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSnapshot {
    /// Its labels.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub labels: std::collections::BTreeMap<String, String>,
    /// `spec.providerID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// `status.nodeInfo.machineID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
    /// Its addresses, as `type: address`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<NodeAddress>,
}

/// An address of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeAddress {
    /// Such as `InternalIP` or `Hostname`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The address.
    pub address: String,
}

/// What became of a step.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StepStatus {
    /// The step's name.
    pub name: String,
    /// How it stands with the step.
    pub state: StepState,
    /// Attempts that have begun.
    #[schemars(extend("format" = "int32"))]
    pub attempts: u32,
    /// When the first attempt began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the attempt that is under way began, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt_time: Option<Time>,
    /// When the plugin is asked again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_time: Option<Time>,
    /// When the step ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Time>,
    /// How much is done, in percent, if the plugin says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "int32"))]
    pub percent: Option<u8>,
    /// What failed, as one word that programs may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the plugin said last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the plugin wants to be told the next time, at most 16 KiB.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "free_form")]
    pub state_blob: Map<String, Value>,
    /// Who overrode the step, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overridden_by: Option<String>,
}

/// How it stands with a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum StepState {
    /// It has not begun.
    #[default]
    Pending,
    /// An attempt is under way. It stands here before the plugin is asked.
    Running,
    /// The last attempt has failed; it is tried again.
    Retrying,
    /// It ended well.
    Done,
    /// It failed for good.
    Failed,
    /// It was not taken: its `when` was not true, or somebody skipped it.
    Skipped,
}

/// One thing that stands in the way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Blocker {
    /// Which kind of thing, as in `groundskeeper nodes plan`.
    pub reason: String,
    /// What it is, and what would lift it.
    pub message: String,
    /// The objects that it is about, as `Kind namespace/name`; at most 10.
    #[serde(default)]
    #[schemars(length(max = 10), extend("x-kubernetes-list-type" = "atomic"))]
    pub objects: Vec<String>,
    /// Since when it stands in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Time>,
}
