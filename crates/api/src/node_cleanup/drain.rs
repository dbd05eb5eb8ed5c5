//! How the pods of a node are made to leave it.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::garbage_collection::LabelSelector;
use crate::limits::GRACE_PERIOD_SECONDS_MAX;
use crate::schema::structural;

/// How the pods of a node are made to leave it. The names are those of `kubectl drain`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(transform = structural)]
pub struct DrainSettings {
    /// Whether pods that no controller would create again are evicted. Default: true for a deletion, since they die
    /// with the node anyway; false for a maintenance, which then refuses the whole node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// Whether pods with emptyDir volumes are evicted although what lies there is lost. Default: true for a deletion,
    /// false for a maintenance, which then refuses the whole node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_empty_dir_data: Option<bool>,
    /// Whether pods of DaemonSets are left alone; false refuses a node that has any. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_daemon_sets: Option<bool>,
    /// Whether pods of DaemonSets leave as well, each after all others of its importance. Those that tolerate the taint
    /// groundskeeper.dev/leaving stay: they would come back at once. `ignoreDaemonSets` does not count then. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evict_daemon_set_pods: Option<bool>,
    /// Seconds that each pod gets to end, 1 to 86,400; -1 is what the pod itself asks for. Default: -1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1, max = GRACE_PERIOD_SECONDS_MAX))]
    pub grace_period_seconds: Option<i64>,
    /// A pod whose time to end was up longer than so many seconds ago is not waited for, 0 to 86,400; 0 waits for
    /// all. On a node that does not answer, 60 unless this says otherwise. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = GRACE_PERIOD_SECONDS_MAX))]
    pub skip_wait_for_delete_timeout_seconds: Option<i64>,
    /// Only pods whose labels match are evicted and waited for. Left out: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// Whether pods are deleted instead of evicted, past all disruption budgets. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_eviction: Option<bool>,
    /// Seconds after which a drain has taken too long, 1 to 604,800; 0 is never. A maintenance has then failed, and asks
    /// no pod any more; a deletion is reported as late and goes on, as after `deadlines.drain`, whichever is first. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub timeout_seconds: Option<i64>,
    /// How many pods with persistent volumes leave at one time: 1 to 1,000. Default: 1, one after another, as storage
    /// detaches and attaches slowly.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000), extend("format" = "int32"))]
    pub volume_pods_at_once: Option<u32>,
}

/// What is done when a drain does not come to its end by itself; each rung only if it is named.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct EscalationRung {
    /// How long after the drain began, such as `30m`: from `1s` to `7d`. Rungs stand in the order of their times.
    #[schemars(length(min = 2, max = 64))]
    pub after: String,
    /// What is done from then on.
    pub action: Escalation,
    /// Seconds that a pod gets to end from then on, 1 to 86,400. Only for TightenGrace; default: 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = GRACE_PERIOD_SECONDS_MAX))]
    pub grace_period_seconds: Option<i64>,
}

/// A rung of the ladder that a stuck drain climbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
pub enum Escalation {
    /// Pods are still evicted, and get less time to end.
    TightenGrace,
    /// Pods that are still there are deleted, past their disruption budgets.
    DeletePods,
    /// What has not left is left behind: the drain counts as done, and the steps after it begin.
    Abandon,
}
