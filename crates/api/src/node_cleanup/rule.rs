//! `DrainRule`: pods that a drain treats in a way of their own.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::garbage_collection::LabelSelector;
use crate::schema::structural;

/// How drains treat the pods that it selects.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "groundskeeper.dev",
    version = "v1alpha1",
    kind = "DrainRule",
    plural = "drainrules",
    singular = "drainrule",
    shortname = "dr",
    category = "groundskeeper",
    derive = "PartialEq",
    doc = "How drains treat the pods that it selects: whether they leave, when, and in which order. If several rules select a pod, the first by name counts.",
    printcolumn(
        name = "Behavior",
        type_ = "string",
        json_path = ".spec.behavior",
        description = "What becomes of the pods."
    ),
    printcolumn(
        name = "Order",
        type_ = "integer",
        json_path = ".spec.order",
        description = "Lower leaves first."
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since the rule was created."
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
#[x_kube(validation = Rule::new("!has(self.order) || self.order == 0 || !has(self.behavior) || self.behavior == 'Drain'")
    .message("order is for pods that are drained: leave it out, or write `behavior: Drain`"))]
pub struct DrainRuleSpec {
    /// Drain: the pods leave. Skip: they stay, and nobody waits for them. WaitCompleted: they are not evicted, and
    /// waited for until they have ended by themselves. Default: Drain.
    #[serde(default)]
    pub behavior: DrainBehavior,
    /// Which pods leave first: those with a lower order must be gone before others are asked. -1,000,000 to 1,000,000.
    /// Default: 0.
    #[serde(default)]
    #[schemars(range(min = -1_000_000, max = 1_000_000), extend("format" = "int32"))]
    pub order: i32,
    /// Only on nodes whose labels match. Left out: on all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,
    /// Only pods whose labels match. Left out: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// Only pods in these namespaces, at most 64. `*` stands for any characters, `?` for one. Left out: in all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub namespaces: Vec<String>,
}

/// What becomes of pods when their node is drained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum DrainBehavior {
    /// They leave.
    #[default]
    Drain,
    /// They stay, and nobody waits for them.
    Skip,
    /// They are not evicted, and waited for until they have ended by themselves.
    WaitCompleted,
}
