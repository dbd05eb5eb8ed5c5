//! `GarbageCollectionPolicy` and `ClusterGarbageCollectionPolicy`: delete objects when their time is up.
//!
//! Two kinds with one spec. The one is confined to its own namespace; the other looks at namespaces that it selects, and at
//! kinds without namespaces.

#![allow(clippy::doc_markdown, reason = "`kubectl explain` shows the comments as they stand")]

mod cluster;
mod how;
mod status;
mod target;
mod when;
mod which;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use cluster::ClusterGarbageCollectionPolicy;
pub use how::*;
pub use status::*;
pub use target::*;
pub use when::*;
pub use which::*;

use crate::limits::PRIORITY_MAX;
use crate::protection::Unlock;
use crate::schema::structural;

/// The two kinds of policies.
pub const POLICY_KINDS: [&str; 2] = ["GarbageCollectionPolicy", "ClusterGarbageCollectionPolicy"];

/// Deletes objects, in the policy's own namespace, when their time is up.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
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
    doc = "Deletes objects, in the policy's own namespace, when their time is up.",
    validation = Rule::new("!has(self.spec.namespaces)")
        .message("a GarbageCollectionPolicy collects in its own namespace: leave namespaces out, or write a ClusterGarbageCollectionPolicy"),
    printcolumn(
        name = "Mode",
        type_ = "string",
        json_path = ".spec.mode",
        description = "Plan: nothing goes. Enforce: what is due goes."
    ),
    printcolumn(
        name = "Target",
        type_ = "string",
        json_path = ".status.target",
        description = "The kinds that are collected."
    ),
    printcolumn(
        name = "When",
        type_ = "string",
        json_path = ".status.when",
        description = "When an object's time is up."
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
#[x_kube(
    validation = Rule::new("has(self.targetResource) != (has(self.targetResources) && size(self.targetResources) > 0)")
        .message("write either targetResource, for one kind, or targetResources, for several"),
    validation = Rule::new("has(self.ttl) || has(self.keep) || (has(self.action) && self.action == 'Keep')")
        .message("say when objects go: write ttl, or keep, or both"),
    validation = Rule::new("!(has(self.action) && self.action == 'Keep') || (!has(self.keep) && !has(self.notice) && !has(self.budget))")
        .message("a policy with `action: Keep` deletes nothing: leave keep, notice and budget out")
)]
pub struct GarbageCollectionPolicySpec {
    /// Which objects are collected, of one kind. For several kinds write targetResources instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_resource: Option<TargetResource>,
    /// Which objects are collected, of several kinds; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub target_resources: Vec<TargetResource>,
    /// The namespaces that a ClusterGarbageCollectionPolicy looks at, and, of the kind Namespace, collects. It says nothing of
    /// other kinds without namespaces. Left out: all, but those of the cluster itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<NamespaceSelection>,
    /// When an object's time is up. May be left out if keep is given: then all that is not kept goes at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// What an object must be like to be collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Conditions>,
    /// A CEL expression over `object` and `now` that must be true of an object for it to be collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub when: Option<String>,
    /// The objects that are kept of each group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
    /// Whether objects are deleted, or kept from being deleted by other policies. Default: Delete.
    #[serde(default)]
    pub action: Action,
    /// Plan: status and `groundskeeper plan` say what would go; nothing goes. Enforce: it goes. Default: Plan.
    #[serde(default)]
    pub mode: PolicyMode,
    /// How objects are deleted.
    #[serde(default)]
    pub behavior: Behavior,
    /// How much may be deleted in a span of time. Default: 50 objects or 10 percent, whichever is more, in an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<DeletionBudget>,
    /// The hours at which objects are deleted. Left out: at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Which policy decides if several select one object: only those with the highest priority, and of them the one by
    /// which the object goes first. A policy by marks leaves objects without one to the others. -1,000 to 1,000.
    /// Default: 0.
    #[serde(default)]
    #[schemars(range(min = -PRIORITY_MAX, max = PRIORITY_MAX), extend("format" = "int32"))]
    pub priority: i32,
    /// How long before its deletion an object is told of it, by an event and the annotation groundskeeper.dev/notice;
    /// such as `1h`. It is never deleted earlier than so long after it was told, whoever told it. Left out: it is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64))]
    pub notice: Option<String>,
    /// What is collected although it is protected otherwise; each in words, so that nobody does it by mistake.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "set"))]
    pub unlock: Vec<Unlock>,
    /// Whether the policy rests: a paused policy keeps its counts up to date and deletes nothing. Default: false.
    #[serde(default)]
    pub paused: bool,
    /// How often all objects are looked at anew although nothing has told of a change, such as `1h`: from `1m` to `7d`.
    /// What falls due goes at its time regardless. Default: `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64))]
    pub evaluation_interval: Option<String>,
    /// The service account with whose rights objects are deleted: a name in the policy's namespace, or `namespace/name`
    /// for a ClusterGarbageCollectionPolicy. Left out: Groundskeeper's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317))]
    pub service_account_name: Option<String>,
}

impl GarbageCollectionPolicySpec {
    /// What it targets, in order.
    pub fn targets(&self) -> impl Iterator<Item = &TargetResource> {
        self.target_resource.iter().chain(&self.target_resources)
    }
}
