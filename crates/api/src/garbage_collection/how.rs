//! How a policy acts: whether, how fast, how much, and at what hours.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::{
    BATCH_SIZE_DEFAULT, BATCH_SIZE_MAX, BUDGET_COUNT_MAX, DELETIONS_PER_SECOND_DEFAULT,
    DELETIONS_PER_SECOND_MAX, FINALIZER_CHARS_MAX, GRACE_PERIOD_SECONDS_MAX,
};
use crate::schema::structural;

/// What a policy does with objects whose time is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum PolicyMode {
    /// Status and `groundskeeper plan` say what would go; nothing goes.
    #[default]
    Plan,
    /// They go.
    Enforce,
}

/// Whether a policy asks for deletion, or forbids it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Action {
    /// Objects are deleted when their time is up.
    #[default]
    Delete,
    /// Objects are kept, whatever other policies say, also while the policy is paused; with ttl, until their time is up,
    /// and for good if it never is. By marks only objects that carry one are kept.
    Keep,
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
    /// The most deletions that the policy has under way at one time: 1 to 1,000. Default: 50.
    #[schemars(range(min = 1, max = BATCH_SIZE_MAX), extend("format" = "int32"))]
    pub batch_size: u32,
    /// What becomes of objects that the deleted one owns, as in `kubectl delete --cascade`: Background deletes them
    /// afterwards, Foreground before, Orphan leaves them. Default: Background.
    pub propagation_policy: PropagationPolicy,
    /// Seconds that a pod gets to end, 0 to 86,400; 0 means at once. Left out: what the object itself asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = GRACE_PERIOD_SECONDS_MAX))]
    pub grace_period_seconds: Option<i64>,
    /// A finalizer whose owner is gone, such as `example.com/cleanup`: the policy takes it off objects that it has deleted
    /// itself, and off no others, once they are being deleted. Other finalizers stay, and hold the object as before. Not
    /// one of Kubernetes, nor one of ours. It takes the right to patch the kind. Left out: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = FINALIZER_CHARS_MAX), extend("x-kubernetes-validations" = [
        {
            "rule": "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",
            "message": "write a finalizer with its domain, as it stands in metadata.finalizers, such as example.com/cleanup",
        },
        {
            "rule": "!self.matches('^([^/]*[.])?(kubernetes|k8s)[.]io/')",
            "message": "a finalizer of Kubernetes is taken off by Kubernetes alone: write one whose owner is gone",
        },
        {
            "rule": "!self.matches('^([^/]*[.])?groundskeeper[.]dev/')",
            "message": "a finalizer of Groundskeeper is taken off by Groundskeeper alone: write one whose owner is gone",
        },
    ]))]
    pub finalizer: Option<String>,
}

impl Default for Behavior {
    fn default() -> Self {
        Self {
            dry_run: false,
            max_deletions_per_second: DELETIONS_PER_SECOND_DEFAULT,
            batch_size: BATCH_SIZE_DEFAULT,
            propagation_policy: PropagationPolicy::Background,
            grace_period_seconds: None,
            finalizer: None,
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

/// How much a policy may delete in a span of time. If count and percent are given, the smaller holds.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
#[x_kube(validation = Rule::new("has(self.count) || has(self.percent)")
    .message("budget needs count or percent; `percent: 100` sets no limit"))]
pub struct DeletionBudget {
    /// At most so many objects: 0 to 10,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = BUDGET_COUNT_MAX))]
    pub count: Option<i64>,
    /// At most so many percent of all objects of the kind in the policy's namespaces, counted before anything is
    /// selected, rounded down: 0 to 100. 100 sets no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100), extend("format" = "int32"))]
    pub percent: Option<u8>,
    /// The span of time, such as `1h`: from `1m` to `31d`. Default: `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64))]
    pub window: Option<String>,
}

/// The hours at which a policy deletes; outside of them what is due waits.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct Schedule {
    /// The time zone of the windows, by its IANA name such as `Europe/Berlin`. Default: `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// The windows, 1 to 16; the policy deletes while one of them is open.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub windows: Vec<Window>,
}

/// A span of time that comes again every week.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct Window {
    /// The days on which it opens. Left out: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7), extend("x-kubernetes-list-type" = "set"))]
    pub days: Vec<Day>,
    /// When it opens, as `HH:MM`.
    #[schemars(length(min = 5, max = 5))]
    #[x_kube(validation = Rule::new("self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')")
        .message("write a time of day as HH:MM, from 00:00 to 23:59"))]
    pub from: String,
    /// When it closes, as `HH:MM`; on the next day if that is not after `from`. `24:00` is the end of the day.
    #[schemars(length(min = 5, max = 5))]
    #[x_kube(validation = Rule::new("self.matches('^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$')")
        .message("write a time of day as HH:MM, from 00:00 to 24:00"))]
    pub to: String,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}
