//! `CleanupPlugin`: somebody else's code as a step of a departure.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::step::free_form;
use crate::conditions::Condition;
use crate::schema::structural;

/// Somebody else's code as a step of a departure.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "groundskeeper.dev",
    version = "v1alpha1",
    kind = "CleanupPlugin",
    plural = "cleanupplugins",
    singular = "cleanupplugin",
    shortname = "cpl",
    category = "groundskeeper",
    status = "CleanupPluginStatus",
    derive = "PartialEq",
    doc = "Somebody else's code as a step of a departure, behind the contract that docs/nodes/plugins.md describes.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the plugin answers."
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
        description = "Time since the plugin was created."
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
#[x_kube(validation = Rule::new("has(self.http) != has(self.job)")
    .message("a plugin is reached either by http or by job: write one of them"))]
pub struct CleanupPluginSpec {
    /// The plugin is a server that speaks the contract over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpPlugin>,
    /// The plugin is a Job: done when it completes, failed when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobPlugin>,
    /// The JSON Schema of the plugin's settings: a step's settings that do not meet it are refused.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "free_form")]
    pub settings_schema: Map<String, Value>,
    /// How many steps of departures it is given at one time: 1 to 1,000. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000), extend("format" = "int32"))]
    pub concurrency: Option<u32>,
}

/// A plugin that is reached over HTTP.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct HttpPlugin {
    /// Where it is, such as `https://cleanup.example.com/v1`. Redirects are not followed.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^/?#@]+(/[^?#]*)?$')")
        .message("url must be http:// or https://, a host, and at most a path: no user, no query"))]
    pub url: String,
    /// Whether addresses may be called that are private, or the cluster's own. Loopback and link-local ones never are.
    /// Default: false.
    #[serde(default)]
    pub allow_private_addresses: bool,
    /// The certificates that vouch for it, as PEM. Left out: those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    pub ca_bundle: Option<String>,
    /// Headers whose values lie in Secrets of the operator's namespace, by header; at most 16.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub headers_from: BTreeMap<String, SecretKey>,
    /// How long one call may take, such as `30s`: from `1s` to `5m`. Default: `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64))]
    pub timeout: Option<String>,
}

/// A key of a Secret in the operator's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct SecretKey {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A plugin that is a Job.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct JobPlugin {
    /// The namespace in which its Jobs are made.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// The spec of the Job, as in batch/v1. The environment of each container gets the request as GROUNDSKEEPER_REQUEST.
    #[schemars(schema_with = "free_form")]
    pub template: Map<String, Value>,
}

/// What is known of the plugin.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CleanupPluginStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What it calls itself, and its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub describes_itself_as: Option<String>,
    /// Ready, Reconciling and Stalled.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
