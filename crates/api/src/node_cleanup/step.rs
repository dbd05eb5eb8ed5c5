//! The steps of a departure: what is done, in which order, and what happens if it fails.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::schema::structural;

/// One step of a departure.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct CleanupStep {
    /// The step's name, one of its kind in the policy: letters, digits and dashes. `drain` and `wait-volume-detach` name
    /// the two steps that are there without being written, and may be written to change them.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("a step's name consists of lower-case letters, digits and dashes, such as tell-the-cmdb"))]
    pub name: String,
    /// What does it: one of `drain`, `waitVolumeDetach`, `portworx`, `httpHook`, `job`, `slack`, `cmdb` and `log`, or
    /// the name of a CleanupPlugin.
    #[schemars(length(min = 1, max = 253))]
    pub plugin: String,
    /// The names of steps that must have ended well before this one begins, at most 32. A step that was skipped, or is
    /// not critical and has failed, counts as ended. Left out: `wait-volume-detach`. An empty list: none, so that the
    /// step begins at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub depends_on: Option<Vec<String>>,
    /// Which of the steps that could begin begins first: those with the lowest number do, side by side. Others that could
    /// begin as well wait until these have ended. 0 to 1,000. Default: 50, which is that of the drain too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000), extend("format" = "int32"))]
    pub priority: Option<u32>,
    /// Whether the node is held if the step fails for good. If not, the failure is reported, and the node goes all the
    /// same. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical: Option<bool>,
    /// A CEL expression over `object`, the Node, that must be true for the step to be taken. Left out: it is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub when: Option<String>,
    /// How long one attempt may take, such as `5m`: from `1s` to `7d`. Default: `5m`; for drain and waitVolumeDetach
    /// what `deadlines` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64))]
    pub timeout: Option<String>,
    /// How often and when it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<StepRetry>,
    /// What the plugin is told; its page says which settings there are. At most 16 KiB.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "free_form")]
    pub settings: Map<String, Value>,
}

/// How often and when a failed step is tried again.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(transform = structural)]
pub struct StepRetry {
    /// So many times after the first attempt: 0 to 1,000. Default: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000), extend("format" = "int32"))]
    pub max_retries: Option<u32>,
    /// The pause before the first retry, such as `10s`: from `1s` to `1d`. Default: `10s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64))]
    pub initial_delay: Option<String>,
    /// The longest pause: from `1s` to `1d`. Default: `5m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64))]
    pub max_delay: Option<String>,
    /// By how much a pause is longer than the one before, in percent: 100 to 1,000. Default: 200, twice as long.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 1_000), extend("format" = "int32"))]
    pub backoff_percent: Option<u32>,
}

/// An object of which the schema knows nothing more.
pub(super) fn free_form(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "maxProperties": 64,
    })
}
