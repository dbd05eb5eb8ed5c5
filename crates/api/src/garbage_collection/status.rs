//! What a policy sees and has done.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::conditions::Condition;
use crate::limits::FINALIZING_MAX;

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
    /// Selected objects of which it cannot be told when their time is up; the condition Unresolvable names one.
    pub unresolvable: i64,
    /// Objects for each reason that `groundskeeper plan` would give.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["reason"]))]
    pub reasons: Vec<ReasonCount>,
    /// When the next object falls due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_expiry: Option<Time>,
    /// When the policy last deleted an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_deletion: Option<Time>,
    /// When all objects were last looked at together. What is looked at between for the sake of other policies is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run: Option<Time>,
    /// How late the last deletions were, counted from when the objects might have gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lateness: Option<Lateness>,
    /// What the policy collects, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// When it collects, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The hash of the spec, to which an approval is bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec_hash: Option<String>,
    /// The spec that was last let through, and how many objects it selected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Accepted>,
    /// What the budget allows, and what of it is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetUse>,
    /// Objects that the policy has deleted, and that hang on the finalizer that it takes off; at most 100. What stands here
    /// is the proof that it was this policy: whoever goes on after a restart takes the finalizer off these, and no others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = FINALIZING_MAX), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["uid"]))]
    pub finalizing: Vec<Finalizing>,
    /// Ready, Reconciling, Stalled, PermissionDenied, BudgetExceeded, AwaitingApproval, Unresolvable and HeldByFinalizers.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// How many objects there are for a reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReasonCount {
    /// The reason, as in `groundskeeper plan`.
    pub reason: String,
    /// So many objects.
    pub count: i64,
}

/// How late the last deletions were: the time until the server's answer from falling due or, if that was later, from when
/// the object came to match, or the policy was let delete it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lateness {
    /// Half of them were not later than this, in milliseconds.
    pub p50_milliseconds: i64,
    /// 99 of 100 were not later than this, in milliseconds.
    pub p99_milliseconds: i64,
    /// Of so many deletions, at most the last 1,000.
    pub of: i64,
}

/// A spec that was let through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// The hash of the spec.
    pub spec_hash: String,
    /// Objects that it selected then.
    pub matched: i64,
}

/// An object that the policy has deleted, and that hangs on the finalizer that it takes off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finalizing {
    /// Group and version.
    pub api_version: String,
    /// The kind, such as `ConfigMap`.
    pub kind: String,
    /// The namespace; left out for an object that lies in none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The name of the object.
    pub name: String,
    /// The incarnation, as metadata.uid has it.
    pub uid: String,
}

/// What a budget allows, and what of it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetUse {
    /// All objects of the kind in the policy's namespaces, counted before anything was selected.
    pub base: i64,
    /// At most so many deletions in the window.
    pub limit: i64,
    /// So many deletions were made in the window up to now.
    pub used: i64,
    /// So many deletions may have been made when the next status is written. Whoever takes over after a crash counts
    /// them as made.
    #[serde(default)]
    pub reserved: i64,
}
