//! `GarbageCollectionPolicy`: delete objects of one kind in the policy's own namespace when their time is up.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::conditions::Condition;
use crate::limits::{
    DELETIONS_PER_SECOND_DEFAULT, DELETIONS_PER_SECOND_MAX, GRACE_PERIOD_SECONDS_MAX, TTL_SECONDS_MAX,
};
use crate::schema::structural;

/// Deletes objects of one kind, in the policy's own namespace, when their time is up.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "groundskeeper.dev",
    version = "v1alpha1",
    kind = "GarbageCollectionPolicy",
    plural = "garbagecollectionpolicies",
    singular = "garbagecollectionpolicy",
    shortname = "gcp",
    shortname = "gcpolicy",
    category = "groundskeeper",
    namespaced,
    status = "GarbageCollectionPolicyStatus",
    derive = "PartialEq",
    doc = "Deletes objects of one kind, in the policy's own namespace, when their time is up.",
    printcolumn(
        name = "Kind",
        type_ = "string",
        json_path = ".spec.targetResource.kind",
        description = "The kind of object that is collected."
    ),
    printcolumn(
        name = "TTL",
        type_ = "integer",
        json_path = ".spec.ttl.secondsAfterCreation",
        description = "Seconds from an object's creation to its deletion."
    ),
    printcolumn(
        name = "Matched",
        type_ = "integer",
        json_path = ".status.matched",
        description = "Objects that the policy selects."
    ),
    printcolumn(
        name = "Pending",
        type_ = "integer",
        json_path = ".status.pending",
        description = "Selected objects that will be deleted when their time is up."
    ),
    printcolumn(
        name = "Deleted",
        type_ = "integer",
        json_path = ".status.deleted",
        description = "Objects that the policy has deleted so far."
    ),
    printcolumn(
        name = "Protected",
        type_ = "integer",
        json_path = ".status.protected",
        description = "Selected objects that are never deleted.",
        priority = 1
    ),
    printcolumn(
        name = "Next",
        type_ = "string",
        json_path = ".status.nextExpiry",
        description = "When the next object falls due.",
        priority = 1
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
pub struct GarbageCollectionPolicySpec {
    /// Which objects are collected.
    pub target_resource: TargetResource,
    /// When an object's time is up.
    pub ttl: Ttl,
    /// How objects are deleted.
    #[serde(default)]
    pub behavior: Behavior,
    /// Whether the policy rests: a paused policy keeps its counts up to date and deletes nothing. Default: false.
    #[serde(default)]
    pub paused: bool,
}

/// Which objects are collected.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
#[x_kube(
    validation = Rule::new("!self.apiVersion.startsWith('coordination.k8s.io/')")
        .message("leases are never collected: they are someone's leadership or a node's heartbeat; name another kind"),
    validation = Rule::new("!self.apiVersion.startsWith('groundskeeper.dev/')")
        .message("resources of groundskeeper.dev are never collected; name another kind")
)]
pub struct TargetResource {
    /// The API version of the kind, such as `v1` or `batch/v1`.
    #[schemars(length(min = 1, max = 317))]
    #[x_kube(validation = Rule::new("self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("apiVersion must be `version` or `group/version`, such as v1 or batch/v1"))]
    pub api_version: String,
    /// The kind, such as `Job` or `ConfigMap`. Any kind with namespaces works, custom resources too.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?$')")
        .message("kind must be a name such as Job or ConfigMap: letters, digits and dashes, starting with a letter"))]
    pub kind: String,
    /// The namespace of the objects. Only the policy's own namespace is allowed, and is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Only objects whose labels match are collected. Left out or empty: all objects of the kind in the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
}

/// A label selector, as Kubernetes has it: all its terms must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct LabelSelector {
    /// Labels that an object must have, with exactly these values; at most 32.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements that an object's labels must meet; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Vec<LabelRequirement>,
}

/// One requirement on the labels of an object.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
#[x_kube(
    validation = Rule::new("!(self.operator in ['In', 'NotIn']) || (has(self.values) && size(self.values) > 0)")
        .message("operators In and NotIn need at least one entry in values"),
    validation = Rule::new("!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || size(self.values) == 0")
        .message("operators Exists and DoesNotExist take no values: leave values out")
)]
pub struct LabelRequirement {
    /// The label's key.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// How the label is compared: In, NotIn, Exists or DoesNotExist. NotIn also holds where the label is missing.
    pub operator: LabelOperator,
    /// The values for In and NotIn; at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum LabelOperator {
    /// The label is there, with one of the values.
    In,
    /// The label is missing, or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is missing.
    DoesNotExist,
}

/// When an object's time is up.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct Ttl {
    /// Seconds from the object's creation to its deletion: 1 to 3,153,600,000 (a hundred years).
    #[schemars(range(min = 1, max = TTL_SECONDS_MAX))]
    pub seconds_after_creation: i64,
}

/// How objects are deleted.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(transform = structural)]
pub struct Behavior {
    /// Whether the policy only reports what it would delete, and writes nothing to the objects. Default: false.
    pub dry_run: bool,
    /// The most that the policy deletes in a second: 1 to 10,000. Default: 10.
    #[schemars(range(min = 1, max = DELETIONS_PER_SECOND_MAX), extend("format" = "int32"))]
    pub max_deletions_per_second: u32,
    /// What becomes of objects that the deleted one owns, as in `kubectl delete --cascade`: Background deletes them
    /// afterwards, Foreground before, Orphan leaves them. Default: Background.
    pub propagation_policy: PropagationPolicy,
    /// Seconds that a pod gets to end, 0 to 86,400; 0 means at once. Left out: what the object itself asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = GRACE_PERIOD_SECONDS_MAX))]
    pub grace_period_seconds: Option<i64>,
}

impl Default for Behavior {
    fn default() -> Self {
        Self {
            dry_run: false,
            max_deletions_per_second: DELETIONS_PER_SECOND_DEFAULT,
            propagation_policy: PropagationPolicy::Background,
            grace_period_seconds: None,
        }
    }
}

/// What becomes of objects that a deleted object owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum PropagationPolicy {
    /// They are deleted afterwards.
    #[default]
    Background,
    /// They are deleted before.
    Foreground,
    /// They stay.
    Orphan,
}

impl PropagationPolicy {
    /// The name as it stands in `DeleteOptions`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Background => "Background",
            Self::Foreground => "Foreground",
            Self::Orphan => "Orphan",
        }
    }
}

/// What the policy sees and has done.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GarbageCollectionPolicyStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Objects that the policy selects now: the pending, the protected, and those that are terminating already.
    pub matched: i64,
    /// Selected objects that will be deleted when their time is up, or are about to be.
    pub pending: i64,
    /// Objects that the policy has deleted since it was created. A crash may lose the last second's.
    pub deleted: i64,
    /// Selected objects that are never deleted, such as those with the annotation groundskeeper.dev/protect.
    pub protected: i64,
    /// When the next object falls due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_expiry: Option<Time>,
    /// When the policy last deleted an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_deletion: Option<Time>,
    /// Ready, Reconciling and Stalled.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
