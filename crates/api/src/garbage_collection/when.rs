//! When an object's time is up: exactly one of seven ways to say so.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::TTL_SECONDS_MAX;
use crate::schema::{IntOrText, structural};

/// When an object's time is up. Exactly one way of saying it must be chosen.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
#[x_kube(
    validation = Rule::new("[has(self.secondsAfterCreation), has(self.after), has(self.fieldPath), has(self.relativeTo), has(self.at), has(self.expression), has(self.marks)].filter(given, given).size() == 1")
        .message("ttl needs exactly one of secondsAfterCreation, after, fieldPath, relativeTo, at, expression and marks"),
    validation = Rule::new("has(self.relativeTo) == has(self.secondsAfter)")
        .message("relativeTo and secondsAfter belong together: relativeTo names a field that holds a time, secondsAfter says how long after it"),
    validation = Rule::new("has(self.fieldPath) || (!has(self.mappings) && !has(self.default))")
        .message("mappings and default belong to fieldPath: name the field, or leave them out")
)]
pub struct Ttl {
    /// Seconds from the object's creation to its deletion: 1 to 3,153,600,000 (a hundred years).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = TTL_SECONDS_MAX))]
    pub seconds_after_creation: Option<i64>,
    /// Time from the object's creation to its deletion, such as `30m` or `5d12h`, in units w, d, h, m and s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64))]
    pub after: Option<String>,
    /// The path of a field that holds the time from the object's creation to its deletion: a number of seconds, a text
    /// such as `3600` or `5d12h`, or a word that mappings knows. A dot within a key is written `\.`; an entry of a list
    /// is chosen by `[?key=value]` or `[0]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub field_path: Option<String>,
    /// The times to live that words in the field stand for, in seconds or as text such as `5d12h`; at most 64.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub mappings: BTreeMap<String, IntOrText>,
    /// The time to live of objects that lack the field, or whose field says nothing that is understood, in seconds or as
    /// text such as `5d12h`. Left out: such objects are reported as unresolvable, and stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<IntOrText>,
    /// The path of a field that holds a time, such as `status.completionTime` or
    /// `status.conditions[?type=Complete].lastTransitionTime`. An object without it is reported as unresolvable, and stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub relative_to: Option<String>,
    /// Seconds from the time in the field to the object's deletion: 0 to 3,153,600,000 (a hundred years).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = TTL_SECONDS_MAX))]
    pub seconds_after: Option<i64>,
    /// A moment, such as `2027-01-01T00:00:00Z`, at which all objects that the policy selects fall due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 20, max = 64))]
    pub at: Option<String>,
    /// A CEL expression over `object` and `now` that gives the moment of deletion as a timestamp, or the time from the
    /// object's creation to its deletion as a duration, or null for an object that is not due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub expression: Option<String>,
    /// What objects say of themselves, by annotation or label. An object without a mark is not due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<Marks>,
}

/// Whose marks on objects are read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct Marks {
    /// Groundskeeper: annotations groundskeeper.dev/ttl (a duration) and groundskeeper.dev/expires (a moment). Kyverno:
    /// label cleanup.kyverno.io/ttl. KubeJanitor: annotations janitor/ttl and janitor/expires. K8sTtlController:
    /// annotations k8s-ttl-controller.twin.sh/ttl and /refreshed-at. If an object has several, the earliest moment
    /// counts. Default: Groundskeeper.
    #[serde(default = "groundskeeper")]
    #[schemars(length(min = 1, max = 4), extend("x-kubernetes-list-type" = "set"))]
    pub sources: Vec<MarkSource>,
}

fn groundskeeper() -> Vec<MarkSource> {
    vec![MarkSource::Groundskeeper]
}

/// A tool whose marks are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum MarkSource {
    /// Annotations groundskeeper.dev/ttl and groundskeeper.dev/expires.
    Groundskeeper,
    /// Label cleanup.kyverno.io/ttl.
    Kyverno,
    /// Annotations janitor/ttl and janitor/expires.
    KubeJanitor,
    /// Annotations k8s-ttl-controller.twin.sh/ttl and k8s-ttl-controller.twin.sh/refreshed-at.
    K8sTtlController,
}
